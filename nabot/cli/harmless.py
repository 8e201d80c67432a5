"""A model's text → text that cannot command a terminal. In: pieces as they come, out: the same without control codes.

An escape sequence can rename the window, write to the clipboard or hide what was said before. Sequences are taken out
whole, also where a piece ends in their middle; every other control character but newline and tab goes too.
"""

import re

# Source: ECMA-48, §5.4 (CSI), §5.6 (control strings), §5.3 and ECMA-35 §13.2 (the other sequences).
# A control string ends at a newline at the latest: one stray ESC must not swallow an answer.
_CSI = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*"
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*"
_ESCAPE = r"\x1b[ -/]*"
_CONTROL = re.compile(rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\|\x9c)|{_ESCAPE}[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNFINISHED = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|{_ESCAPE})\Z")


class HarmlessStream:
    """Takes control codes out of text that comes in pieces; all pushes and `finish` equal `harmless` of the whole."""

    def __init__(self) -> None:
        self._held = ""  # the beginning of a sequence whose end has not come yet

    def push(self, piece: str) -> str:
        """What is safe to show now."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:]
        return _CONTROL.sub("", text[:end])

    def finish(self) -> str:
        """What was held back and turned out to be no sequence."""
        held, self._held = self._held, ""
        return _CONTROL.sub("", held)


def harmless(text: str) -> str:
    """A whole text at once."""
    return _CONTROL.sub("", text)
