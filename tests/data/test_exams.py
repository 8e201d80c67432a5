"""Exam files: what is read, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from nabot.data.exams import as_regex
from nabot.data.files import ExamQuestion, read_exam, scan_exam
from nabot.errors import DataError

ASK = [{"role": "user", "content": "몇 시에 열어요?"}]
GOOD = {"messages": ASK, "accept": ["7시", "/0?7:00/"]}


def put(folder: Path, *rows: Any) -> Path:
    path = folder / "exam.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_questions_carry_conversation_patterns_and_group(tmp_path: Path):
    turns = [*ASK, {"role": "assistant", "content": "7시"}, {"role": "user", "content": "주말은?"}]
    row = {"messages": turns, "accept": ["\u1112\u1161\u11ab"], "reject": ["8시"], "group": "general", "note": "extra"}
    plain, full = read_exam(put(tmp_path, GOOD, row))
    assert plain == ExamQuestion(plain.conversation, ("7시", "/0?7:00/"), (), "")
    assert [m.content for m in full.conversation.messages] == ["몇 시에 열어요?", "7시", "주말은?"]
    assert (full.accept, full.reject, full.group) == (("한",), ("8시",), "general")


@pytest.mark.parametrize(
    ("change", "kind", "field"),
    [
        ({"accept": None}, "not_patterns", "accept"),
        ({"accept": []}, "not_patterns", "accept"),
        ({"accept": "7시"}, "not_patterns", "accept"),
        ({"accept": ["7시", ""]}, "not_pattern", "accept[1]"),
        ({"accept": [7]}, "not_pattern", "accept[0]"),
        ({"accept": ["/(7시/"]}, "bad_pattern", "accept[0]"),
        ({"accept": ["//"]}, "matches_everything", "accept[0]"),
        ({"accept": ["/.*/"]}, "matches_everything", "accept[0]"),
        ({"reject": "8시"}, "not_patterns", "reject"),
        ({"reject": ["/[/"]}, "bad_pattern", "reject[0]"),
        ({"group": 7}, "not_text", "group"),
        ({"groop": "general"}, "unknown_field", "groop"),
        ({"rejct": ["8시"]}, "unknown_field", "rejct"),
        ({"colour": "red"}, "unknown_field", "colour"),
        ({"messages": [*ASK, {"role": "assistant", "content": "a"}]}, "last_not_user", "messages[1].role"),
        ({"messages": []}, "no_messages", "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty_question", "messages[0].content"),
    ],
)
def test_each_fault_has_its_kind_row_and_field(tmp_path: Path, change: dict[str, Any], kind: str, field: str):
    questions, (fault,) = scan_exam(put(tmp_path, GOOD, GOOD | change))
    assert (fault.kind, fault.row, fault.field) == (kind, 2, field)
    assert len(questions) == 1


def test_a_bad_pattern_names_its_position(tmp_path: Path):
    _, (fault,) = scan_exam(put(tmp_path, GOOD | {"accept": ["/ab(/"]}))
    assert "character 3" in fault.message


def test_a_misspelt_field_names_the_nearest_one(tmp_path: Path):
    _, (fault,) = scan_exam(put(tmp_path, GOOD | {"rejct": ["8시"]}))
    assert "Nearest: reject" in fault.message


def test_a_persons_own_remarks_are_no_fault(tmp_path: Path):
    remarks = {"id": 7, "fact": 2, "topic": "hours", "tags": [], "source": "web", "note": "x", "comment": "y"}
    assert scan_exam(put(tmp_path, GOOD | remarks))[1] == []


def test_a_missing_list_is_seen_as_nothing(tmp_path: Path):
    _, (fault,) = scan_exam(put(tmp_path, {"messages": ASK}))
    assert fault.message.startswith("seen nothing; expected accept")


def test_an_exam_with_a_fault_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"1 of 2 rows[\s\S]*accept"):
        read_exam(put(tmp_path, GOOD, {"messages": ASK}))


def test_a_table_is_no_exam(tmp_path: Path):
    path = tmp_path / "exam.csv"
    path.write_text("question,answer\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="not an exam file"):
        read_exam(path)


def test_only_what_stands_between_two_slashes_is_a_regular_expression():
    assert [as_regex(p) for p in ("/a+/", "//", "/", "a/b", "/a")] == ["a+", "", None, None, None]
