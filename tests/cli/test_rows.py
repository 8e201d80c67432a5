"""`nabot data check` as a person sees it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from tiny_model import conversations, questions, write_rows

from nabot.cli import run
from nabot.sources import registry

KOREAN = {"prompt": "몇 시에 여나요?", "completion": "7시에 엽니다."}


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert run(["data", "check", *arguments]) == status
    return capsys.readouterr().err


def rows(folder: Path, *more: Any, count: int = 100) -> str:
    good = [{"prompt": f"What is {i}?", "completion": f"The number {i}."} for i in range(count)]
    return str(write_rows(folder / "rows.jsonl", [*good, *more]))


def test_more_than_twenty_faults_are_all_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    seen = told(capsys, rows(tmp_path, *[{"prompt": "", "completion": "a"}] * 22), status=1)
    assert sum("empty question" in line for line in seen.splitlines()) == 22
    assert "more;" not in seen


def test_one_row_and_one_fault_are_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    seen = told(capsys, rows(tmp_path, {"prompt": "", "completion": "a"}, count=0), status=1)
    assert "1 row, layout" in seen
    assert "1 row, 1 fault to repair" in seen


def test_in_korean_every_line_of_a_check_is_korean(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("NABOT_LANG", "ko")
    seen = told(capsys, rows(tmp_path, {"prompt": "", "completion": "a"}, KOREAN), status=1)
    assert "행 102개, 고칠 문제 1건" in seen.splitlines()
    words = [line for line in seen.splitlines() if re.search("[A-Za-z]{3}", line.replace("rows.jsonl", ""))]
    assert [line for line in words if not re.search("[가-힣]", line)] == []


def test_korean_labels_stand_flush_with_their_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("NABOT_LANG", "ko")
    seen = told(capsys, rows(tmp_path, KOREAN))
    bars = [line for line in seen.splitlines() if re.search(r"\(\d+ %\)$", line)]
    assert len(bars) > 4
    assert {cell_len(re.split("[█▏▎▍▌▋▊▉]|  0 ", line)[0]) for line in bars} <= {18, 19}
    assert max(map(cell_len, bars)) <= 80


def test_a_good_exam_is_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    exam = str(write_rows(tmp_path / "exam.jsonl", questions(3)))
    seen = told(capsys, rows(tmp_path), "--exam", exam)
    assert f"{exam}: 3 questions" in seen.splitlines()


def test_few_rows_are_noted_and_are_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = str(write_rows(tmp_path / "rows.jsonl", conversations()))
    assert "note: 24 rows" in told(capsys, path)
    assert run(["data", "check", path, "--json"]) == 0
    assert [note["kind"] for note in json.loads(capsys.readouterr().out)["notes"]] == ["few_rows"]


def test_rows_in_hangul_are_noted_for_a_short_name_that_speaks_english(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    base = str(tiny_model_folder)
    monkeypatch.setattr("nabot.cli.rows.registry", lambda: (replace(registry()[0], name=base),))
    assert "note: 1 of 101 rows (1 %) in Hangul" in told(capsys, rows(tmp_path, KOREAN), "--base", base)


def test_a_row_without_colour_is_not_called_highlighted(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(["data", "show", rows(tmp_path), "--base", str(tiny_model_folder)]) == 0
    seen = capsys.readouterr().err
    assert "trained (in colour, where there is any)" in seen
    assert "highlighted" not in seen


def test_every_instance_of_a_seed_task_is_shown_with_its_number(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
):
    instances = [{"input": "abc", "output": "xyz"}, {"input": "d", "output": ""}, {"input": "e", "output": "ghi"}]
    path = str(write_rows(tmp_path / "seeds.jsonl", [{"instruction": "Say it", "instances": instances}]))
    assert run(["data", "show", path, "--base", str(tiny_model_folder)]) == 0
    seen = capsys.readouterr()
    assert [word for word in ("abc", "xyz", "ghi") if word not in seen.out] == []
    assert [line.partition(":")[0] for line in seen.err.splitlines() if line.startswith("row")] == [
        "row 1, instance 1 of 3",
        "row 1, instance 3 of 3",
    ]
    assert run(["data", "show", path, "--base", str(tiny_model_folder), "--json"]) == 0
    assert ["xyz" in one["text"] for one in json.loads(capsys.readouterr().out)["instances"]] == [True, False]


def test_a_repaired_file_is_written_checked_and_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, spoilt = tmp_path / "out.jsonl", {"prompt": "Is it op\u200ben today?", "completion": "Yes.</s>"}
    path = rows(tmp_path, spoilt, spoilt, {"prompt": "", "completion": "a"})
    seen = told(capsys, path, "--fix", str(out))
    assert "Repaired: template_mark 2 rows, zero_width 2 rows, duplicate 1 row." in seen
    assert "rows.jsonl:103:prompt: empty question" in seen
    assert f"{out}: 101 rows written." in seen


def test_what_a_person_must_decide_keeps_the_status_at_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = rows(tmp_path, {"prompt": "What is 1?", "completion": "Another number."})
    assert "only a person can decide" in told(capsys, path, "--fix", str(tmp_path / "out.jsonl"), status=1)


@pytest.mark.parametrize(("place", "force"), [("rows.jsonl", True), ("there.jsonl", False), ("folder", True)])
def test_no_file_is_repaired_in_place_or_overwritten_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, force: bool
):
    path, out = rows(tmp_path), tmp_path / place
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.jsonl").write_text("mine", encoding="utf-8")
    before = Path(path).read_bytes()
    told(capsys, path, "--fix", str(out), *["--force"] * force, status=2)
    assert (Path(path).read_bytes(), (tmp_path / "there.jsonl").read_text(encoding="utf-8")) == (before, "mine")


def test_with_a_base_lengths_are_tokens_and_long_rows_lose_their_oldest_turns(
    tmp_path: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
):
    turns = [{"role": role, "content": f"word {i} " * 12} for i in range(4) for role in ("user", "assistant")]
    path, out = str(write_rows(tmp_path / "rows.jsonl", [{"messages": turns}])), tmp_path / "out.jsonl"
    flags = ("--base", str(tiny_model_folder), "--max-length", "200")
    assert "tokens; expected at most 200" in told(capsys, path, *flags, status=1)
    seen = told(capsys, path, *flags, "--fix", str(out))
    assert "too_long 1 row" in seen
    assert "length in tokens" in seen
    assert 0 < len(json.loads(out.read_text(encoding="utf-8"))["messages"]) < len(turns)
