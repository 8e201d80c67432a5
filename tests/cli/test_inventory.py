"""`nabot list` and its kin: what is there is shown, also beside something damaged."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nabot.cli import run
from nabot.cli.inventory import fits


@pytest.fixture
def bots(tmp_path: Path, tiny_bot_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two bots that were examined."""
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    for name in ("bad", "good"):
        report = shutil.copytree(tiny_bot_folder, tmp_path / "bots" / name) / "report" / "report.json"
        report.parent.mkdir(exist_ok=True)
        report.write_text('{"results": {"tuned": {"accuracy": 0.75}}}', encoding="utf-8")
    return tmp_path / "bots"


def listed(bots: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    assert run(["list", str(bots), "--json"]) == 0
    return {Path(row["bot"]).name: row for row in json.loads(capsys.readouterr().out)["bots"]}


def test_bots_are_listed_with_what_they_scored(bots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(bots, capsys)
    assert [(row["accuracy"], row["damaged"]) for row in rows.values()] == [(0.75, [])] * 2


def test_a_damaged_record_hides_no_other_bot(bots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bots / "bad" / "bot.toml").write_text("base = ", encoding="utf-8")
    rows = listed(bots, capsys)
    assert rows["bad"]["damaged"] == ["bot.toml"]
    assert rows["good"]["base"]
    assert run(["list", str(bots)]) == 0
    assert capsys.readouterr().out.count("(damaged)") == 1


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"results": 3}', '{"results": {"tuned": {"accuracy": "good"}}}'])
def test_a_damaged_report_hides_neither_its_bot_nor_another(
    content: str, bots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bots / "bad" / "report" / "report.json").write_text(content, encoding="utf-8")
    rows = listed(bots, capsys)
    assert rows["bad"]["damaged"] == ["report/report.json"]
    assert rows["bad"]["base"] == rows["good"]["base"]
    assert run(["list", str(bots)]) == 0
    assert capsys.readouterr().out.count("(damaged)") == 1
    assert run(["show", str(bots / "bad")]) == 0
    assert "(damaged)" in capsys.readouterr().err


class Typed(io.StringIO):
    """A terminal on which this was typed."""

    def isatty(self) -> bool:
        return True


def test_a_bot_stays_where_the_person_says_no(
    bots: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Typed("n\n"))
    assert run(["rm", str(bots / "good")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"{bots / 'good'}: not deleted"
    assert (bots / "good" / "bot.toml").is_file()


def test_a_bot_is_deleted_where_the_person_says_yes(bots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Typed("y\n"))
    assert run(["rm", str(bots / "good")]) == 0
    assert [path.name for path in bots.iterdir()] == ["bad"]


def test_nobody_is_asked_about_what_is_not_there(
    bots: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Typed("y\n"))
    assert run(["rm", "nix"]) == 2
    told = capsys.readouterr().err
    assert "no such source" in told
    assert "Delete" not in told


def test_the_bot_that_another_goes_on_from_is_shown(bots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = bots / "good" / "manifest.json"
    values = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**values, "from": "bots/first"}), encoding="utf-8")
    assert run(["show", str(bots / "good")]) == 0
    assert "  from      bots/first\n" in capsys.readouterr().err


def test_a_bot_that_goes_on_from_none_is_shown(bots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(bots / "good")]) == 0
    assert "  from      –\n" in capsys.readouterr().err


def test_a_model_fits_where_its_weights_and_a_run_do() -> None:
    smollm2 = 134_515_008  # a run on it takes 1.8 GB at most, as measured
    assert fits(smollm2, 2_000_000_000)
    assert not fits(smollm2, 1_500_000_000)
