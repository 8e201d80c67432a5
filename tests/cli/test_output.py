"""The progress of a tuning run, on terminals of any width; and the one line of --json."""

import json
from types import SimpleNamespace

import pytest
from rich.text import Text

from nabot.cli.output import LineBar, put_json
from nabot.recipes.showing import step_line

NUMBERS = ("120/350", "loss 2.345", "tokens/s", "left", "B")  # MB or GB: the memory of this process


def shown(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What stands on a terminal of so many columns after a step."""
    monkeypatch.setenv("COLUMNS", str(width))
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm")):  # a terminal, as far as rich knows
        monkeypatch.setenv(name, value)
    bar = LineBar("tuning")
    state = SimpleNamespace(step=120, seconds=100.0, total_steps=350, tokens=123_456, seconds_left=191.7)
    bar.show(120, 350, step_line(state, SimpleNamespace(loss=2.345)))
    bar.stop()
    return Text.from_ansi(capsys.readouterr().err).plain


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_terminal_of_any_width_shows_all_numbers(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = shown(width, monkeypatch, capsys)
    assert [number for number in NUMBERS if number not in " ".join(told.split())] == []
    assert "…" not in told


def test_a_wide_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "━" in shown(80, monkeypatch, capsys)


def test_the_name_of_a_file_in_another_encoding_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a\udcb0.jsonl", "가.jsonl"):
        put_json({"file": name})
        assert json.loads(capsys.readouterr().out) == {"file": name}
