"""What a person sees of a chat. In: answers and notes, out: text on the terminal, or answers alone in a pipe."""

import os
import sys
from collections.abc import Callable

from nabot.cli.harmless import HarmlessStream, harmless

Write = Callable[[str], None]

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


def write_out(text: str) -> None:
    """To standard output at once. A letter that its encoding lacks becomes "?" instead of an error."""
    _write(sys.stdout.write, sys.stdout.encoding, text)
    sys.stdout.flush()


def write_aside(text: str) -> None:
    """To standard error."""
    _write(sys.stderr.write, sys.stderr.encoding, text)


def _write(write: Callable[[str], int], encoding: str | None, text: str) -> None:
    encoding = encoding or "utf-8"
    write(text.encode(encoding, "replace").decode(encoding, "replace"))


class Screen:
    """Answers as they come, free of control codes; notes in dim letters between them."""

    def __init__(self, write: Write, *, interactive: bool, coloured: bool) -> None:
        self.interactive = interactive
        self._write, self._coloured = write, coloured
        self._stream = HarmlessStream()
        self._last = "\n"  # the last character shown

    def piece(self, text: str) -> None:
        """The next piece of an answer."""
        self._show(self._stream.push(text))

    def end_of_answer(self) -> None:
        """Shows what was held back and ends the line."""
        self._show(self._stream.finish())
        if self._last != "\n":
            self._show("\n")

    def tell(self, text: str) -> None:
        """What the person asked nabot for; in a pipe it goes beside the answers, to standard error."""
        show = self._show if self.interactive else write_aside
        show(f"{harmless(text)}\n")

    def note(self, text: str) -> None:
        """A remark that may be overlooked."""
        if self._coloured:
            self._show(f"{_DIM}{harmless(text)}{_PLAIN}\n")
        else:
            self.tell(text)

    def free_line(self) -> None:
        """At a terminal: room before the next prompt, or the end of a line that was left with a key."""
        if self.interactive:
            self._show("\n")

    def _show(self, text: str) -> None:
        if text:
            self._write(text)
            self._last = text[-1]


def wants_colour() -> bool:
    """A terminal that understands colours, and a person who has not said NO_COLOR (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return False
    return sys.platform != "win32" or "WT_SESSION" in os.environ  # older Windows consoles show the codes themselves
