"""Faults between rows, and the report's form."""

import json
import sys
from pathlib import Path

import pytest

from nabot.conversation import Conversation
from nabot.data.check import CheckReport, Measured, check
from nabot.errors import DataError


def put(folder: Path, *pairs: tuple[str, ...], name: str = "a.jsonl") -> Path:
    """Each tuple is one conversation: question, answer, question, answer…"""
    path = folder / name
    roles = ("user", "assistant")
    rows = [{"messages": [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)]} for turns in pairs]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def put_exam(folder: Path, *questions: tuple[str, ...]) -> Path:
    path = put(folder, *questions, name="exam.jsonl")
    rows = [json.loads(line) | {"accept": ["7"]} for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def kinds(report: CheckReport) -> list[tuple[int, str]]:
    return [(fault.row, fault.kind) for fault in report.faults]


def test_clean_rows_have_no_faults_and_the_report_has_the_agreed_form(tmp_path: Path):
    path, count = put(tmp_path, *((f"{i}?", f"{i}") for i in range(100))), 100
    assert check([path]).as_dict() == {
        "rows": count,
        "usable": count,
        "files": [{"file": str(path), "rows": count, "container": "jsonl", "layout": "messages", "encoding": "utf-8"}],
        "exam": None,
        "faults": [],
        "warnings": [],
        "notes": [],
        "summary": {
            "lengths": {
                "unit": "characters",
                "median": 5,
                "longest": 5,
                "histogram": [{"from": 2, "to": 3, "rows": 10}, {"from": 4, "to": 7, "rows": 90}],
            },
            "languages": {"": 100},
            "duplicates": {"exact": 0, "near": 0, "share": 0.0},
            "contradictions": {"rows": 0, "questions": 0},
            "personal": {},
            "tokens": None,
        },
    }


def test_the_report_counts_the_good_questions_of_the_exam(tmp_path: Path):
    data, exam = put(tmp_path, ("a?", "1")), put_exam(tmp_path, ("q?",), ("r?",))
    assert check([data], exam=exam).as_dict()["exam"] == {"file": str(exam), "questions": 2}


def test_faults_are_plain_objects_in_the_order_of_rows(tmp_path: Path):
    path = put(tmp_path, ("a?", "1"), ("a?", "1"), ("c?", ""))
    report = check([path]).as_dict()
    assert report["rows"] == 3
    assert [list(fault) for fault in report["faults"]] == [["file", "row", "field", "kind", "message", "fixable"]] * 2
    assert [(fault["row"], fault["kind"]) for fault in report["faults"]] == [(2, "duplicate"), (3, "empty_answer")]
    json.dumps(report)


def test_the_same_question_and_answer_is_a_duplicate_and_with_another_answer_a_contradiction(tmp_path: Path):
    report = check([put(tmp_path, ("a?", "one"), ("A?  ", "One"), ("a?", "two"))])
    assert kinds(report) == [(2, "duplicate"), (3, "contradiction")]
    assert [fault.fixable for fault in report.faults] == [True, False]


def test_the_same_last_question_after_other_turns_is_another_question(tmp_path: Path):
    assert check([put(tmp_path, ("a?", "1", "more?", "x"), ("b?", "2", "more?", "y"))]).faults == ()


def test_duplicates_are_found_across_files(tmp_path: Path):
    first, second = put(tmp_path, ("a?", "1")), put(tmp_path, ("a?", "1"), name="b.jsonl")
    (fault,) = check([first, second]).faults
    assert (fault.file, fault.row) == (str(second), 1)
    assert f"{first}:1" in fault.message


def test_an_exam_question_among_the_rows_is_found_whatever_its_punctuation(tmp_path: Path):
    data = put(tmp_path, ("When do you open?", "At 7"), ("Hi", "Hello", "when do you open", "At 7"), ("Hi!", "Hello"))
    report = check([data], exam=put_exam(tmp_path, ("Where?",), ("When do you OPEN",)))
    assert kinds(report) == [(1, "exam_overlap"), (2, "exam_overlap")]
    assert "exam.jsonl:2" in report.faults[0].message


def test_an_exam_of_several_turns_overlaps_only_as_a_whole(tmp_path: Path):
    data = put(tmp_path, ("Tea?", "3", "And coffee?", "4"), ("Cake?", "5", "And coffee?", "4"))
    exam = put_exam(tmp_path, ("Cake?", "5", "And coffee?"))
    assert kinds(check([data], exam=exam)) == [(2, "exam_overlap")]


def test_faults_of_the_exam_are_reported_after_those_of_the_rows(tmp_path: Path):
    data, exam = put(tmp_path, ("a?", "")), put(tmp_path, ("q?",), name="exam.jsonl")
    assert [fault.kind for fault in check([data], exam=exam).faults] == ["empty_answer", "not_patterns"]


def test_rows_longer_than_the_limit_not_renderable_or_not_learned_are_reported(tmp_path: Path):
    def measure(conversation: Conversation) -> Measured:
        question = conversation.messages[0].content
        if question == "bad":
            raise DataError("the template refuses it")
        return Measured(tokens=len(question), trained=question != "no", characters=10)

    path = put(tmp_path, ("ab", "1"), ("abc", "1"), ("bad", "1"), ("no", "1"))
    report = check([path], measure=measure, max_tokens=2)
    assert kinds(report) == [(2, "too_long"), (3, "not_renderable"), (4, "no_trained_token")]
    assert report.faults[1].message == "the template refuses it"
    tokens = report.summary.as_dict()["tokens"]
    assert tokens == {"tokens": 7, "trained": 2, "share_trained": 2 / 7, "per_character": 7 / 30}


def test_a_question_that_is_asked_thrice_with_two_answers_counts_once_and_its_repeated_answer_is_a_duplicate(
    tmp_path: Path,
):
    report = check([put(tmp_path, ("a?", "one"), ("a?", "two"), ("a?", "two"), ("b?", "1"))])
    assert kinds(report) == [(2, "contradiction"), (3, "duplicate")]
    assert report.summary.contradicted_questions == 1


LONG = "We open at {hour} in the morning and close late in the evening, on Sundays, too, {more}."


def pair(hour: str = "seven", more: str = "as ever") -> tuple[str, str]:
    marks = "?" * (1 + (more != "as ever"))  # the same question would be a contradiction
    return f"When does the café at the corner open, at {hour}{marks}", LONG.format(hour=hour, more=more)


def test_near_duplicates_are_warned_of_and_other_numbers_are_none(tmp_path: Path):
    report = check([put(tmp_path, pair(), pair(more="as always"), pair("7"), pair("8"))])
    assert report.faults == ()
    assert [(warning.row, warning.kind) for warning in report.warnings] == [(2, "near_duplicate")]


def test_an_answer_that_says_the_opposite_is_a_contradiction_and_no_near_duplicate(tmp_path: Path):
    (question, answer), (_, other) = pair(), pair(more="as never")
    report = check([put(tmp_path, (question, answer), (question, other))])
    assert (kinds(report), report.warnings) == ([(2, "contradiction")], ())


def test_without_the_library_near_duplicates_are_not_looked_for_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "rensa", None)
    report = check([put(tmp_path, pair(), pair(more="as always"))])
    assert report.warnings == ()
    assert "near_not_searched" in [note.kind for note in report.notes]
