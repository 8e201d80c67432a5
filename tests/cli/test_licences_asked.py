"""`--accept-license NAME` anywhere, and the question on a terminal."""

import io
import os
import sys
from pathlib import Path

import pytest

from nabot.cli.licences import accepting, agreed, without_accepted
from nabot.errors import ConfigError, LicenceNotAccepted
from nabot.sources.acceptance import require_accepted

PAGE = "\n".join(["Terms of Use", "", "You agree."] + [f"Line {n}." for n in range(40)]).encode()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NABOT_ACCEPT_LICENSE", raising=False)
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def refused() -> LicenceNotAccepted:
    with pytest.raises(LicenceNotAccepted) as caught:
        require_accepted("gemma3-270m", "gemma", PAGE)
    return caught.value


@pytest.mark.parametrize(
    "arguments", [["--accept-license", "gemma", "pull", "x"], ["pull", "--accept-license=gemma", "x"]]
)
def test_the_flag_may_stand_anywhere(arguments: list[str]) -> None:
    assert without_accepted(arguments) == (["pull", "x"], ["gemma"])


def test_behind_the_end_of_flags_nothing_is_accepted() -> None:
    arguments = ["chat", "bots/mine", "--", "--accept-license", "gemma"]
    assert without_accepted(arguments) == (arguments, [])


@pytest.mark.parametrize("arguments", [["--accept-license", "gema"], ["pull", "--accept-license"]])
def test_an_unknown_or_missing_name_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"no such licence.*Known: gemma"):
        without_accepted(arguments)


@pytest.mark.parametrize("before", [None, "other"])
def test_what_is_accepted_holds_for_one_command(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if before:
        monkeypatch.setenv("NABOT_ACCEPT_LICENSE", before)
    with accepting(["gemma"]):
        require_accepted("gemma3-270m", "gemma", PAGE)
    assert os.environ.get("NABOT_ACCEPT_LICENSE") == before


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("yes\n", True),
        ("Y\n", True),
        ("네\n", True),
        ("what?\nyes\n", True),
        ("no\n", False),
        ("\n", False),
        ("", False),
    ],
)
def test_a_terminal_is_asked_once(typed: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    error, screen = refused(), Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(sys, "stderr", screen)
    assert agreed(error) is expected
    assert str(error.terms) in screen.getvalue()
    assert "You agree." in screen.getvalue()
    assert "Line 39." not in screen.getvalue()
    if expected:
        require_accepted("gemma3-270m", "gemma", PAGE)
    else:
        refused()


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert agreed(refused()) is False


def test_a_command_goes_on_after_a_yes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from nabot.cli import run

    def needs_it(*_: object, **__: object) -> None:
        require_accepted("gemma3-270m", "gemma", PAGE)
        (tmp_path / "done").touch()

    monkeypatch.setattr("nabot.cli.inventory.pull_model", needs_it)
    assert run(["pull", "gemma3-270m"]) == 2
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert run(["pull", "gemma3-270m"]) == 0
    assert (tmp_path / "done").exists()
