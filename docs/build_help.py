"""docs/commands.md and commands.ko.md from the help texts of the commands themselves, so that they never differ.

Run by `make docs`.
"""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from nabot.artifacts import write_file
from nabot.cli import app as verbs
from nabot.cli import data_verbs, flags

WIDTH = "80"
ENGLISH = """# Commands

Written by `make docs` from the help texts; change those in `nabot/text.py`, not this file.

Every command but `chat` and `demo` takes `--json`: then standard output holds one line with one JSON object and nothing
else, and what is meant for people goes to standard error; sentences are English then, whatever the language.
`--debug`, anywhere, shows stack traces. `--lang ko`, anywhere, speaks Korean, as `NABOT_LANG=ko` and a Korean locale do.
`--accept-license NAME`, anywhere, or `NABOT_ACCEPT_LICENSE=NAME` accepts the terms of a model that has some.

Exit status: 0 done · 1 checked, and the answer is no · 2 the input is wrong · 3 the outside failed (network, disk) ·
70 a bug in nabot · 130, 143 stopped by a signal.
"""
KOREAN = """# 명령

`make docs`가 도움말에서 만듭니다. 이 파일이 아니라 `nabot/text_ko.py`의 글을 고치십시오.

`chat`과 `demo`를 뺀 모든 명령에 `--json`을 쓸 수 있습니다. 그러면 표준 출력에는 JSON 객체 하나가 든 한 줄만 나오고, 사람이
읽을 것은 표준 오류로 나옵니다. 이때 문장은 언어와 관계없이 영어입니다. `--debug`는 어디에 붙이든 스택 추적을 보여 줍니다.
`--lang ko`는 어디에 붙이든 한국어로 말하며, `NABOT_LANG=ko`나 한국어 로캘도 그렇습니다. `--lang en`은 영어입니다.
`--accept-license 이름`을 어디에 붙이거나 `NABOT_ACCEPT_LICENSE=이름`을 두면 약관이 있는 모델의 약관에 동의합니다.

종료 상태: 0 완료 · 1 검사했고 답이 '아니요' · 2 입력이 잘못됨 · 3 바깥의 실패(네트워크, 디스크) · 70 nabot의 버그 ·
130, 143 신호로 멈춤.
"""
PAGES = {"commands.md": ("en", ENGLISH), "commands.ko.md": ("ko", KOREAN)}


def main() -> None:
    for name, (language, head) in PAGES.items():
        place = Path(__file__).with_name(name)
        write_file(place, page(language, head))
        print(place)


def page(language: str, head: str) -> str:
    """All help in one language."""
    os.environ["NABOT_LANG"] = language
    for module in (flags, data_verbs, verbs):  # whose texts are said when they are built
        importlib.reload(module)
    app = verbs.app
    shown = [(path, help_of(app, path)) for path in commands(typer.main.get_command(app))]
    return "\n".join([head, *(f"## {' '.join(path)}\n\n```text\n{told}\n```\n" for path, told in shown)])


def commands(command: Any, path: tuple[str, ...] = ("nabot",)) -> Iterator[tuple[str, ...]]:
    """The command and all below it, in the order in which --help lists them."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def help_of(app: typer.Typer, path: tuple[str, ...]) -> str:
    """What `--help` prints on a terminal of a fixed width."""
    result = CliRunner().invoke(app, [*path[1:], "--help"], prog_name="nabot", env={"COLUMNS": WIDTH})
    assert result.exit_code == 0, f"{' '.join(path)} --help: {result.output}"
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


if __name__ == "__main__":
    main()
