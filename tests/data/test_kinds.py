"""A file of the other kind is told at once."""

from pathlib import Path

import pytest
from tiny_model import write_rows

from nabot.data.files import scan_conversations, scan_exam
from nabot.errors import DataError

ASK, REPLY = {"role": "user", "content": "Tea?"}, {"role": "assistant", "content": "Yes."}
EXAM = {"messages": [ASK], "accept": ["yes"]}


def test_an_exam_given_as_rows_is_one_sentence(tmp_path: Path):
    with pytest.raises(DataError, match=r"looks like an exam file.*--exam") as error:
        scan_conversations(write_rows(tmp_path / "a.jsonl", [EXAM] * 7))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASK, REPLY]},
        {"question": "Tea?", "answer": "Yes."},
        {"conversations": [{"from": "human", "value": "Tea?"}, {"from": "gpt", "value": "Yes."}]},
    ],
)
def test_rows_given_as_an_exam_are_one_sentence(tmp_path: Path, row: object):
    with pytest.raises(DataError, match=r"looks like rows to learn.*without --exam") as error:
        scan_exam(write_rows(tmp_path / "a.jsonl", [row] * 7))
    assert "\n" not in str(error.value)


def test_a_single_row_without_an_answer_stays_a_fault(tmp_path: Path):
    good = {"messages": [ASK, REPLY]}
    _, (fault,) = scan_conversations(write_rows(tmp_path / "a.jsonl", [good, EXAM]))
    assert (fault.row, fault.kind) == (2, "no_assistant")


def test_a_row_with_an_answer_may_have_a_key_called_accept(tmp_path: Path):
    rows, faults = scan_conversations(write_rows(tmp_path / "a.jsonl", [EXAM | {"messages": [ASK, REPLY]}]))
    assert (len(rows), faults) == (1, [])


def test_an_exam_with_a_question_without_accept_stays_an_exam(tmp_path: Path):
    questions, (fault,) = scan_exam(write_rows(tmp_path / "a.jsonl", [EXAM, {"messages": [ASK]}]))
    assert (len(questions), fault.row, fault.kind) == (1, 2, "not_patterns")
