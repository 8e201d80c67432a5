"""Meta's folder at the command line: refused without the flag, converted once with it, removed by its name."""

import json
from pathlib import Path

import pytest
import torch

from nabot.cli import run
from nabot.errors import CheckpointError, ConfigError
from nabot.sources import installed, resolve
from nabot.sources.names import MetaName, parse

SHAPES = {
    "attention.wq": (8, 8), "attention.wk": (8, 8), "attention.wv": (8, 8), "attention.wo": (8, 8),
    "feed_forward.w1": (16, 8), "feed_forward.w2": (8, 16), "feed_forward.w3": (16, 8), "attention_norm": (8,), "ffn_norm": (8,),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    folder = tmp_path / "llama" / "7B chat"
    folder.mkdir(parents=True)
    named = {f"layers.0.{name}.weight": shape for name, shape in SHAPES.items()}
    named |= {"tok_embeddings.weight": (11, 8), "norm.weight": (8,), "output.weight": (11, 8)}
    torch.save({name: torch.ones(shape) for name, shape in named.items()}, folder / "consolidated.00.pth")
    (folder / "params.json").write_text('{"dim": 8, "n_layers": 1, "n_heads": 2}', encoding="utf-8")
    (folder.parent / "tokenizer.model").write_bytes(b"pieces")
    return folder


def test_without_the_flag_it_is_refused_and_the_flag_is_named(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nabot pull --convert-meta .*7B chat"):
        resolve(str(folder))


def test_with_the_flag_it_is_a_model_with_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "--convert-meta", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    model = resolve("meta:7B-chat")
    assert said["source"] == model.source == f"meta:7B-chat@{model.path.name}"
    assert str(model.path) == said["path"]
    assert (model.path / "tokenizer.model").read_bytes() == b"pieces"
    assert [m.name for m in installed()] == [model.source]


def test_a_second_time_nothing_is_done_and_new_weights_are_converted_anew(folder: Path) -> None:
    assert run(["pull", "--convert-meta", str(folder)]) == 0
    first = resolve("meta:7B-chat").path
    before = (first / "source.json").stat().st_mtime_ns
    assert run(["pull", "--convert-meta", str(folder)]) == 0
    assert (resolve("meta:7B-chat").path / "source.json").stat().st_mtime_ns == before
    (folder / "params.json").write_text('{"dim": 8, "n_layers": 1, "n_heads": 2, "norm_eps": 1e-6}', encoding="utf-8")
    assert run(["pull", "--convert-meta", str(folder)]) == 0
    assert resolve("meta:7B-chat").path != first


def test_two_folders_of_one_name_are_told_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "--convert-meta", str(folder)]) == 0
    first = resolve("meta:7B-chat")
    (folder / "params.json").write_text('{"dim": 8, "n_layers": 1, "n_heads": 2, "norm_eps": 1e-6}', encoding="utf-8")
    assert run(["pull", "--convert-meta", str(folder)]) == 0
    second = resolve("meta:7B-chat")
    assert resolve(first.source) == first
    assert run(["rm", "meta:7B-chat", "--yes"]) == 2
    assert first.source in capsys.readouterr().err
    assert run(["rm", first.source, "--yes"]) == 0
    assert resolve("meta:7B-chat") == second


def test_it_is_removed_by_its_name_and_the_original_stays(folder: Path) -> None:
    assert run(["pull", "--convert-meta", str(folder)]) == 0
    assert run(["rm", "meta:7B-chat", "--yes"]) == 0
    assert installed() == []
    assert (folder / "consolidated.00.pth").is_file()
    with pytest.raises(ConfigError, match="not on this machine"):
        resolve("meta:7B-chat")


def test_a_failed_conversion_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "params.json").write_text('{"dim": 8, "n_layers": 2, "n_heads": 2}', encoding="utf-8")
    assert run(["pull", "--convert-meta", str(folder)]) == 2
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_another_folder_is_no_folder_of_metas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "--convert-meta", str(tmp_path / "nowhere")]) == 2
    assert "expected params.json and consolidated.*.pth" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["meta:../../x", "meta:..", "meta:a/b", "meta:"])
def test_a_name_never_leaves_the_models_folder(name: str) -> None:
    found = parse(name)
    assert isinstance(found, MetaName)
    assert "/" not in found.name
    assert not found.name.startswith(".")
