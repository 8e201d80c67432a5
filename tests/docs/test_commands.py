"""Every `nabot …` line of the documentation is a command that the real parser takes. Nothing is run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from nabot.cli.app import app

ROOT = Path(__file__).parents[2]
READMES = [*sorted(ROOT.glob("README*.md")), ROOT / "nabot/demo/starter/README.md"]
PAGES = [*sorted((ROOT / "docs").glob("**/*.md")), ROOT / "nabot/demo/README.md"]
_BLOCK = re.compile(r"^ *(?:```|~~~)[^\n]*\n(.*?)^ *(?:```|~~~) *$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^(?: {4}|\t)(.*)$", re.MULTILINE)
_COMMAND = re.compile(r"^\s*(?:[$>]|Example:|예:)?\s*(nabot [a-z-].*)$", re.MULTILINE)
_OPTIONAL = re.compile(r"[\[\]…]|\.\.\.")


def commands(page: Path) -> list[str]:
    """The lines of its code blocks that begin with nabot, lines that end with \\ joined."""
    text = page.read_text(encoding="utf-8")
    blocks = [*_BLOCK.findall(text), "\n".join(_INDENTED.findall(_BLOCK.sub("", text)))]
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [match.strip() for match in _COMMAND.findall(joined)]


def _all() -> Iterator[tuple[str, str]]:
    for page in [*READMES, *PAGES]:
        for command in commands(page):
            yield str(page.relative_to(ROOT)), command


def parse(arguments: list[str]) -> None:
    """Takes the arguments apart as the command line does, and calls nothing; raises what a person would be told."""
    parser = typer.main.get_command(app)
    _do_nothing(parser)
    parser(arguments, standalone_mode=False)


def _do_nothing(command: Any) -> None:
    command.callback = lambda **_: None
    for inner in getattr(command, "commands", {}).values():
        _do_nothing(inner)


@pytest.mark.parametrize("page", READMES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_readme_shows_commands(page: Path) -> None:
    assert commands(page)


@pytest.mark.parametrize(("page", "command"), list(_all()))
def test_a_documented_command_is_one_that_nabot_takes(page: str, command: str) -> None:
    arguments = shlex.split(command, comments=True)[1:]
    assert not any(_OPTIONAL.search(argument) for argument in arguments), "a command that cannot be typed as it stands"
    help_only = {"--help", "--version"} & set(arguments)
    if arguments and not help_only:
        parse(arguments)


def test_a_command_that_nabot_does_not_take_would_be_found() -> None:
    for wrong in (
        ["tune", "rows.jsonl", "--epoch", "3"],
        ["tun", "rows.jsonl"],
        ["exam", "bots/mine"],
        ["data", "cheque"],
    ):
        with pytest.raises(Exception, match=r"(?i)no such|missing"):
            parse(wrong)
    parse(["tune", "rows.jsonl", "--base", "smollm2", "--out", "bots/mine"])
    parse(["data", "check", "rows.jsonl"])
