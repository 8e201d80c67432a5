"""What each reader of rows gives for whole files, damaged ones among them: compared with `golden/NAME.expected`.

Workbooks and Parquet files are written here, by the libraries that programs write them with.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nabot.conversation import Conversation
from nabot.data.faults import Fault
from nabot.data.imports.importing import HEAD_BYTES
from nabot.data.imports.registry import reader_of
from nabot.data.imports.types import Asked, Changed, Dropped, Format, Item, Passage, Preference
from nabot.errors import DataError

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.name for path in GOLDEN.iterdir() if path.suffix != ".expected")
COLUMNS = {
    "mapped.tsv": {"question": "문의내용", "answer": "답변내용"},
    "mapped.xlsx": {"question": "물음글", "answer": "풀이"},
    "mapped.parquet": {"question": "Body", "answer": "Reply"},
}
_LIBRARYS_WORDS = re.compile(r"(cannot be read: ).*(\. It may be damaged)")  # which change with its version


def told(item: Item) -> dict[str, Any]:
    """An item as a line of a golden file."""
    if isinstance(item, Conversation | Preference | Passage):
        return item.as_dict()
    if isinstance(item, Fault):
        return {"fault": item.kind, "row": item.row, "field": item.field, "file": Path(item.file).name}
    if isinstance(item, Format):
        return {"format": item.name, "details": item.details}
    if isinstance(item, Dropped):
        return {"dropped": item.reason, "place": item.place}
    assert isinstance(item, Changed)
    return {"changed": item.kind, "name": item.name}


def lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        reader = reader_of(path, file.read(HEAD_BYTES))
    assert reader is not None
    found: list[dict[str, Any]] = []
    try:
        found.extend(map(told, reader.read(path, Asked(COLUMNS.get(path.name, {})))))
    except DataError as error:
        text = str(error).replace(str(path), path.name)
        found.append({"error": _LIBRARYS_WORDS.sub(r"\1…\2", text)})
    return [json.dumps(line, ensure_ascii=False) for line in found]


def compare(path: Path) -> None:
    expected = GOLDEN / f"{path.name}.expected"
    assert lines(path) == expected.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", FILES)
def test_a_text_file_gives_what_its_golden_file_says(name: str):
    compare(GOLDEN / name)


# ---- workbooks


def workbook(path: Path, **sheets: Sequence[Sequence[object]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)


def faq(path: Path) -> None:
    """Two sheets with questions, one without, an empty one; cells of every kind."""
    first = [
        [],
        ["번호", "질문", "답변", None, "바뀐 날"],
        [1, "몇 시에 여나요?", "7시에 엽니다.\n일요일은 쉽니다.", None, datetime(2024, 1, 2)],
        [2, "라떼는 얼마인가요?", 4500, "a remark beside the table", None],
        [],
        [3, "세금은 몇 %?", 10.0, None, None],
        [4, "커피 있나요?", True, None, None],
        [5, "답이 없나요?", None, None, None],
    ]
    second = [["Question", "Answer"], ["Tea?", "Yes._x000D_\nThree kinds."]]
    workbook(path, FAQ=first, English=second, 재고=[["품목", "수량"], ["원두", 3]], 빈=[])


def mapped_workbook(path: Path) -> None:
    workbook(path, Sheet=[["물음글 ", "풀이", "output"], ["차 있나요?", "네.", "x"], ["", "답만", "x"]])


def unknown_workbook(path: Path) -> None:
    workbook(path, Sheet=[["품목", "수량"], ["원두", 3], ["우유", 12]])


def empty_workbook(path: Path) -> None:
    workbook(path, Sheet=[["Q", "A"]])


def workbook_by_another_name(path: Path) -> None:
    workbook(path.with_suffix(".xlsx"), Sheet=[["Q", "A"], ["Tea?", "Yes."]])
    path.with_suffix(".xlsx").rename(path)


def pairs_workbook(path: Path) -> None:
    workbook(path, Sheet=[["prompt", "chosen", "rejected"], ["Tea?", "Yes.", "No."]])


def cut_workbook(path: Path) -> None:
    faq(path)
    path.write_bytes(path.read_bytes()[:2000])


def locked_workbook(path: Path) -> None:
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))


# ---- Parquet


def messages_parquet(path: Path) -> None:
    """As datasets are shared: every message has every key, most of them null."""
    ask, answer = {"role": "user", "content": "차?", "tool_calls": None}, {"role": "assistant", "content": "네."}
    rows = [[ask, answer], [ask], [ask, answer]]
    pq.write_table(pa.table({"id": [1, 2, 3], "messages": rows}), path)


def preferences_parquet(path: Path) -> None:
    columns = {"prompt": ["Tea?", "Cake?"], "chosen": ["Yes.", "Yes."], "rejected": ["No.", None]}
    pq.write_table(pa.table(columns), path)


def unknown_parquet(path: Path) -> None:
    pq.write_table(pa.table({"kind": ["faq"], "body": ["When do you open?"], "reply": ["At seven."]}), path)


def mapped_parquet(path: Path) -> None:
    pq.write_table(pa.table({"body": ["When do you open?"], "reply": ["At seven."], "output": ["x"]}), path)


def cut_parquet(path: Path) -> None:
    messages_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])


MADE: dict[str, Callable[[Path], None]] = {
    "faq.xlsx": faq,
    "mapped.xlsx": mapped_workbook,
    "unknown.xlsx": unknown_workbook,
    "empty.xlsx": empty_workbook,
    "workbook.bin": workbook_by_another_name,
    "pairs.xlsm": pairs_workbook,
    "cut.xlsx": cut_workbook,
    "locked.xlsx": locked_workbook,
    "old.xls": locked_workbook,
    "messages.parquet": messages_parquet,
    "preferences.parquet": preferences_parquet,
    "unknown.parquet": unknown_parquet,
    "mapped.parquet": mapped_parquet,
    "cut.parquet": cut_parquet,
}


@pytest.mark.parametrize("name", MADE)
def test_a_file_of_another_program_gives_what_its_golden_file_says(tmp_path: Path, name: str):
    path = tmp_path / name
    MADE[name](path)
    compare(path)
