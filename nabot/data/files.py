"""The files that a person brings → conversations. In: paths, out: conversations with their rows, and every fault.

Nothing is converted by hand first: the layout and the encoding are detected, and named in the report. A fault in a row
never ends the reading; only a file that cannot be read at all does.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data.encoding import detect_encoding, read_lines
from nabot.data.exams import ExamQuestion, read_exam, scan_exam
from nabot.data.faults import Fault, listing, num_faulty_rows
from nabot.data.imports.types import Preference
from nabot.data.judged import PROBED_ROWS, JudgedRow, judge, judged_row
from nabot.data.layouts import MESSAGES, choose_layout
from nabot.data.notes import Note
from nabot.data.rows import RawRow, open_rows
from nabot.data.validate import nfc
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


@dataclass(frozen=True)
class Scan:
    """All that was found in one file."""

    file: str
    container: str = ""  # "jsonl", "json", "csv", "tsv"
    layout: str = ""  # a name of `LAYOUTS`; empty if no row could be parsed
    encoding: str = ""
    conversations: list[tuple[int, Conversation]] = field(default_factory=list)  # row from 1; several of one seed task
    faults: list[Fault] = field(default_factory=list)
    templates: Counter[str] = field(default_factory=Counter)  # that prompts carried, and that were taken off them

    @property
    def num_rows(self) -> int:
        """Good and faulty rows together."""
        return len({number for number, _ in self.conversations} | {fault.row for fault in self.faults})


def scan_conversations(path: Path) -> tuple[list[tuple[int, Conversation]], list[Fault]]:
    """The good rows, with their number from 1, and everything that is wrong with the others.

    Raises DataError only for the file as a whole: missing, empty, not text, an unknown layout, an exam, pairs of answers.
    """
    scan = scan_file(path)
    return scan.conversations, scan.faults


def scan_file(path: Path, on_row: Callable[[JudgedRow], None] = lambda _: None) -> Scan:
    """`scan_conversations` with the container, layout and encoding that were detected; `on_row` hears of every row."""
    raw = open_rows(path)
    judged = judge(path, raw)
    return collected(Scan(str(path), raw.container, judged.layout, raw.encoding), judged.rows, on_row)


def collected(scan: Scan, rows: Iterator[JudgedRow], on_row: Callable[[JudgedRow], None] = lambda _: None) -> Scan:
    """The scan with all rows in it. Raises DataError at a pair of answers."""
    for row in rows:
        if isinstance(row.found, Preference):
            raise DataError(say("data.is_preferences", path=scan.file, row=row.number))
        on_row(row)
        if isinstance(row.found, Conversation):
            scan.conversations.append((row.number, row.found))
            scan.templates.update([row.template] if row.template else [])
        else:
            scan.faults.extend(found.at(scan.file, row.number) for found in row.found)
    return scan


def read_conversations(
    paths: Sequence[Path],
    *,
    skip_faulty: bool = False,
    on_skip: Callable[[list[Fault]], None] | None = None,
    on_note: Callable[[Note], None] = lambda _: None,
) -> list[Conversation]:
    """The conversations of all files in order; `on_skip` hears of the faults that `skip_faulty` passed over, `on_note`
    of what was done to rows.

    Raises DataError listing the first 20 faults, or if no row is left.
    """
    scans = [scan_file(path) for path in paths]
    faults = [fault for scan in scans for fault in scan.faults]
    conversations = [conversation for scan in scans for _, conversation in scan.conversations]
    if not skip_faulty or not conversations:
        require_good(scans)
    if faults and on_skip:
        on_skip(faults)
    for note in template_notes(scans):
        on_note(note)
    return conversations


def require_good(scans: Sequence[Scan]) -> None:
    """Raises DataError listing the first 20 faults, if there are any."""
    faults = [fault for scan in scans for fault in scan.faults]
    if not faults:
        return
    files, rows = ", ".join(scan.file for scan in scans), counted("count.rows", sum(scan.num_rows for scan in scans))
    next_step = say("data.skip_faulty" if any(scan.conversations for scan in scans) else "data.nothing_left")
    fields = {"files": files, "bad": num_faulty_rows(faults), "rows": rows, "listing": listing(faults)}
    raise DataError(say("data.faulty", **fields, next=next_step))


def template_notes(scans: Sequence[Scan]) -> Iterator[Note]:
    """Which templates the prompts of all files carried, and in how many rows."""
    counts = sum((scan.templates for scan in scans), Counter[str]())
    for template, count in counts.most_common():
        yield Note("template", say("data.note.template", rows=counted("count.rows", count), name=template))


def conversations_from(rows: Sequence[Conversation | Mapping[str, Any]]) -> list[Conversation]:
    """Rows out of a program, in any layout that a file may have. Raises DataError listing the first 20 faults."""
    mappings = [row for row in rows if not isinstance(row, Conversation)]
    layout = choose_layout(mappings[:PROBED_ROWS]) or MESSAGES
    raw = (RawRow(n, row if isinstance(row, Conversation) else dict(row)) for n, row in enumerate(rows, start=1))
    scan = collected(Scan("<conversations>"), (judged for row in raw for judged in judged_row(row, layout)))
    if scan.faults or not scan.conversations:
        bad, num_rows = num_faulty_rows(scan.faults), counted("count.rows", len(rows))
        fields = {"files": scan.file, "bad": bad, "rows": num_rows, "listing": listing(scan.faults)}
        raise DataError(say("data.faulty", **fields, next=say("data.nothing_left")))
    return [conversation for _, conversation in scan.conversations]


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
