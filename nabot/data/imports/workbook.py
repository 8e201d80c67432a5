"""Excel workbooks: every sheet whose header nabot knows, or has the columns that a person named. In: a path, out: items."""

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from nabot.data.columns import key_of, plain
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.imports.libraries import explained, explained_each, library
from nabot.data.imports.limits import MOST_UNPACKED
from nabot.data.imports.rows import row_items
from nabot.data.imports.types import Asked, Dropped, Item
from nabot.data.layouts import table_header
from nabot.data.rows import RawFile, RawRow
from nabot.errors import DataError
from nabot.text import human_bytes, say

_SUFFIXES = (".xlsx", ".xlsm", ".xls")
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # OLE: .xls itself, and an encrypted .xlsx
_MEMBER = "xl/workbook.xml"


class WorkbookReader:
    """`.xlsx` and its kin; the older `.xls` is only recognised, to say how to save it."""

    name = "xlsx"

    def recognises(self, path: Path, head: bytes) -> bool:
        """By its name or by what is in the zip."""
        return path.suffix.lower() in _SUFFIXES or (head.startswith(_ZIP) and _holds_workbook(path))

    def read(self, path: Path, asked: Asked) -> Iterator[Item]:
        """Raises DataError if it is no workbook, needs a password, unpacks to too much, or no sheet has a known header."""
        openpyxl = library("openpyxl", path)
        _require_readable(path)
        with path.open("rb") as file:  # by its path openpyxl would refuse a name that does not end in .xlsx
            _require_small_members(path, file)
            with warnings.catch_warnings(), explained(path):
                warnings.simplefilter("ignore")  # a workbook without styles is none the worse
                book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            with closing(book):
                yield from _items(path, book.worksheets, asked)


def _items(path: Path, sheets: Sequence[Any], asked: Asked) -> Iterator[Item]:
    filled = [sheet for sheet in sheets if len(list(zip(range(2), _records(path, sheet), strict=False))) == 2]
    fitting = [sheet for sheet in filled if _fits(_raw(path, sheet).header, asked)]
    if not filled:
        raise DataError(say("data.no_rows", path=path))
    for sheet in fitting or filled[:1]:  # of those that do not fit, the first one says in its error what it lacks
        label = path if len(sheets) == 1 else path.with_name(f"{path.name}[{sheet.title}]")
        yield from row_items(label, _raw(path, sheet), asked)
    for sheet in filled:
        if sheet not in fitting:
            yield Dropped("sheet_without_questions", sheet.title)


def _fits(header: Sequence[str], asked: Asked) -> bool:
    if asked.columns:
        return all(key_of(dict.fromkeys(header), (plain(theirs),)) for theirs in asked.columns.values())
    return table_header(header)


def _raw(path: Path, sheet: Any) -> RawFile:
    records = _records(path, sheet)
    _, header = next(records)
    while not header[-1].strip():  # cells that hold nothing but a format
        header.pop()
    rows = (RawRow(number, _record(path, header, cells)) for number, cells in records)
    return RawFile("xlsx", "", rows, tuple(header))


def _record(path: Path, header: Sequence[str], cells: Sequence[str]) -> dict[str, str] | Problem:
    """Cells beyond the header belong to no column: dropped in silence, a text in the wrong column would be lost."""
    beyond = next((i for i, cell in enumerate(cells) if i >= len(header) and cell.strip()), None)
    if beyond is None:
        missing = [""] * (len(header) - len(cells))  # empty cells at the end of a row are not in the file
        return dict(zip(header, [*cells, *missing], strict=False))
    letter = library("openpyxl.utils", path).get_column_letter
    return problem("beyond_header", letter(beyond + 1), seen=excerpt(cells[beyond]), last=letter(len(header)))


def _records(path: Path, sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """(row, cells) of all rows that are not blank, numbered as Excel does. The first of them is the header."""
    sheet.reset_dimensions()  # some programs write a wrong size into the file, and openpyxl would stop there
    for number, cells in enumerate(explained_each(path, sheet.iter_rows(values_only=True)), start=1):
        texts = [_text(cell) for cell in cells]
        if any(text.strip() for text in texts):
            yield number, texts


def _text(value: object) -> str:
    """A cell as it is shown, without its format: 3, not 3.0."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return str(value).replace("_x000D_", "")  # how Excel writes the first half of a line break


def _holds_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return _MEMBER in archive.namelist()
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return False


def _require_small_members(path: Path, file: BinaryIO) -> None:
    with explained(path), zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    for member in members:
        if member.file_size > MOST_UNPACKED:
            fields = {"member": member.filename, "seen": human_bytes(member.file_size)}
            raise DataError(say("import.large_workbook", path=path, limit=human_bytes(MOST_UNPACKED), **fields))


def _require_readable(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(_OLE))
    if path.suffix.lower() == ".xls" and not start.startswith(_ZIP):
        raise DataError(say("import.old_workbook", path=path))
    if start == _OLE:
        raise DataError(say("import.locked_workbook", path=path))
