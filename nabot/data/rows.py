"""A file → its rows as objects, whatever holds them. In: a path, out: the container's name and a stream of rows.

Containers: JSON Lines, a JSON list, CSV and TSV, each of any size. What a file is, is seen from its content; its name
only decides where the content leaves it open.
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from nabot.data.encoding import Line, detect_encoding, read_lines, read_pieces
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.jsonlists import elements
from nabot.data.layouts import table_header

Container = Literal["jsonl", "json", "csv", "tsv", "xlsx", "parquet", "text"]

_PROBED_LINES = 20
JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv")
_DELIMITERS = ",\t;"
_SEP_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?\r?\n?', re.IGNORECASE)
_CELL_CHARACTERS = 1 << 24  # a quote that is never closed takes in all that follows, and must end somewhere


@dataclass(frozen=True)
class RawRow:
    """One row as the container gives it: a parsed value, or the problem that kept it from being parsed."""

    number: int  # from 1
    value: Any


@dataclass(frozen=True)
class RawFile:
    """A file that was opened; `rows` can be walked once. `header` are the columns of a table, known ones or not.

    A "text" is no container of rows: there are none, and its header is its first line.
    """

    container: Container
    encoding: str
    rows: Iterator[RawRow]
    header: tuple[str, ...] = ()


def open_rows(path: Path) -> RawFile:
    """Looks at the beginning of the file and gets ready to stream it. Raises DataError if it is not a text file."""
    encoding = detect_encoding(path)
    if _is_list(path, encoding):
        return RawFile(
            "json", encoding, (RawRow(one.number, one.value) for one in elements(read_pieces(path, encoding)))
        )
    lines = read_lines(path, encoding)
    said, head = _said_delimiter(list(islice(lines, _PROBED_LINES)))
    lines = chain(head, lines)
    texts = [line.text for line in head if line.text and line.text.strip()]
    first = texts[0].lstrip() if texts else ""
    delimiter = said or ("" if first.startswith("{") else known_delimiter(first))
    if not delimiter:
        is_json = path.suffix.lower() in JSON_SUFFIXES or not texts
        if is_json or any(text.lstrip().startswith(("{", "[")) for text in texts):
            return RawFile("jsonl", encoding, _line_rows(lines))
        delimiter = _likely_delimiter(path, texts)
    if not delimiter:
        return RawFile("text", encoding, iter(()), (first.strip(),))
    header = tuple(_cells(first, delimiter))
    return RawFile("tsv" if delimiter == "\t" else "csv", encoding, _table_rows(lines, delimiter), header)


def _is_list(path: Path, encoding: str) -> bool:
    """Whether the file is one JSON list. A line that both begins and ends one, with others behind it, is a row."""
    start = (next(read_pieces(path, encoding)).text or "").lstrip()
    first, line_break, rest = start.partition("\n")
    return first.startswith("[") and not (line_break and rest.strip() and not isinstance(_parsed(first), Problem))


def is_table(container: Container) -> bool:
    """Whether rows have columns rather than keys."""
    return container in ("csv", "tsv", "xlsx", "parquet")


def known_delimiter(line: str) -> str:
    """What separates the columns if this line is the header of a table that nabot knows; otherwise empty."""
    return next((d for d in _DELIMITERS if d in line and table_header(_cells(line, d))), "")


def says_delimiter(line: str) -> str:
    """What separates the columns if this is the line "sep=;" that Excel reads above a header; otherwise empty."""
    said = _SEP_LINE.fullmatch(line)
    return said[1] if said else ""


def _said_delimiter(head: list[Line]) -> tuple[str, list[Line]]:
    """What Excel's line says, and the lines with a blank one in its place: it is no row, and the others keep their numbers."""
    at = next((i for i, line in enumerate(head) if line.text is None or line.text.strip()), None)
    said = "" if at is None else says_delimiter(head[at].text or "")
    blank = [replace(line, text="\n") if i == at else line for i, line in enumerate(head)]
    return said, blank if said else head


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
        return json.loads(text.rstrip())  # else a break at the end is told as one of the next line
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


def _table_rows(lines: Iterator[Line], delimiter: str) -> Iterator[RawRow]:
    """Records of a table as {column: cell}, numbered as a spreadsheet numbers its rows: the header is row 1."""
    csv.field_size_limit(_CELL_CHARACTERS)  # the default, 131,072, is less than a long answer
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


def _likely_delimiter(path: Path, lines: list[str]) -> str:
    """What cuts lines without a known header into cells: it stands equally often in each. Empty for plain text."""
    delimiter = max(_DELIMITERS, key=lines[0].count)
    counts = {line.count(delimiter) for line in lines}
    is_table = path.suffix.lower() in TABLE_SUFFIXES or (len(lines) > 1 and len(counts) == 1 and counts != {0})
    return delimiter if is_table else ""


def _cells(line: str, delimiter: str) -> list[str]:
    first = line.strip("\r\n").partition("\r")[0]  # a lone "\r" ends a line, too, for the csv module
    try:
        return next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return first.split(delimiter)
