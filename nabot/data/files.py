"""The files that a person brings → conversations. In: paths, out: conversations with their rows, and every fault.

Nothing is converted by hand first: the layout and the encoding are detected, and named in the report. A fault in a row
never ends the reading; only a file that cannot be read at all does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data.encoding import detect_encoding, read_lines
from nabot.data.exams import ExamQuestion, read_exam, scan_exam
from nabot.data.faults import Fault, Problem, excerpt, listing, num_faulty_rows, problem
from nabot.data.kinds import looks_like_exam
from nabot.data.layouts import ANSWERS, LAYOUTS, QUESTIONS, Layout, choose_layout, nearest_layout
from nabot.data.rows import RawFile, RawRow, open_rows
from nabot.data.validate import conversation_or_problems, nfc
from nabot.errors import DataError
from nabot.text import counted, say

__all__ = [
    "ExamQuestion",
    "Fault",
    "Scan",
    "conversations_from",
    "read_conversations",
    "read_exam",
    "read_text",
    "scan_conversations",
    "scan_exam",
    "scan_file",
]

_PROBED_ROWS = 20
_NAMES_SHOWN = 8


@dataclass(frozen=True)
class Scan:
    """All that was found in one file."""

    file: str
    container: str  # "jsonl", "json", "csv", "tsv"
    layout: str  # a name of `LAYOUTS`; empty if no row could be parsed
    encoding: str
    conversations: list[tuple[int, Conversation]]  # (row from 1, conversation)
    faults: list[Fault]

    @property
    def num_rows(self) -> int:
        """Good and faulty rows together."""
        return len(self.conversations) + num_faulty_rows(self.faults)


def scan_conversations(path: Path) -> tuple[list[tuple[int, Conversation]], list[Fault]]:
    """The good rows, with their number from 1, and everything that is wrong with the others.

    Raises DataError only for the file as a whole: missing, empty, not text, an unknown layout, an exam.
    """
    scan = scan_file(path)
    return scan.conversations, scan.faults


def scan_file(path: Path) -> Scan:
    """`scan_conversations` with the container, layout and encoding that were detected."""
    raw = open_rows(path)
    if raw.container in ("unknown", "text"):
        raise _no_rows_of_ours(path, raw)
    head = _head(raw.rows)
    if looks_like_exam(_objects(head)):
        raise DataError(say("data.is_exam", path=path))
    layout = choose_layout(_objects(head))
    if layout is None and (keys := _keys(head)):
        raise _unknown_layout(path, keys)
    conversations: list[tuple[int, Conversation]] = []
    faults: list[Fault] = []
    for row in chain(head, raw.rows):
        result = _converted(row, layout or LAYOUTS[0])
        if isinstance(result, Conversation):
            conversations.append((row.number, result))
        else:
            faults += [found.at(str(path), row.number) for found in result]
    if not conversations and not faults:
        raise DataError(say("data.no_rows", path=path))
    return Scan(str(path), raw.container, layout.name if layout else "", raw.encoding, conversations, faults)


def read_conversations(
    paths: Sequence[Path], *, skip_faulty: bool = False, on_skip: Callable[[list[Fault]], None] | None = None
) -> list[Conversation]:
    """The conversations of all files in order; `on_skip` hears of the faults that `skip_faulty` passed over.

    Raises DataError listing the first 20 faults, or if no row is left.
    """
    scans = [scan_file(path) for path in paths]
    faults = [fault for scan in scans for fault in scan.faults]
    conversations = [conversation for scan in scans for _, conversation in scan.conversations]
    if faults and (not skip_faulty or not conversations):
        rows = counted("count.rows", sum(scan.num_rows for scan in scans))
        files = ", ".join(scan.file for scan in scans)
        bad = num_faulty_rows(faults)
        next_step = say("data.skip_faulty" if conversations else "data.nothing_left")
        raise DataError(say("data.faulty", files=files, bad=bad, rows=rows, listing=listing(faults), next=next_step))
    if faults and on_skip:
        on_skip(faults)
    return conversations


def conversations_from(rows: Sequence[Conversation | Mapping[str, Any]]) -> list[Conversation]:
    """Rows out of a program, in any layout that a file may have. Raises DataError listing the first 20 faults."""
    place = "<conversations>"
    mappings = [row for row in rows if not isinstance(row, Conversation)]
    layout = choose_layout(mappings[:_PROBED_ROWS]) or LAYOUTS[0]
    conversations: list[Conversation] = []
    faults: list[Fault] = []
    for number, row in enumerate(rows, start=1):
        result = row if isinstance(row, Conversation) else _converted(RawRow(number, dict(row)), layout)
        if isinstance(result, Conversation):
            conversations.append(result)
        else:
            faults += [found.at(place, number) for found in result]
    if faults or not conversations:
        bad, num_rows = num_faulty_rows(faults), counted("count.rows", len(rows))
        fields = {"files": place, "bad": bad, "rows": num_rows, "listing": listing(faults)}
        raise DataError(say("data.faulty", **fields, next=say("data.nothing_left")))
    return conversations


def read_text(path: Path) -> str:
    """A whole text file, such as the facts of an exam: decoded, in NFC, lines ended by "\\n".

    Raises DataError if it is missing, empty, or not text (with the line and the byte).
    """
    texts = []
    encoding = detect_encoding(path)
    for line in read_lines(path, encoding):
        if line.text is None:
            fields = {"row": line.number, "offset": line.bad_byte, "encoding": encoding}
            raise DataError(say("data.undecodable", path=path, **fields))
        texts.append(line.text)
    text = nfc("".join(texts).replace("\r\n", "\n"))
    if not text.strip():
        raise DataError(say("data.empty", path=path, size=path.stat().st_size))
    return text


def _converted(row: RawRow, layout: Layout) -> Conversation | list[Problem]:
    value = row.value
    if isinstance(value, Problem):
        return [value]
    if not isinstance(value, dict):
        return [problem("not_object", seen=excerpt(value))]
    converted = layout.convert(value)
    return [converted] if isinstance(converted, Problem) else conversation_or_problems(converted)


def _head(rows: Iterator[RawRow]) -> list[RawRow]:
    """Rows up to the twentieth that is an object: enough to see the layout."""
    head: list[RawRow] = []
    num_objects = 0
    for row in rows:
        head.append(row)
        num_objects += isinstance(row.value, dict)
        if num_objects == _PROBED_ROWS:
            break
    return head


def _objects(rows: Sequence[RawRow]) -> list[Mapping[str, Any]]:
    return [row.value for row in rows if isinstance(row.value, dict)]


def _keys(rows: Sequence[RawRow]) -> tuple[str, ...]:
    """All keys of the rows, in the order of their first appearance."""
    return tuple(dict.fromkeys(key for row in _objects(rows) for key in row))


def _no_rows_of_ours(path: Path, raw: RawFile) -> DataError:
    """The error of a file that is neither JSON nor a table with a known header."""
    seen = ", ".join(map(excerpt, raw.header[:_NAMES_SHOWN]))
    if raw.container == "text":
        return DataError(say("data.plain_text", path=path, seen=seen))
    names = {"questions": ", ".join(QUESTIONS), "answers": ", ".join(ANSWERS)}
    return DataError(say("data.unknown_header", path=path, seen=seen, **names))


def _unknown_layout(path: Path, keys: Sequence[str]) -> DataError:
    known = "; ".join(f"{layout.name} ({', '.join(layout.keys)})" for layout in LAYOUTS)
    seen = ", ".join(excerpt(key) for key in keys[:_NAMES_SHOWN])
    near = nearest_layout(keys)
    if near is None:
        return DataError(say("data.unknown_layout", path=path, seen=seen, known=known))
    wanted = ", ".join(near.keys)
    return DataError(say("data.unknown_layout_near", path=path, seen=seen, known=known, near=near.name, keys=wanted))
