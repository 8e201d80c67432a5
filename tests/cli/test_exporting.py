"""`nabot export`: what it writes, what it never replaces, what it cannot write."""

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
from gguf import GGUFReader
from tiny_model import conversations
from torch.testing import assert_close
from transformers import AutoModelForCausalLM

import nabot
from nabot.cli import run
from nabot.export.gguf_adapter import write_gguf_adapter

FORMATS = ["gguf-adapter", "peft"]
TOKENS_BT = torch.tensor([[5, 9, 33, 40, 7]])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))


def export(bot: Path, form: str, out: Path, *more: str) -> int:
    return run(["export", str(bot), "--format", form, "--out", str(out), *more])


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("form", FORMATS)
def test_json_says_what_was_written(
    form: str, tiny_bot_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "one"
    assert export(tiny_bot_folder, form, out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    size = sum(map(len, content(out).values()))
    assert found == {"bot": str(tiny_bot_folder), "format": form, "out": str(out), "bytes": size}


@pytest.mark.parametrize(("form", "program"), [("gguf-adapter", "llama.cpp"), ("peft", "PEFT")])
def test_a_person_is_told_what_reads_it(
    form: str, program: str, tiny_bot_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tiny_bot_folder, form, tmp_path / "one") == 0
    told = capsys.readouterr()
    assert not told.out
    assert program in told.err
    assert str(tmp_path / "one") in told.err


def test_peft_reads_the_folder_and_gives_the_bots_logits(
    tiny_bot_folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    assert export(tiny_bot_folder, "peft", tmp_path / "adapter") == 0
    base = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    ours, _ = nabot.load_model(str(tiny_model_folder), dtype="float32")
    nabot.load_adapter(ours, tmp_path / "adapter")
    with torch.no_grad():
        assert_close(ours(TOKENS_BT), theirs(TOKENS_BT).logits, atol=1e-5, rtol=1e-5)


def test_the_gguf_adapter_is_that_of_the_bot(tiny_bot_folder: Path, tiny_model_folder: Path, tmp_path: Path) -> None:
    assert export(tiny_bot_folder, "gguf-adapter", tmp_path / "bot.gguf") == 0
    decoder, _ = nabot.load_model(str(tiny_model_folder), dtype="float32")
    write_gguf_adapter(nabot.load_adapter(decoder, tiny_bot_folder / "adapter"), tmp_path / "own.gguf")
    assert (tmp_path / "bot.gguf").read_bytes() == (tmp_path / "own.gguf").read_bytes()
    names = {tensor.name for tensor in GGUFReader(tmp_path / "bot.gguf").tensors}
    assert {"blk.0.attn_q.weight.lora_a", "blk.1.ffn_down.weight.lora_b"} <= names


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_there_is_replaced_with_force_alone(
    form: str, tiny_bot_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "one"
    assert export(tiny_bot_folder, form, out) == 0
    before, changed = content(out), (out if out.is_file() else out / "adapter_config.json")
    with changed.open("ab") as file:
        file.write(b" ")
    assert export(tiny_bot_folder, form, out) == 2
    assert "--force" in capsys.readouterr().err
    assert content(out) != before
    assert export(tiny_bot_folder, form, out, "--force") == 0
    assert content(out) == before


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_else_is_ever_replaced(
    form: str, tiny_bot_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = tmp_path / "own", tmp_path / "own.gguf"
    shutil.copytree(tiny_bot_folder / "adapter", folder)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    file.write_bytes(b"GGUF of mine")
    for out in (folder, file):
        before = content(out)
        assert export(tiny_bot_folder, form, out, "--force") == 2
        assert "never replaced" in capsys.readouterr().err
        assert content(out) == before


@pytest.mark.parametrize(
    ("method", "form"), [("prompt", "gguf-adapter"), ("freeze", "gguf-adapter"), ("freeze", "peft")]
)
def test_a_method_that_the_format_cannot_hold_is_refused(
    method: str, form: str, tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"virtual_tokens": 4} if method == "prompt" else {"top_layers": 1}
    quick = {"epochs": 1, "rehearsal_ratio": 0, "held_out": 0}
    nabot.tune(conversations(9), base=str(tiny_model_folder), out=tmp_path / "bot", method=method, **quick, **more)
    assert export(tmp_path / "bot", form, tmp_path / "one") == 2
    told = capsys.readouterr().err
    assert f"its method is {method}" in told
    assert "lora" in told
    assert not (tmp_path / "one").exists()


def test_tokens_around_questions_are_not_promised_to_peft(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"method": "ptuning", "places": "question", "virtual_tokens": 4, "encoder_width": 8}
    quick = {"epochs": 1, "rehearsal_ratio": 0, "held_out": 0}
    nabot.tune(conversations(9), base=str(tiny_model_folder), out=tmp_path / "bot", **quick, **own)
    assert export(tmp_path / "bot", "peft", tmp_path / "one") == 2
    assert "only in front" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()


def test_what_lora_has_learned_beside_its_matrices_does_not_go_into_a_gguf_adapter(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = {"epochs": 1, "rehearsal_ratio": 0, "held_out": 0, "dora": True}
    nabot.tune(conversations(9), base=str(tiny_model_folder), out=tmp_path / "bot", **quick)
    assert export(tmp_path / "bot", "gguf-adapter", tmp_path / "one") == 2
    assert "dora" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(("form", "told"), [("gguf", "Nearest: gguf-adapter"), ("onnx", "Allowed: gguf-adapter, peft")])
def test_an_unknown_format_is_refused_with_those_that_there_are(
    form: str, told: str, tiny_bot_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tiny_bot_folder, form, tmp_path / "one") == 2
    assert told in capsys.readouterr().err


def test_a_damaged_adapter_is_refused_and_nothing_is_written(
    tiny_bot_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_bot_folder, tmp_path / "bot")
    weights = tmp_path / "bot" / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    for form in FORMATS:
        assert export(tmp_path / "bot", form, tmp_path / "one") == 2
        assert str(weights) in capsys.readouterr().err
        assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("peft", {"NOTICE.txt", "LICENSE-gemma.txt"}),
        ("gguf-adapter", {"one.NOTICE.txt", "one.LICENSE-gemma.txt"}),
    ],
)
def test_terms_of_the_base_are_passed_on_and_may_be_replaced(
    form: str, names: set[str], tiny_bot_folder: Path, tmp_path: Path
) -> None:
    bot = Path(shutil.copytree(tiny_bot_folder, tmp_path / "bot"))
    record = (bot / "bot.toml").read_text(encoding="utf-8")
    (bot / "bot.toml").write_text(
        record.replace('base_licence = "unknown"', 'base_licence = "gemma"'), encoding="utf-8"
    )
    for name in ("NOTICE.txt", "LICENSE-gemma.txt"):
        (bot / name).write_text(f"the words of {name}", encoding="utf-8")
    out = tmp_path / "new" / "one"
    assert export(bot, form, out) == 0
    assert export(bot, form, out, "--force") == 0
    folder = out if out.is_dir() else out.parent
    assert {name: (folder / name).read_text(encoding="utf-8") for name in names} == {
        name: f"the words of {name.removeprefix('one.')}" for name in names
    }
