"""Several methods on the same rows: cells that are run once, a table that says what design promises."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tiny_model import conversations, questions, write_rows

from nabot.bot import RUN, is_finished, read_record
from nabot.cli import run
from nabot.recipes.compare import minutes_to
from nabot.recipes.rehearsal import everyday_questions

CONTRACT = {
    "method", "seed", "trainable", "adapter_bytes", "tokens_per_second", "peak_memory_bytes", "held_out_loss",
    "accuracy", "decode_tokens_per_second",
}  # fmt: skip


@pytest.fixture
def command(tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    rows = write_rows(tmp_path / "rows.jsonl", conversations())
    exam = write_rows(tmp_path / "exam.jsonl", questions())
    quick = ["--set", "epochs=1", "--set", "rehearsal_ratio=0"]
    arguments = ["compare", str(rows), "--base", str(tiny_model_folder), "--exam", str(exam), "--seeds", "1", *quick]
    return [*arguments, "--out", str(tmp_path / "out"), "--json"]


def test_each_cell_is_a_bot_and_a_row_and_is_never_run_again(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command += ["--methods", "lora,prompt", "--set", "virtual_tokens=4", "--set", "rank=2"]
    assert run(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in first["rows"]] == ["lora", "prompt"]
    assert all(row.keys() >= CONTRACT for row in first["rows"])
    assert all(is_finished(tmp_path / "out" / name) for name in ("lora-0", "prompt-0"))
    assert first["rows"][1]["trainable"] == 4 * 32
    assert ElementTree.parse(tmp_path / "out" / "figure.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8").count("\n| prompt |") == 2
    assert run(command) == 0  # figures of speed would differ if it had run again
    assert json.loads(capsys.readouterr().out) == first


def test_qlora_is_a_row_of_its_own(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--methods", "lora,qlora", "--set", "lora_plus=4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in found["rows"]] == ["lora", "qlora"]
    assert [read_record(tmp_path / "out" / f"{name}-0").base_bits for name in ("lora", "qlora")] == ["dense", "nf4"]
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8").count("\n| qlora |") == 2


def test_settings_go_to_the_methods_that_look_at_them(command: list[str], tmp_path: Path) -> None:
    assert run([*command, "--methods", "lora,full", "--set", "base_bits=int8"]) == 0
    held = [read_record(tmp_path / "out" / f"{name}-0").base_bits for name in ("lora", "full")]
    assert held == ["int8", "dense"]


def test_settings_that_no_method_looks_at_are_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run([*command, "--methods", "lora,prefix", "--set", "encoder_width=8"]) == 2
    )  # no network, nothing to be wide
    assert "encoder_width" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_everyday_questions_are_asked_before_any_cell(command: list[str], tmp_path: Path) -> None:
    command = [pair.replace("rehearsal_ratio=0", "rehearsal_ratio=0.25") for pair in command]
    assert run([*command, "--methods", "prompt", "--set", "virtual_tokens=4"]) == 0
    (known,) = (tmp_path / "home" / "models" / ".answers").iterdir()
    assert len(known.read_text(encoding="utf-8").splitlines()) == len(everyday_questions())


def test_qlora_over_a_dense_base_is_refused_before_any_cell_runs(command: list[str], tmp_path: Path) -> None:
    assert run([*command, "--methods", "lora,qlora", "--set", "base_bits=dense"]) == 2
    assert not (tmp_path / "out").exists()


def test_a_cell_that_was_cut_off_goes_on(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--methods", "prompt"]) == 0
    capsys.readouterr()
    cell = tmp_path / "out" / "prompt-0"
    for lost in (cell / "row.json", cell / "bot.toml"):
        lost.unlink()
    shutil.rmtree(cell / "adapter")
    assert run([*command, "--methods", "prompt"]) == 0
    assert is_finished(cell)
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 1


def test_a_folder_with_another_comparison_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--methods", "prompt"]) == 0
    write_rows(tmp_path / "exam.jsonl", questions(2))
    assert run([*command, "--methods", "prompt"]) == 2
    assert "changed: exam" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_stops_the_cell_and_the_next_call_goes_on(command: list[str], tmp_path: Path) -> None:
    slow = [sys.executable, "-m", "nabot", *command, "--methods", "lora", "--set", "batch_size=1"]
    slow[slow.index("epochs=1")] = "epochs=400"
    child = subprocess.Popen(slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = tmp_path / "out" / "lora-0" / RUN / "metrics.jsonl"
    for _ in range(600):
        if metrics.exists() and metrics.read_text().count('"loss"') > 3:
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=60) == 128 + signal.SIGTERM
    assert list((tmp_path / "out" / "lora-0" / RUN / "checkpoints").iterdir())
    assert not is_finished(tmp_path / "out" / "lora-0")


def test_the_moment_of_passing_lies_on_the_line_between_two_looks() -> None:
    steps = [{"step": n, "seconds": 60.0} for n in range(1, 5)]
    metrics = [{"accuracy": 0.0}, *steps[:2], {"accuracy": 0.4}, *steps[2:], {"accuracy": 0.8}]
    assert minutes_to(0.7, metrics) == pytest.approx(2 + 2 * 0.75)
    assert minutes_to(0.9, metrics) is None
    assert minutes_to(0.7, [{"accuracy": 0.8}]) == 0.0
