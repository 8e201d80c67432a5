"""A file → its rows as objects, whatever holds them. In: a path, out: the container's name and a stream of rows.

Containers: JSON Lines (read line by line), a JSON list, CSV and TSV. What a file is, is seen from its content; its
name only decides where the content leaves it open.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from nabot.data.encoding import Line, detect_encoding, read_lines
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.layouts import table_header

Container = Literal["jsonl", "json", "csv", "tsv", "unknown", "text"]

_PROBED_LINES = 20
_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_TABLE_SUFFIXES = (".csv", ".tsv")
_DELIMITERS = ",\t;"
_CELL_CHARACTERS = 1 << 30


@dataclass(frozen=True)
class RawRow:
    """One row as the container gives it: a parsed value, or the problem that kept it from being parsed."""

    number: int  # from 1
    value: Any


@dataclass(frozen=True)
class RawFile:
    """A file that was opened; `rows` can be walked once. `header` are the columns of a table.

    There are no rows where the container is "unknown" (a table without a known header) or "text" (no table at all).
    """

    container: Container
    encoding: str
    rows: Iterator[RawRow]
    header: tuple[str, ...] = ()


def open_rows(path: Path) -> RawFile:
    """Looks at the beginning of the file and gets ready to stream it. Raises DataError if it is not a text file."""
    encoding = detect_encoding(path)
    lines = read_lines(path, encoding)
    head = list(islice(lines, _PROBED_LINES))
    lines = chain(head, lines)
    texts = [line.text for line in head if line.text and line.text.strip()]
    first = texts[0].lstrip() if texts else ""
    if first.startswith("[") and not (len(texts) > 1 and _is_whole(first)):
        return RawFile("json", encoding, _list_rows(lines))
    delimiter = "" if first.startswith("{") else _delimiter(first)
    if delimiter:
        header = tuple(_cells(first, delimiter))
        return RawFile("tsv" if delimiter == "\t" else "csv", encoding, _table_rows(lines, delimiter), header)
    if (
        path.suffix.lower() in _JSON_SUFFIXES
        or not texts
        or any(text.lstrip().startswith(("{", "[")) for text in texts)
    ):
        return RawFile("jsonl", encoding, _line_rows(lines))
    delimiter = _likely_delimiter(path, texts)
    header = tuple(_cells(first, delimiter)) if delimiter else (first.strip(),)
    return RawFile("unknown" if delimiter else "text", encoding, iter(()), header)


def _is_whole(line: str) -> bool:
    """Whether a line that begins a list also ends it: then it is a row of JSON Lines, though not a good one."""
    return not isinstance(_parsed(line), Problem)


def is_table(container: Container) -> bool:
    """Whether rows have columns rather than keys."""
    return container in ("csv", "tsv")


def _line_rows(lines: Iterator[Line]) -> Iterator[RawRow]:
    """JSON Lines; blank lines are no rows, yet count as lines. One object spread over the whole file is a row, too."""
    first = next((line for line in lines if line.text is None or line.text.strip()), None)
    if first is None:
        return
    if first.text is not None and first.text.strip() == "{":
        rest = list(lines)
        yield _spread_object([first, *rest])
        return
    for line in chain([first], lines):
        if line.text is None:
            yield RawRow(line.number, _undecodable(line))
        elif line.text.strip():
            yield RawRow(line.number, _parsed(line.text))


def _spread_object(lines: list[Line]) -> RawRow:
    bad = next((line for line in lines if line.text is None), None)
    if bad:
        return RawRow(bad.number, _undecodable(bad))
    return RawRow(lines[0].number, _parsed("".join(line.text or "" for line in lines)))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return _broken_json(error)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; thousands of brackets
        return problem("broken_json", column=1, reason=error, seen=excerpt(text.strip()))


def _broken_json(error: json.JSONDecodeError) -> Problem:
    """Where the JSON broke, with the text around that place."""
    at = max(0, error.pos - 12)
    return problem("broken_json", column=error.colno, reason=error.msg, seen=excerpt(error.doc[at : at + 30].strip()))


def _undecodable(line: Line) -> Problem:
    """The problem of a line whose bytes are no text."""
    return problem("undecodable", offset=line.bad_byte)


def _list_rows(lines: Iterator[Line]) -> Iterator[RawRow]:
    """The elements of one JSON list, counted from 1. Nothing can be read behind the first break in it."""
    texts = []
    for line in lines:
        if line.text is None:
            yield RawRow(line.number, _undecodable(line))
            return
        texts.append(line.text)
    text = "".join(texts)
    del texts
    yield from _elements(text)


def _elements(text: str) -> Iterator[RawRow]:
    decoder = json.JSONDecoder()
    number = 1
    at = _skip_space(text, text.index("[") + 1)
    try:
        while text[at : at + 1] != "]":
            value, at = decoder.raw_decode(text, at)
            yield RawRow(number, value)
            number += 1
            at = _behind_comma(text, _skip_space(text, at))
        if rest := text[at + 1 :].strip():
            raise json.JSONDecodeError("Extra data", text, text.index(rest, at + 1))
    except json.JSONDecodeError as error:
        yield RawRow(number, _broken_list(text, error))
    except (ValueError, RecursionError) as error:  # as in `_parsed`
        yield RawRow(number, _broken_list(text, json.JSONDecodeError(str(error), text, at)))


def _broken_list(text: str, error: json.JSONDecodeError) -> Problem:
    seen = excerpt(text[error.pos : error.pos + 30].strip())
    return problem("broken_list", line=error.lineno, column=error.colno, reason=error.msg, seen=seen)


def _behind_comma(text: str, at: int) -> int:
    """Where the next element or the closing bracket stands; a comma before the bracket is let pass."""
    if text[at : at + 1] == ",":
        return _skip_space(text, at + 1)
    if text[at : at + 1] != "]":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return at


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _table_rows(lines: Iterator[Line], delimiter: str) -> Iterator[RawRow]:
    """Records of a table as {column: cell}, numbered as a spreadsheet numbers its rows: the header is row 1."""
    csv.field_size_limit(_CELL_CHARACTERS)  # the default, 131,072 characters, is less than a long answer
    bad: list[Line] = []
    reader = csv.reader(_decoded(lines, bad), delimiter=delimiter, strict=True)
    header: list[str] = []
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield RawRow(number, problem("broken_table", line=reader.line_num, reason=str(error)))
            continue
        for line in bad:
            yield RawRow(number, _undecodable(line))
            number += 1
        bad.clear()
        if not any(cell.strip() for cell in cells):
            number -= not header  # blank lines above the header are not rows
        elif not header:
            header = cells
        else:
            yield RawRow(number, _record(header, cells))
    for i, line in enumerate(bad):
        yield RawRow(number + i, _undecodable(line))


def _record(header: list[str], cells: list[str]) -> dict[str, str] | Problem:
    """Cells beyond the header mean that a comma inside a text was not quoted: the text would be cut short."""
    if any(cell.strip() for cell in cells[len(header) :]):
        return problem("ragged_row", seen=len(cells), expected=len(header))
    return dict(zip(header, cells, strict=False))


def _decoded(lines: Iterator[Line], bad: list[Line]) -> Iterator[str]:
    for line in lines:
        if line.text is None:
            bad.append(line)
        else:
            yield line.text


def _delimiter(line: str) -> str:
    """What separates the columns if this line is the header of a table that nabot knows; otherwise empty."""
    return next((d for d in _DELIMITERS if d in line and table_header(_cells(line, d))), "")


def _likely_delimiter(path: Path, lines: list[str]) -> str:
    """What cuts lines without a known header into cells: it stands equally often in each. Empty for plain text."""
    delimiter = max(_DELIMITERS, key=lines[0].count)
    counts = {line.count(delimiter) for line in lines}
    is_table = path.suffix.lower() in _TABLE_SUFFIXES or (len(lines) > 1 and len(counts) == 1 and counts != {0})
    return delimiter if is_table else ""


def _cells(line: str, delimiter: str) -> list[str]:
    first = line.strip("\r\n").partition("\r")[0]  # a lone "\r" ends a line, too, for the csv module
    try:
        return next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return first.split(delimiter)
