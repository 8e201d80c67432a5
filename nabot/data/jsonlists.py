"""JSON lists of any size → their elements, one in memory at a time. In: pieces of text, out: elements counted from 1.

A list may be one line of gigabytes, as `json.dump` writes it, so the text is taken in piece by piece and let go of
behind each element. Nothing can be read behind the first break in it.
"""

import json
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from nabot.data.encoding import Line
from nabot.data.faults import Problem, excerpt, problem

_LONGEST_LITERAL = (
    12  # characters: "-Infinity", or a pair of escapes; what breaks nearer to the end may only be cut off
)
_LONGEST_OPENING = 64  # characters, of a key with its bracket
_PIECE_CHARACTERS = 1 << 20
_parse: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class Element:
    """An element, or the problem behind which nothing can be read. All are counted from 1."""

    list_number: int
    number: int
    value: Any


def elements(pieces: Iterator[Line], key: str = "") -> Iterator[Element]:
    """The elements of the list that the text is, or of every list under `key`, wherever that stands outside of such a list.

    A quote inside a JSON text is written \\", so `"key": [` can stand for nothing but a key.
    """
    window = _Window(pieces)
    if not key:
        if window.next_character() != "[":
            return
        window.at += 1
        yield from _one_list(window, 1, is_all=True)
        return
    opening = re.compile(rf'"{re.escape(key)}"\s*:\s*\[')
    list_number, is_whole = 0, True
    while is_whole and window.skip_past(opening):
        list_number += 1
        is_whole = yield from _one_list(window, list_number)


def pieces_of(file: TextIO) -> Iterator[Line]:
    """An open file in pieces of a million characters."""
    return (Line(1, piece) for piece in iter(lambda: file.read(_PIECE_CHARACTERS), ""))


def _one_list(window: "_Window", list_number: int, *, is_all: bool = False) -> Generator[Element, None, bool]:
    """The elements from behind the bracket on, perhaps a problem as the last one; returns whether the list was whole."""
    number = 1
    try:
        while window.next_character() != "]":
            value = window.value()
            yield Element(list_number, number, value)
            number += 1
            window.skip_comma()
        window.at += 1
        if is_all and window.next_character():
            raise window.error("Extra data")
    except json.JSONDecodeError as error:
        yield Element(list_number, number, window.problem(error))
        return False
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        yield Element(list_number, number, window.problem(window.error(str(error))))
        return False
    return True


class _Window:
    """The part of the text that is in memory; `at` is where reading goes on."""

    def __init__(self, pieces: Iterator[Line]) -> None:
        self.text, self.at = "", 0
        self._pieces = pieces
        self._line, self._column = 1, 1  # of text[0]
        self._bad_byte = -1

    def skip_past(self, opening: re.Pattern[str]) -> bool:
        """Goes on behind the next place that matches; False if there is none."""
        while not (match := opening.search(self.text, self.at)):
            self.at = max(self.at, len(self.text) - _LONGEST_OPENING)
            if not self._take_more():
                return False
        self.at = match.end()
        return True

    def next_character(self) -> str:
        """The first character that is no white space; empty at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at].isspace():
                self.at += 1
            if self.at < len(self.text) or not self._take_more():
                return self.text[self.at : self.at + 1]

    def value(self) -> Any:
        """The value that begins here."""
        while True:
            try:
                value, end = _parse(self.text, self.at)
            except json.JSONDecodeError as error:
                if self._may_be_cut_off(error) and self._take_more():
                    continue
                raise
            if end + len("e+") >= len(self.text) and self._take_more():  # a number may go on in the next piece
                continue
            self.at = end
            return value

    def skip_comma(self) -> None:
        """To the next value or the closing bracket; a comma before the bracket is let pass."""
        character = self.next_character()
        if character == ",":
            self.at += 1
        elif character != "]":
            raise self.error("Expecting ',' delimiter")

    def error(self, reason: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(reason, self.text, self.at)

    def problem(self, error: json.JSONDecodeError) -> Problem:
        """Where the list broke, with the text around that place."""
        if self._bad_byte >= 0:
            return problem("undecodable", offset=self._bad_byte)
        line, column = self._place(error.pos)
        seen = excerpt(self.text[error.pos : error.pos + 30].strip())
        return problem("broken_list", line=line, column=column, reason=error.msg, seen=seen)

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column in the whole text, from 1."""
        num_breaks = self.text.count("\n", 0, position)
        if not num_breaks:
            return self._line, self._column + position
        return self._line + num_breaks, position - self.text.rindex("\n", 0, position)

    def _may_be_cut_off(self, error: json.JSONDecodeError) -> bool:
        is_open_text = error.msg.startswith("Unterminated string")  # told of where the text begins
        return is_open_text or error.pos >= len(self.text) - _LONGEST_LITERAL

    def _take_more(self) -> bool:
        """Lets go of what was read, and takes in at least as much as there is left; False at the end, where all stays.

        As much: parsing a long value again for each new piece would take the square of its length.
        """
        wanted, taken = len(self.text) - self.at + 1, []
        while wanted > 0 and (piece := next(self._pieces, None)) is not None:
            if piece.text is None:
                self._bad_byte = piece.bad_byte
                break
            taken.append(piece.text)
            wanted -= len(piece.text)
        if not any(taken):
            return False
        self._line, self._column = self._place(self.at)
        self.text, self.at = "".join([self.text[self.at :], *taken]), 0
        return True
