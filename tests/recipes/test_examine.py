"""An exam of a bot: what becomes of its last report."""

import shutil
from pathlib import Path

import pytest
from tiny_model import questions, write_rows

from nabot.artifacts import read_json
from nabot.recipes.exam import ExamWatcher, examine


@pytest.fixture
def tiny_bot(tmp_path: Path, tiny_bot_folder: Path) -> Path:
    return Path(shutil.copytree(tiny_bot_folder, tmp_path / "bot"))


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "exam.jsonl", questions())


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.md"
    path.write_text("The tea is number 0.", encoding="utf-8")
    return path


def test_losing_the_column_of_the_facts_is_said_before_anyone_sits(tiny_bot: Path, exam: Path, facts: Path) -> None:
    examine(str(tiny_bot), exam, facts=facts)
    told: list[str] = []
    examine(str(tiny_bot), exam, watcher=ExamWatcher(note=told.append, sitting=lambda who, _: told.append(who)))
    assert "without --facts the new one will not" in told[0]
    assert told[1:] == ["base", "tuned"]
    assert "prompted" not in read_json(tiny_bot / "report" / "report.json")["results"]


def test_nothing_is_said_where_no_column_is_lost(tiny_bot: Path, exam: Path, facts: Path) -> None:
    told: list[str] = []
    for given in (None, facts, facts):
        examine(str(tiny_bot), exam, facts=given, watcher=ExamWatcher(note=told.append))
    assert told == []


def test_a_damaged_report_is_written_anew(tiny_bot: Path, exam: Path) -> None:
    (tiny_bot / "report").mkdir(exist_ok=True)
    (tiny_bot / "report" / "report.json").write_text("[", encoding="utf-8")
    examine(str(tiny_bot), exam)
    assert set(read_json(tiny_bot / "report" / "report.json")["results"]) == {"base", "tuned"}
