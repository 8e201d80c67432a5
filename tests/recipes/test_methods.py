"""Every method makes a bot: tuned, saved, read again, asked, gone on with."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_model import conversations, questions, write_rows

import nabot
from nabot.adapters import METHODS
from nabot.bot import read_record
from nabot.cli import run
from nabot.errors import ConfigError
from nabot.models import recompute

QUICK = {"epochs": 2, "rehearsal_ratio": 0, "dtype": "float32", "virtual_tokens": 4}
ASK = [{"role": "user", "content": "What about tea?"}]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))


def settings_of(method: str, **more: Any) -> dict[str, Any]:
    values = {**QUICK, "method": method, **more}
    if method in ("lora", "full", "freeze"):
        values.pop("virtual_tokens")
    if method == "freeze":
        values["top_layers"] = 1
    return values


@pytest.mark.parametrize("method", METHODS)
def test_a_bot_of_every_method_answers_as_when_it_was_saved(
    method: str, tmp_path: Path, tiny_model_folder: Path
) -> None:
    out = tmp_path / "bot"
    bot = nabot.tune(conversations(), base=str(tiny_model_folder), out=out, **settings_of(method))
    assert read_record(out).method == method
    assert bot.chat(ASK, temperature=0) == nabot.load_bot(out).chat(ASK, temperature=0)
    assert load_file(out / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_it_learns(method: str, tmp_path: Path, tiny_model_folder: Path) -> None:
    rate = {"prompt": 0.1, "prefix": 0.1, "ptuning": 1e-2}.get(method, 1e-2)
    values = settings_of(method, learning_rate=rate, epochs=12, held_out=4)
    nabot.tune(conversations(), base=str(tiny_model_folder), out=tmp_path / "bot", **values)
    losses = [json.loads(line) for line in (tmp_path / "bot/run/metrics.jsonl").read_text().splitlines()]
    held_out = [line["held_out_loss"] for line in losses if "held_out_loss" in line]
    assert held_out[-1] < held_out[0] - 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_bot_is_gone_on_with_by_its_own_method(method: str, tmp_path: Path, tiny_model_folder: Path) -> None:
    parent, child = tmp_path / "parent", tmp_path / "child"
    nabot.tune(conversations(), base=str(tiny_model_folder), out=parent, **settings_of(method))
    rows = write_rows(tmp_path / "rows.jsonl", conversations(9))
    quick = ["--epochs", "1", "--set", "rehearsal_ratio=0"]
    assert run(["tune", str(rows), "--from", str(parent), "--out", str(child), *quick]) == 0
    assert read_record(child).method == method
    before, after = (load_file(f / "adapter" / "adapter_model.safetensors") for f in (parent, child))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("base_bits", ["dense", "nf4"])
def test_embedding_and_head_learn_beside_lora_and_are_gone_on_with(
    base_bits: str, tmp_path: Path, tiny_model_folder: Path
) -> None:
    parent, child, whole = tmp_path / "parent", tmp_path / "child", {"save_whole": "embed_tokens,lm_head"}
    few = settings_of("lora", base_bits=base_bits, dtype="bfloat16")
    nabot.tune(conversations(), base=str(tiny_model_folder), out=parent, **few, **whole)
    assert isinstance(nabot.load_bot(parent).chat(ASK, temperature=0), str)
    rows = write_rows(tmp_path / "rows.jsonl", conversations(9))
    again = ["tune", str(rows), "--from", str(parent), "--out", str(child), "--epochs", "1"]
    assert run([*again, "--set", "save_whole="]) == 2
    assert not child.exists()
    assert run([*again, "--set", "rehearsal_ratio=0", "--set", "save_whole=lm_head"]) == 0  # one weight is both
    before, after = (load_file(f / "adapter" / "adapter_model.safetensors") for f in (parent, child))
    for name in ("base_model.model.model.embed_tokens.weight", "base_model.model.lm_head.weight"):
        assert before[name].dtype == torch.float32
        assert not torch.equal(before[name], after[name])


def test_weights_that_were_learned_in_float32_answer_in_bfloat16(tmp_path: Path, tiny_model_folder: Path) -> None:
    out = tmp_path / "bot"
    nabot.tune(conversations(), base=str(tiny_model_folder), out=out, **settings_of("full"))
    assert isinstance(nabot.load_bot(out, dtype="bfloat16").chat(ASK, temperature=0), str)


def test_what_saves_memory_changes_no_bit_of_the_bot(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, checkpoint = [], recompute.checkpoint
    monkeypatch.setattr(recompute, "checkpoint", lambda *a, **k: (again.append(a), checkpoint(*a, **k))[1])
    saved = []
    for name, savers in {"plain": {}, "saving": {"checkpoint": "blocks", "optimizer_in_backward": True}}.items():
        values = settings_of("full", max_norm=0, row_tokens=8192, **savers)
        nabot.tune(conversations(), base=str(tiny_model_folder), out=tmp_path / name, **values)
        saved.append(load_file(tmp_path / name / "adapter" / "adapter_model.safetensors"))
        assert bool(again) == (name == "saving")
    assert all(torch.equal(tensor, saved[1][name]) for name, tensor in saved[0].items())


@pytest.mark.parametrize(("pair", "status"), [("rank=8", 2), ("dropout=0.3", 2), ("virtual_tokens=4", 0)])
def test_settings_are_those_of_the_parents_method(
    pair: str, status: int, tmp_path: Path, tiny_model_folder: Path
) -> None:
    parent = tmp_path / "parent"
    nabot.tune(conversations(), base=str(tiny_model_folder), out=parent, **settings_of("prompt"))
    rows = write_rows(tmp_path / "rows.jsonl", conversations(9))
    quick = ["--epochs", "1", "--set", "rehearsal_ratio=0", "--set", pair]
    assert run(["tune", str(rows), "--from", str(parent), "--out", str(tmp_path / "child"), *quick]) == status


@pytest.mark.parametrize(
    ("method", "pairs", "told"),
    [
        ("prefix", ["encoder_width=8"], "encoder_width is no setting"),
        ("prompt", ["encoder=none"], "encoder is no setting"),
        ("prompt", ["start=vocab", "start_text=Hello"], "start_text is no setting"),
        ("full", ["base_bits=nf4"], "base_bits is no setting"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(
    method: str,
    pairs: list[str],
    told: str,
    tmp_path: Path,
    tiny_model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", conversations(9))
    more = [argument for pair in pairs for argument in ("--set", pair)]
    command = ["tune", str(rows), "--base", str(tiny_model_folder), "--out", str(tmp_path / "bot"), "--method", method]
    assert run([*command, *more]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "bot").exists()


def test_virtual_tokens_that_leave_no_room_are_named_as_the_reason(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", conversations(9))
    command = [
        "tune",
        str(rows),
        "--base",
        str(tiny_model_folder),
        "--out",
        str(tmp_path / "bot"),
        "--method",
        "prefix",
    ]
    assert run([*command, "--set", "virtual_tokens=250"]) == 2
    assert "fewer virtual tokens leave more room" in capsys.readouterr().err


def test_another_method_than_the_parents_is_refused(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = tmp_path / "parent"
    nabot.tune(conversations(), base=str(tiny_model_folder), out=parent, **settings_of("prompt"))
    rows = write_rows(tmp_path / "rows.jsonl", conversations(9))
    assert run(["tune", str(rows), "--from", str(parent), "--out", str(tmp_path / "b"), "--method", "lora"]) == 2
    assert "method=lora (prompt)" in capsys.readouterr().err


@pytest.mark.parametrize(("method", "key"), [("prompt", "rank"), ("lora", "virtual_tokens"), ("full", "top_layers")])
def test_a_setting_of_another_method_is_refused(method: str, key: str, tmp_path: Path, tiny_model_folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"{key} is no setting of the method {method}"):
        nabot.tune(
            conversations(), base=str(tiny_model_folder), out=tmp_path / "bot", **{**settings_of(method), key: 2}
        )
    assert not (tmp_path / "bot").exists()


@pytest.mark.parametrize("method", ["lora", "prefix"])
@pytest.mark.parametrize("base_bits", ["nf4", "int8"])
def test_a_base_of_few_bits_is_learned_on(base_bits: str, method: str, tmp_path: Path, tiny_model_folder: Path) -> None:
    values = settings_of(method, base_bits=base_bits)
    bot = nabot.tune(conversations(), base=str(tiny_model_folder), out=tmp_path / "bot", **values)
    assert bot.chat(ASK, temperature=0)
    assert read_record(tmp_path / "bot").base_bits == base_bits  # so it answers on what it learned on


def test_pissa_decomposes_every_weight_once(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decompose, shapes = torch.svd_lowrank, []

    def counted(weight: torch.Tensor, **settings: Any) -> Any:
        shapes.append(weight.shape)
        return decompose(weight, **settings)

    monkeypatch.setattr(torch, "svd_lowrank", counted)
    out = tmp_path / "bot"
    with pytest.raises(ConfigError, match="rank 99"):
        nabot.tune(
            conversations(), base=str(tiny_model_folder), out=out, **settings_of("lora", lora_start="pissa", rank=99)
        )
    assert not out.exists()
    assert not shapes
    nabot.tune(conversations(), base=str(tiny_model_folder), out=out, **settings_of("lora", lora_start="pissa", rank=4))
    assert len(shapes) == 2 * 7  # linears of two layers


@pytest.mark.parametrize(("asked", "held"), [({}, "nf4"), ({"base_bits": "int8"}, "int8")])
def test_qlora_is_lora_over_a_base_of_few_bits(
    asked: dict[str, Any], held: str, tmp_path: Path, tiny_model_folder: Path
) -> None:
    runs = {"qlora": settings_of("lora", **asked) | {"method": "qlora"}, "lora": settings_of("lora", base_bits=held)}
    for name, values in runs.items():
        nabot.tune(conversations(), base=str(tiny_model_folder), out=tmp_path / name, **values)
        record = read_record(tmp_path / name)
        assert (record.method, record.base_bits) == ("lora", held)
    one, other = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in runs)
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_qlora_over_a_dense_base_is_refused_and_nothing_is_written(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", conversations())
    base = ["--base", str(tiny_model_folder), "--out", str(tmp_path / "bot")]
    assert run(["tune", str(rows), *base, "--method", "qlora", "--set", "base_bits=dense"]) == 2
    assert "file, nf4, int8 (qlora)" in capsys.readouterr().err
    assert not (tmp_path / "bot").exists()


def test_a_bot_is_gone_on_with_over_the_bits_that_it_was_tuned_on(tmp_path: Path, tiny_model_folder: Path) -> None:
    nabot.tune(
        conversations(), base=str(tiny_model_folder), out=tmp_path / "bot", **settings_of("lora", base_bits="nf4")
    )
    rows = write_rows(tmp_path / "rows.jsonl", conversations(9))
    for name, more, held in (("same", [], "nf4"), ("other", ["--set", "base_bits=int8"], "int8")):
        quick = ["--epochs", "1", "--set", "rehearsal_ratio=0", "--from", str(tmp_path / "bot"), *more]
        assert run(["tune", str(rows), "--out", str(tmp_path / name), *quick]) == 0
        assert read_record(tmp_path / name).base_bits == held


def test_whole_weights_of_few_bits_are_refused(tmp_path: Path, tiny_model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="base_bits is no setting of the method full"):
        nabot.tune(
            conversations(), base=str(tiny_model_folder), out=tmp_path / "b", **settings_of("full", base_bits="nf4")
        )


def test_an_exam_is_marked_while_the_bot_learns(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", conversations())
    exam = write_rows(tmp_path / "exam.jsonl", questions())
    command = ["tune", str(rows), "--base", str(tiny_model_folder), "--out", str(tmp_path / "bot"), "--epochs", "2"]
    assert run([*command, "--set", "rehearsal_ratio=0", "--exam", str(exam)]) == 0
    lines = [json.loads(line) for line in (tmp_path / "bot/run/metrics.jsonl").read_text().splitlines()]
    looks = [line for line in lines if "accuracy" in line]
    assert [look["step"] for look in looks] == [0, 3, 6]  # before the first step, and after each epoch
    assert "exam at step 6: 0% of some questions right" in capsys.readouterr().err
