"""`hf:` through a real huggingface_hub, against a hub on the loopback."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_server import BREAK_AFTER, COMMIT, Hub, Repository
from huggingface_hub import constants
from safetensors.numpy import save

from nabot.errors import CheckpointError, ConfigError, UpstreamError
from nabot.sources import base_hash, installed, remove, resolve

HEADER = b"\x02\0\0\0\0\0\0\0{}"  # safetensors without tensors
LAYOUT = {
    "config.json": b"{}",
    "model.safetensors": HEADER,
    "tokenizer.json": b'{"version": "1.0"}',
    "chat_template.jinja": b"{{ messages }}",
    "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny\n",
}
NEVER = {
    "pytorch_model.bin": b"pickle",
    "modeling_tiny.py": b"raise SystemExit(9)",
    "training_args.pt": b"pickle",
    "consolidated.safetensors": HEADER,
    "onnx/config.json": b"{}",
    "picture.png": b"png",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """huggingface_hub reads its environment once, on import; here its constants are set, and below a whole process."""
    server = Hub()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server
    server.shutdown()
    server.server_close()


def test_fetches_a_layout_and_nothing_else(hub):
    hub.repositories["org/tiny"] = Repository({**LAYOUT, **NEVER})
    model = resolve("hf:org/tiny")
    assert model.source == f"hf:org/tiny@{COMMIT}"
    assert model.licence == "Apache-2.0"
    assert {file.name: file.read_bytes() for file in model.path.iterdir()} == LAYOUT
    assert hub.asked.files() == sorted(LAYOUT)


def test_a_second_time_asks_nobody(hub):
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    first = resolve("hf:org/tiny")
    hub.asked.log.clear()
    assert resolve("hf:org/tiny") == resolve(f"hf:org/tiny@{COMMIT}") == first
    assert hub.asked.log == []


def test_progress_reaches_the_size_of_the_files(hub):
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    seen: list[tuple[int, int | None, str]] = []
    resolve("hf:org/tiny", progress=lambda *step: seen.append(step))
    size = sum(map(len, LAYOUT.values()))
    assert (seen[0], seen[-1]) == ((0, size, "downloading hf:org/tiny"), (size, size, "downloading hf:org/tiny"))


def test_one_gguf_is_taken_and_several_have_to_be_chosen_from(hub, tiny_gguf):
    content = tiny_gguf(licence="mit").read_bytes()
    hub.repositories["org/one"] = Repository({"one.gguf": content, "README.md": b""})
    assert resolve("hf:org/one").path.read_bytes() == content
    hub.repositories["org/two"] = Repository({"a.Q4_0.gguf": content, "sub/b.Q8_0.gguf": content + b"\0"})
    with pytest.raises(ConfigError, match=r"choose one:\n  hf:org/two:a.Q4_0.gguf\n  hf:org/two:sub/b.Q8_0.gguf"):
        resolve("hf:org/two")
    model = resolve("hf:org/two@main:sub/b.Q8_0.gguf")
    assert model.path.read_bytes() == content + b"\0"
    assert (model.source, model.licence) == (f"hf:org/two@{COMMIT}:sub/b.Q8_0.gguf", "MIT")
    with pytest.raises(ConfigError, match=r"no file 'c.gguf' in it"):
        resolve("hf:org/two:c.gguf")


def test_pickled_weights_alone_are_no_model(hub):
    hub.repositories["org/old"] = Repository({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(
        CheckpointError, match=r"pickled \*.bin weights are never loaded\).\nSeen: config.json, pytorch_model"
    ):
        resolve("hf:org/old")
    assert hub.asked.files() == []


@pytest.mark.parametrize(
    ("source", "repository", "message"),
    [
        ("hf:org/none", None, "hf:org/none: no such repository, or a private one"),
        (
            "hf:org/tiny",
            Repository(LAYOUT, token="hf_right"),
            r"refuses \(HTTP 401\): it is private, does not exist, .* HF_TOKEN",
        ),
        (
            "hf:org/tiny",
            Repository(LAYOUT, token="hf_right", gated=True),
            "access has to be asked for. Accept its terms at http",
        ),
        (
            "hf:org/tiny",
            Repository(LAYOUT, gated=True, no_access=True),
            "access has to be asked for. Accept its terms at http",
        ),
        ("hf:org/tiny@v9", Repository(LAYOUT), "hf:org/tiny: no revision 'v9'"),
    ],
)
def test_what_is_not_open_to_this_person_is_explained(source, repository, message, hub):
    if repository:
        hub.repositories["org/tiny"] = repository
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(source)
    assert caught.value.exit_status == 2
    assert installed() == []


INDEX = {"model-1-of-2.safetensors": ["a", "b"], "model-2-of-2.safetensors": ["c"]}


def sharded() -> dict[str, bytes]:
    """Weights in two files that an index names; each tensor holds its own name's number."""
    shards = {
        file: save({name: np.full(50_000, ord(name), np.float32) for name in names}) for file, names in INDEX.items()
    }
    places = {name: file for file, names in INDEX.items() for name in names}
    index = json.dumps({"metadata": {}, "weight_map": places}).encode()
    others = {name: content for name, content in LAYOUT.items() if name != "model.safetensors"}
    return {**others, **shards, "model.safetensors.index.json": index}


def test_all_shards_of_an_index_are_fetched(hub):
    files = sharded()
    hub.repositories["org/two"] = Repository({**files, **NEVER})
    model = resolve("hf:org/two")
    assert {file.name: file.read_bytes() for file in model.path.iterdir()} == files
    assert len(base_hash(model.path)) == 64


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", BREAK_AFTER // 2)  # what the client writes at once: 10 MB
    content = LAYOUT | {"model.safetensors": HEADER + bytes(3 * BREAK_AFTER)}
    hub.repositories["org/tiny"] = Repository(content, breaks=1)
    assert (resolve("hf:org/tiny").path / "model.safetensors").read_bytes() == content["model.safetensors"]
    assert ("model.safetensors", BREAK_AFTER) in hub.ranges


def test_a_pull_that_was_cut_goes_on_with_the_files_that_are_missing(hub):
    hub.repositories["org/two"] = Repository(sharded(), gone=("model-2-of-2.safetensors",))
    with pytest.raises(UpstreamError, match="files that have arrived are kept"):
        resolve("hf:org/two")
    assert installed() == []
    hub.repositories["org/two"] = Repository(sharded())
    hub.asked.log.clear()
    resolve("hf:org/two")
    assert hub.asked.files() == ["model-2-of-2.safetensors"]


def test_a_file_with_another_hash_is_refused_and_fetched_again(hub):
    hub.repositories["org/tiny"] = Repository(LAYOUT, rotten=("model.safetensors",))
    with pytest.raises(UpstreamError, match=r"model\.safetensors: this is not the file .* expected [0-9a-f]{64}"):
        resolve("hf:org/tiny")
    assert installed() == []
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    assert (resolve("hf:org/tiny").path / "model.safetensors").read_bytes() == HEADER


def test_every_file_with_another_hash_is_fetched_again(hub):
    rotten = ("model-1-of-2.safetensors", "model-2-of-2.safetensors")
    hub.repositories["org/two"] = Repository(sharded(), rotten=rotten)
    with pytest.raises(UpstreamError, match="this is not the file"):
        resolve("hf:org/two")
    hub.repositories["org/two"] = Repository(sharded())
    hub.asked.log.clear()
    resolve("hf:org/two")
    assert hub.asked.files() == sorted(rotten)


def test_the_token_of_the_environment_is_shown(hub, monkeypatch):
    hub.repositories["org/tiny"] = Repository(LAYOUT, token="hf_right", gated=True)
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert resolve("hf:org/tiny").path.is_dir()


@pytest.mark.parametrize(("status", "kind"), [(403, ConfigError), (429, UpstreamError), (500, UpstreamError)])
def test_a_hub_that_refuses_or_fails(status, kind, hub):
    hub.status = status
    with pytest.raises(kind, match=r"HTTP 403|does not answer"):
        resolve("hf:org/tiny")


def test_no_network_is_the_outside_unless_the_cache_has_it(hub, monkeypatch):
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    model = resolve("hf:org/tiny@main")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NABOT_HOME", f"{model.path.parent}/another-home")
    assert resolve(f"hf:org/tiny@{COMMIT}").path == model.path
    with pytest.raises(UpstreamError, match=r"http://127.0.0.1:9 does not answer") as caught:
        resolve("hf:org/other")
    assert caught.value.exit_status == 3


def test_a_cache_with_a_part_of_the_model_is_not_enough(hub, monkeypatch):
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    model = resolve("hf:org/tiny")
    (model.path / "model.safetensors").unlink()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UpstreamError, match="does not answer"):
        resolve(f"hf:org/tiny@{COMMIT}")


def test_removing_deletes_what_nabot_fetched(hub):
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    path = resolve("hf:org/tiny").path
    assert [model.name for model in installed()] == [f"hf:org/tiny@{COMMIT}"]
    assert remove("hf:org/tiny") == sum(map(len, LAYOUT.values()))
    assert not path.exists()
    assert installed() == []


def test_removing_leaves_what_was_in_the_cache_before(hub, home):
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    path = resolve("hf:org/tiny").path
    (home / "models" / "hf" / "org--tiny" / COMMIT / "source.json").unlink()  # as if another program had fetched it
    resolve("hf:org/tiny")
    remove("hf:org/tiny")
    assert (path / "model.safetensors").read_bytes() == HEADER


def test_two_files_of_one_commit_are_removed_one_by_one(hub, tiny_gguf):
    hub.repositories["org/two"] = Repository(
        {"a.gguf": tiny_gguf(seed=1).read_bytes(), "b.gguf": tiny_gguf().read_bytes()}
    )
    first, second = resolve("hf:org/two:a.gguf"), resolve("hf:org/two:b.gguf")
    remove("hf:org/two:a.gguf")
    assert second.path.exists()
    remove("hf:org/two:b.gguf")
    assert not second.path.exists()
    assert not first.path.exists()


def test_the_environment_of_the_hub_is_honoured(hub, tmp_path):
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE in a process of its own."""
    hub.repositories["org/tiny"] = Repository(LAYOUT)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(tmp_path / "hf"),
    }
    code = "import sys; from nabot.sources import resolve; print(resolve(sys.argv[1]).path)"

    def run(source: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", code, source]
        return subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, check=False)

    fetched = run("hf:org/tiny")
    assert fetched.stdout.strip().startswith(str(tmp_path / "hf"))
    offline = run(f"hf:org/tiny@{COMMIT}", HF_HUB_OFFLINE="1", NABOT_HOME=str(tmp_path / "second"))
    assert offline.stdout == fetched.stdout
    assert "UpstreamError: hf:org/other: HF_HUB_OFFLINE is set" in run("hf:org/other", HF_HUB_OFFLINE="1").stderr
