"""The hint that a Korean base exists: to whom, when, and only once."""

from pathlib import Path

import pytest

from nabot.cli.hints import hint_at_korean_base

NAMES = ("NABOT_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    for name in NAMES:
        monkeypatch.setenv(name, "")


def hinted(base: str, capsys: pytest.CaptureFixture[str]) -> str:
    hint_at_korean_base(base)
    return capsys.readouterr().err


def test_a_korean_system_is_told_once_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    first = hinted("smollm2", capsys)
    assert "--base gemma3-270m" in first
    assert first.count("\n") == 1
    assert hinted("smollm2", capsys) == ""


@pytest.mark.parametrize("base", ["gemma3-270m", "./my-own", "hf:org/name", ""])
def test_nobody_is_told_who_chose_korean_or_a_base_of_their_own(
    base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert hinted(base, capsys) == ""


def test_other_systems_are_told_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert hinted("smollm2", capsys) == ""
