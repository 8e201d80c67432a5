"""Lists inside a JSON file, an element at a time. In: an open file, out: elements; the file may be larger than memory.

What stands around the lists is passed over. Python's own decoder reads each element from a window that slides over the file.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TextIO

from nabot.data.faults import Problem, excerpt, problem

_CHUNK_CHARACTERS = 1 << 20
_LONGEST_OPENING = 64
_CUT_CHARACTERS = 16  # a word, number or escape that is cut in two fails this near to the end of what was read


@dataclass(frozen=True)
class Element:
    """An element, or the problem behind which nothing can be read. All are counted from 1."""

    list_number: int
    number: int
    value: Any


def elements(file: TextIO, key: str = "") -> Iterator[Element]:
    """The elements of every list under `key`, wherever that stands outside of such a list; without a key those of the file.

    A quote inside a JSON text is written \\", so `"key": [` can stand for nothing but a key.
    """
    opening = re.compile(rf'"{re.escape(key)}"\s*:\s*\[' if key else r"\A\s*\[")
    window = _Window(file)
    list_number = 0
    while window.skip_past(opening):
        list_number += 1
        for number in count(1):
            try:
                if window.next_character() == "]":
                    break
                value = window.value()
            except json.JSONDecodeError as error:
                yield Element(list_number, number, window.broken(error))
                return
            yield Element(list_number, number, value)


class _Window:
    """The part of the file that is in memory, and where in it we are."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._lines_before = 0
        self._columns_before = 0  # of the line in which the window begins

    def skip_past(self, opening: re.Pattern[str]) -> bool:
        """Goes on behind the next place that matches; False if there is none."""
        while True:
            if match := opening.search(self._text, self._at):
                self._at = match.end()
                return True
            self._at = max(self._at, len(self._text) - _LONGEST_OPENING)
            if not self._more():
                return False

    def next_character(self) -> str:
        """What stands next, behind white space and commas. Raises JSONDecodeError at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n,":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                raise json.JSONDecodeError("the file ends inside the list", self._text, self._at)

    def value(self) -> Any:
        """The value that begins here. Raises JSONDecodeError if there is none."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._text, self._at)
                if end < len(self._text) - _CUT_CHARACTERS or not self._more():  # 12 may be the beginning of 12.3
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                is_cut = error.pos > len(self._text) - _CUT_CHARACTERS or error.msg.startswith("Unterminated")
                if not is_cut or not self._more():
                    raise
            except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
                raise json.JSONDecodeError(str(error), self._text, self._at) from error

    def broken(self, error: json.JSONDecodeError) -> Problem:
        """Where and why nothing more could be read."""
        seen = excerpt(self._text[error.pos : error.pos + 30].strip())
        line = self._lines_before + error.lineno
        column = error.colno + self._columns_before * (error.lineno == 1)
        return problem("broken_list", line=line, column=column, reason=error.msg, seen=seen)

    def _more(self) -> bool:
        """Reads on, at least as much as is left, so that a long element is not tried again and again."""
        chunk = self._file.read(max(_CHUNK_CHARACTERS, len(self._text) - self._at))
        if not chunk:
            return False
        lines = self._text.count("\n", 0, self._at)
        self._lines_before += lines
        self._columns_before = self._at - (self._text.rfind("\n", 0, self._at) + 1) + self._columns_before * (not lines)
        self._text = self._text[self._at :] + chunk
        self._at = 0
        return True
