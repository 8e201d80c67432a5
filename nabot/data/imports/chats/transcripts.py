"""Chats that programs save as text. In: lines, and how a line begins a message; out: messages.

A line that begins nothing belongs to the message before it.
"""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nabot.data.encoding import Line, detect_encoding, read_lines
from nabot.data.faults import Fault, problem
from nabot.data.imports.chats.messages import ChatMessage, Piece
from nabot.data.imports.types import Dropped

_CELL_CHARACTERS = 1 << 30


@dataclass(frozen=True)
class Beginning:
    """The first line of a message. Without a name it is the program that speaks; without a text, too, it is only a date."""

    name: str = ""
    text: str = ""
    time: datetime | None = None


Written = tuple[str, str]  # what a person wrote; where that is nothing, what else it was: "photo", "deleted"


def transcript(
    path: Path, begins: Callable[[str], Beginning | None], written: Callable[[str], Written]
) -> Iterator[Piece]:
    """The messages of a text file. What stands above the first is the file's heading, and not counted."""
    begun: Beginning | None = None
    row, more = 0, []
    for line in read_lines(path, detect_encoding(path)):
        if line.text is None:
            yield undecodable(path, line)
            continue
        text = line.text.rstrip("\r\n")
        beginning = begins(text)
        if beginning is None:
            more.append(text)
            continue
        yield from _finished(begun, row, more, written)
        begun, row, more = beginning, line.number, []
    yield from _finished(begun, row, more, written)


def _finished(begun: Beginning | None, row: int, more: list[str], written: Callable[[str], Written]) -> Iterator[Piece]:
    if begun is None or not (begun.name or begun.text):
        return
    text, reason = written("\n".join([begun.text, *more]).strip()) if begun.name else ("", "system_message")
    yield ChatMessage(begun.name, text, row, begun.time) if text else Dropped(reason or "empty", str(row))


def records(path: Path, needed: Iterable[str], piece: Callable[[dict[str, str], int], Piece]) -> Iterator[Piece]:
    """What `piece` makes of each record of a table with these columns, and of its row, the header being row 1.

    A text in quotes may have several lines. What cannot be read is a fault.
    """
    csv.field_size_limit(_CELL_CHARACTERS)
    bad: list[Line] = []
    reader = csv.reader(_decoded(path, bad), strict=True)
    header: list[str] = []
    row = 0
    while True:
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield problem("broken_table", line=reader.line_num, reason=str(error)).at(str(path), row)
            continue
        if not header:
            header = cells
            if missing := [column for column in needed if column not in header]:
                yield problem("missing_field", missing[0], wanted=missing[0]).at(str(path), row)
                return
        elif len(cells) > len(header):
            yield problem("ragged_row", seen=len(cells), expected=len(header)).at(str(path), row)
        elif any(cells):
            yield piece(dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=True)), row)
    yield from (undecodable(path, line) for line in bad)


def _decoded(path: Path, bad: list[Line]) -> Iterator[str]:
    for line in read_lines(path, detect_encoding(path)):
        if line.text is None:
            bad.append(line)
        else:
            yield line.text


def undecodable(path: Path, line: Line) -> Fault:
    """A line whose bytes are no text."""
    return problem("undecodable", offset=line.bad_byte).at(str(path), line.number)


def head_lines(head: bytes) -> list[str]:
    """The first lines of a file whose beginning this is, each in the encoding that it has; odd bytes are passed over."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", errors="ignore").splitlines()
    return [_line(raw) for raw in head.removeprefix(codecs.BOM_UTF8).splitlines()]


def _line(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp949", errors="ignore")
