"""Files whose rows are records of ours: seeds, passages. In: a path and a way to read a row, out: records, or all that is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nabot.data.faults import Fault, Problem, listing, num_faulty_rows
from nabot.data.rows import open_rows
from nabot.errors import DataError
from nabot.text import counted, say

T = TypeVar("T")


def read_records(path: Path, read: Callable[[Any, int], T | list[Problem]], next_step: str) -> list[T]:
    """What `read` makes of each row and its number from 1.

    Raises DataError, which lists the first 20 faults and says `next_step`, or if there is no row.
    """
    found: list[T] = []
    faults: list[Fault] = []
    num_rows = 0
    for row in open_rows(path).rows:
        num_rows += 1
        record = [row.value] if isinstance(row.value, Problem) else read(row.value, row.number)
        if isinstance(record, list):
            faults += [problem.at(str(path), row.number) for problem in record]
        else:
            found.append(record)
    if faults:
        rows, bad = counted("count.rows", num_rows), num_faulty_rows(faults)
        raise DataError(say("data.faulty", files=path, bad=bad, rows=rows, listing=listing(faults), next=next_step))
    if not found:
        raise DataError(say("data.no_rows", path=path))
    return found
