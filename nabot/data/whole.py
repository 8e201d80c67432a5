"""Rows as they stand in their file, with what they say. In: a path, out: rows, none of them faulty.

For what moves rows from file to file and must not lose the keys of theirs that nabot does not read (`category`, where a row
came from, remarks).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data.faults import FAULTS_LISTED, Fault, listing, num_faulty_rows
from nabot.data.files import Scan, collected
from nabot.data.judged import judge
from nabot.data.rows import RawRow, open_rows
from nabot.errors import DataError
from nabot.text import counted, say


@dataclass(frozen=True)
class WholeRow:
    """One row: the object in the file, and its conversations (several of a seed task with several instances)."""

    number: int  # from 1
    value: dict[str, Any]
    conversations: tuple[Conversation, ...]


def whole_rows(path: Path) -> Iterator[WholeRow]:
    """Every row, one in memory at a time.

    Raises DataError at the end if rows are faulty, listing the first 20 faults, so whoever writes rows must be ready to
    throw them away; at once for a file that cannot be read, or of pairs of answers.
    """
    raw = open_rows(path)
    values: dict[int, Any] = {}

    def remembered() -> Iterator[RawRow]:
        for row in raw.rows:
            values[row.number] = row.value
            yield row

    faults: list[Fault] = []
    num_rows = 0
    for number, judged in groupby(judge(path, replace(raw, rows=remembered())).rows, lambda row: row.number):
        scan = collected(Scan(str(path)), judged)
        num_rows += 1
        faults += scan.faults
        value = values.pop(number)
        if not scan.faults:
            yield WholeRow(number, value, tuple(conversation for _, conversation in scan.conversations))
    if faults:
        rows, bad = counted("count.rows", num_rows), num_faulty_rows(faults)
        fields = {"listing": listing(faults, most=FAULTS_LISTED), "next": say("data.correct_rows")}
        raise DataError(say("data.faulty", files=path, bad=bad, rows=rows, **fields))
