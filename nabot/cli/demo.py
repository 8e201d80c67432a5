"""`nabot demo`: the whole road on the demo café's data. In: a folder for the bot, out: the bot, and a chat with it.

It runs nothing but the verbs, each printed as a person would type it for their own data.
"""

import os
import shlex
import sys
from importlib.resources import files
from pathlib import Path

from nabot.bot import is_finished, is_unfinished
from nabot.cli import run
from nabot.cli.hints import hint_at_korean_base
from nabot.cli.output import tell
from nabot.text import say

_BASE, _EPOCHS = "smollm2", "3.5"  # epochs, not minutes, so that a slow machine learns as much


def run_demo(out: Path, *, force: bool) -> None:
    """Pulls, checks, tunes, examines, chats; a bot that is there already is not tuned again unless `force`."""
    rows, facts, exam = (_short(name) for name in ("conversations.jsonl", "facts.md", "exam.jsonl"))
    hint_at_korean_base(_BASE)
    _step("pull", _BASE)
    _step("data", "check", rows, "--exam", exam)
    if is_finished(out) and not force:
        tell(say("demo.already_tuned", out=out))
    elif is_unfinished(out) and not force:
        _step("tune", "--resume", str(out))
    else:
        _step("tune", rows, "--base", _BASE, "--out", str(out), "--epochs", _EPOCHS, *(["--force"] if force else []))
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


def _short(name: str) -> str:
    """The demo's file, relative to where the person stands if that is shorter."""
    path = str(files("nabot") / "demo" / name)
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive, on Windows
        return path
    return min(path, near, key=len)
