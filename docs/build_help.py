"""docs/commands.md from the help texts of the commands themselves, so that the two never differ. Run by `make docs`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from nabot.artifacts import write_file
from nabot.cli.app import app

WIDTH = "80"
HEAD = """# Commands

Written by `make docs` from the help texts; change those in `nabot/text.py`, not this file.

Every command but `chat` and `demo` takes `--json`: then standard output holds one line with one JSON object and nothing
else, and what is meant for people goes to standard error. `--debug`, anywhere, shows stack traces;
`--accept-license NAME`, anywhere, or `NABOT_ACCEPT_LICENSE=NAME` accepts the terms of a model that has some.

Exit status: 0 done · 1 checked, and the answer is no · 2 the input is wrong · 3 the outside failed (network, disk) ·
70 a bug in nabot · 130, 143 stopped by a signal.
"""


def main() -> None:
    place = Path(__file__).with_name("commands.md")
    sections = [
        f"## {' '.join(path)}\n\n```text\n{help_of(path)}\n```\n" for path in commands(typer.main.get_command(app))
    ]
    write_file(place, "\n".join([HEAD, *sections]))
    print(place)


def commands(command: Any, path: tuple[str, ...] = ("nabot",)) -> Iterator[tuple[str, ...]]:
    """The command and all below it, in the order in which --help lists them."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """What `--help` prints on a terminal of a fixed width."""
    result = CliRunner().invoke(app, [*path[1:], "--help"], prog_name="nabot", env={"COLUMNS": WIDTH})
    assert result.exit_code == 0, f"{' '.join(path)} --help: {result.output}"
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


if __name__ == "__main__":
    main()
