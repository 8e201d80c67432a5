"""Excel workbooks that say less, or more, than their header does; what their header must say is in the golden files."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest

from nabot.data.faults import Fault
from nabot.data.imports.limits import MOST_UNPACKED
from nabot.data.imports.types import Asked, Item
from nabot.data.imports.workbook import WorkbookReader
from nabot.errors import DataError


def workbook(path: Path, *rows: Sequence[object]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    book.save(path)
    return path


def read(path: Path, **columns: str) -> list[Item]:
    return list(WorkbookReader().read(path, Asked(columns)))


def test_a_text_beyond_the_header_is_a_fault_of_its_row_alone(tmp_path: Path):
    rows = (["question", "answer"], ["Tea?", "Yes."], ["Milk?", "Cow's", None, "or oat"], ["Cake?", "No.", " "])
    items = read(workbook(tmp_path / "a.xlsx", *rows))
    (fault,) = [item for item in items if isinstance(item, Fault)]
    assert (fault.row, fault.field, fault.kind) == (3, "D", "beyond_header")
    assert '"or oat"' in fault.message
    assert "column B" in fault.message
    assert len(items) == 4  # the format, two rows, the fault


def test_an_unnamed_column_within_the_table_is_for_remarks(tmp_path: Path):
    rows = (["question", None, "answer"], ["Tea?", "ask Mina", "Yes."])
    assert not [item for item in read(workbook(tmp_path / "a.xlsx", *rows)) if isinstance(item, Fault)]


def test_two_columns_of_one_name_are_refused_where_they_are_read(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", ["question", "Answer", "answer ", "short"], ["Tea?", "Yes.", "No.", "Yes"])
    with pytest.raises(DataError, match=r'"Answer" \(2\), "answer " \(3\).*--map'):
        read(path)
    assert len(read(path, question="question", answer="short")) == 2


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path):
    path = workbook(tmp_path / "a.xlsx", ["question", "answer"], ["Tea?", "Yes."])
    big = (zipfile.ZipInfo("xl/sharedStrings2.xml"), bytes(MOST_UNPACKED + 1), zipfile.ZIP_DEFLATED, 1)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(*big)
    with pytest.raises(DataError, match=r"sharedStrings2.xml in it unpacks to .*expected at most 268\.4 MB"):
        read(path)
