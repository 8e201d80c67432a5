"""`nabot exam`, on a terminal: what is said about the report."""

import shutil
from pathlib import Path

import pytest
from tiny_model import questions, write_rows

from nabot.cli import run


@pytest.fixture
def exam(tmp_path: Path) -> str:
    return str(write_rows(tmp_path / "exam.jsonl", questions()))


def test_a_bare_model_is_said_to_have_no_report(
    tiny_model_folder: Path, exam: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["exam", str(tiny_model_folder), exam]) == 0
    assert "a model has no folder for a report" in capsys.readouterr().err


def test_the_report_of_a_bot_is_named(
    tiny_bot_folder: Path, tmp_path: Path, exam: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = Path(shutil.copytree(tiny_bot_folder, tmp_path / "bot"))
    assert run(["exam", str(bot), exam]) == 0
    assert f"report: {bot / 'report' / 'report.html'}" in capsys.readouterr().err
