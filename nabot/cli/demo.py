"""`nabot demo`: the whole road on a demo café's data. In: a folder for the bot, out: the bot, and a chat with it.

It runs nothing but the verbs, each printed as a person would type it for their own data. Which café it is, only a person
says: the locale of their system changes no demo.
"""

import os
import shlex
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from nabot.bot import is_finished, is_unfinished
from nabot.cli import run
from nabot.cli.hints import hint_at_korean_base
from nabot.cli.output import tell
from nabot.text import say


@dataclass(frozen=True)
class Demo:
    """A café, and what becomes its bot."""

    folder: str  # in nabot/demo
    base: str
    tuning: tuple[str, ...]  # by epochs, not minutes, so that a slow machine learns as much
    bot: Path


ENGLISH = Demo(".", "smollm2", ("--epochs", "3.5"), Path("bots/dal-cafe"))
KOREAN = Demo("ko", "gemma3-270m", ("--epochs", "3.25"), Path("bots/dorongi"))


def chosen_demo() -> Demo:
    """By the language that was asked for."""
    return KOREAN if os.environ.get("NABOT_LANG", "").lower().startswith("ko") else ENGLISH


def run_demo(demo: Demo, out: Path | None, *, force: bool) -> None:
    """Pulls, checks, tunes, examines, chats; a bot that is there already is not tuned again unless `force`."""
    out = out or demo.bot
    rows, facts, exam = (_short(demo, name) for name in ("conversations.jsonl", "facts.md", "exam.jsonl"))
    hint_at_korean_base(demo.base)
    _step("pull", demo.base)
    _step("data", "check", rows, "--exam", exam)
    if is_finished(out) and not force:
        tell(say("demo.already_tuned", out=out))
    elif is_unfinished(out) and not force:
        _step("tune", "--resume", str(out))
    else:
        _step("tune", rows, "--base", demo.base, "--out", str(out), *demo.tuning, *(["--force"] if force else []))
    _step("exam", str(out), exam, "--facts", facts)
    if sys.stdin.isatty() and sys.stdout.isatty():
        _step("chat", str(out))
    else:
        tell(say("demo.no_terminal", out=out))


def _step(*arguments: str) -> None:
    """One verb. Leaves with its exit status if it fails; it has explained itself already."""
    tell(f"\n$ nabot {shlex.join(arguments)}")
    status = run(list(arguments))
    if status:
        raise SystemExit(status)


def _short(demo: Demo, name: str) -> str:
    """The demo's file, relative to where the person stands if that is shorter."""
    path = os.path.normpath(str(files("nabot") / "demo" / demo.folder / name))
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive, on Windows
        return path
    return min(path, near, key=len)
