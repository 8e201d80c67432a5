'''What a person types → whole messages. In: lines, out: messages; and the history of what was typed.

A line that ends with a backslash goes on in the next one; """ opens and closes a block, whose text is taken as it is.
'''

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nabot.conversation import nfc
from nabot.text import say

Read = Callable[[str], str]  # prompt → one line without its end; EOFError where there are no more
_QUOTES = '"""'
_HISTORY_LINES = 1000


@dataclass(frozen=True)
class Typed:
    """One message. In a block nothing is a command."""

    text: str
    is_block: bool = False

    @property
    def is_command(self) -> bool:
        return not self.is_block and self.text.startswith("/") and not self.text.startswith("//")

    @property
    def message(self) -> str:
        """What to send: "//" at the beginning stands for "/"."""
        return self.text[1:] if not self.is_block and self.text.startswith("//") else self.text


def read_typed(read: Read) -> Typed:
    """The next message. Raises EOFError at the end; what had been begun before the end still counts."""
    line = _line(read, say("chat.prompt"))
    if line.lstrip().startswith(_QUOTES):
        return Typed(_block(read, line.lstrip().removeprefix(_QUOTES)), is_block=True)
    return Typed(_continued(read, line).strip())


def _continued(read: Read, line: str) -> str:
    lines = []
    while line.endswith("\\"):
        lines.append(line.removesuffix("\\"))
        try:
            line = _line(read, say("chat.prompt_more"))
        except EOFError:
            line = ""
    return "\n".join([*lines, line])


def _block(read: Read, first: str) -> str:
    lines = []
    line = first
    while not line.rstrip().endswith(_QUOTES):
        lines.append(line)
        try:
            line = _line(read, say("chat.prompt_more"))
        except EOFError:
            line = _QUOTES
    return "\n".join([*lines, line.rstrip().removesuffix(_QUOTES)]).strip("\n")


def _line(read: Read, prompt: str) -> str:
    """In NFC, as the training rows are; bytes that are no text are replaced."""
    line = read(prompt).encode("utf-8", "replace").decode().removeprefix("\ufeff")  # PowerShell pipes begin with a BOM
    return nfc(line)


def read_line(prompt: str) -> str:
    """A line from standard input: edited, with its history, at a terminal; as it comes, without prompt, from a pipe."""
    _replace_what_is_no_text()
    if sys.stdin.isatty() and sys.stdout.isatty():
        return input(prompt)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")


def _replace_what_is_no_text() -> None:
    """Standard input's bytes that its encoding does not know become U+FFFD; has to be said before the first line."""
    if isinstance(sys.stdin, io.TextIOWrapper) and sys.stdin.errors != "replace":
        with contextlib.suppress(io.UnsupportedOperation):  # read from already
            sys.stdin.reconfigure(errors="replace")


@contextlib.contextmanager
def history(file: Path | None) -> Iterator[None]:
    """Line editing, and what was typed in earlier chats on the arrow keys. Windows' console has its own."""
    try:
        import readline
    except ImportError:
        yield
        return
    if "libedit" not in (readline.__doc__ or ""):
        readline.parse_and_bind("set enable-bracketed-paste on")  # a pasted paragraph is one message, not many
    readline.set_history_length(_HISTORY_LINES)
    readline.clear_history()
    if file:
        with contextlib.suppress(OSError):  # none yet, or written by another editing library
            readline.read_history_file(file)
    try:
        yield
    finally:
        if file:
            with contextlib.suppress(OSError):  # a history is a comfort: a full disk must not end a chat with an error
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(mode=0o600)  # it holds what a person said
                readline.write_history_file(file)
