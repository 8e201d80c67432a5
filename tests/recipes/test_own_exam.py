"""What an answer has to say is read off the row: a number, a name, the longest word, or nothing."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.exams import scan_exam
from nabot.evals.scoring import matches
from nabot.recipes.own_exam import asked_otherwise, decisive_terms, exam_rows
from nabot.synth.asking import Candidate
from nabot.synth.tasks import Task


@pytest.mark.parametrize(
    ("question", "answer", "evidence", "term"),
    [
        ("When does the library open?", "It opens at 9:30.", "The library opens at 9:30 every day.", "9:30"),
        ("Who runs it?", "It is run by Mina Park.", "Mina Park runs the library.", "Mina"),
        ("What may I bring?", "You may bring sandwiches.", "Visitors may bring sandwiches.", "sandwiches"),
        ("도서관은 몇 시에 열어요?", "9시에 엽니다.", "도서관은 9시에 문을 연다.", "9"),
        ("관장은 누구인가요?", "박미나 선생님입니다.", "관장은 박미나 선생이다.", "박미나"),
        ("관장은 누구인가요?", "관장은 박미나입니다.", "관장은 박미나 선생이다.", "박미나"),
        ("누가 카페를 열었나요?", "카페는 김민수 씨가 열었습니다.", "카페는 김민수 씨가 열었습니다.", "김민수"),
        # nor does a word of the question with another particle; and the particle of the answer is none of the term
        ("누가 관장인가요?", "관장은 박미나가 맡고 있습니다.", "박미나가 관장을 맡고 있다.", "박미나"),
        # what half of all answers end with decides nothing
        ("주차장은 있나요?", "네, 주차장이 있습니다.", "건물 뒤에 주차장이 있습니다.", ""),
        # a number that the question gives already decides nothing
        ("Is room 12 quiet?", "Room 12 is quiet.", "Room 12 is a quiet room.", ""),
        # "behind" would mark a right "Yes." wrong
        ("Is there parking?", "Yes, parking is available behind it.", "Parking is available behind the library.", ""),
        ("주차가 되나요?", "네, 도서관 뒤에 할 수 있습니다.", "도서관 뒤에 주차할 수 있다.", ""),
        # what the passage does not say is no measure
        ("What does it cost?", "It costs 40 euros.", "Entry is free of charge.", ""),
        ("", "", "", ""),
    ],
)
def test_the_term_that_decides(question: str, answer: str, evidence: str, term: str):
    assert decisive_terms(question, answer, evidence) == ([term] if term else [])


def test_all_new_numbers_of_the_quote_decide_together():
    task = Task("On weekdays, when can I come? By bus 7?", "", "Bus 7 comes from 9 a.m. to 6 p.m., in 20 minutes.")
    quote = "Open from 9 a.m. to 6 p.m., bus 7"
    assert decisive_terms(task.instruction, task.output, quote) == ["9", "6"]
    ((pattern,),) = [row["accept"] for row in exam_rows([Candidate(task, ("rules.md",), quote)])]
    right = ("Open 9 to 6.", "Until 6,\nand from 9 a.m. on.")
    wrong = ("At 9.", "From 9 to 16.", "9:30 to 6", "Until 6 p.m.", "")
    assert [matches(pattern, answer) for answer in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)


@given(st.text(), st.text(), st.text())
def test_a_term_marks_its_own_answer_right_and_never_the_question(question: str, answer: str, evidence: str):
    for term in decisive_terms(question, answer, evidence):
        assert matches(term, answer)
        assert matches(term, evidence)
        assert not matches(term, question)


def test_rows_are_an_exam_that_can_be_read(tmp_path: Path):
    task = Task("From when on may I come?", "", "It opens at 9:30.")
    rows = list(exam_rows([Candidate(task, ("rules.md",), "opens at 9:30"), Candidate(Task("Why?", "", "So."))]))
    file = tmp_path / "exam.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    questions, faults = scan_exam(file)
    assert (len(questions), faults) == (1, [])
    assert questions[0][1].accept == ("9:30",)


def test_asked_otherwise_is_what_was_taught_in_words_that_were_not():
    owner = "The owner of the café is Mina."
    taught = [Candidate(Task("Who is the owner of the café?", "", "Mina is the owner, named Mina."), (), owner)]
    again = {
        "Who is the owner of the café, please?": owner,  # nearly the same
        "To whom does this place belong?": owner,
        "To whom does this place belong, then?": owner,  # nearly the same as the one before
        "Who comes to the café every day?": "Mina comes every day.",  # nobody taught that
    }
    rows = [Candidate(Task(question, "", "That is Mina."), (), evidence) for question, evidence in again.items()]
    assert [row.task.instruction for row in asked_otherwise(rows, taught)] == ["To whom does this place belong?"]


def test_another_term_of_the_same_sentence_was_not_taught():
    hours = "It opens at 9:00 and is called Nabi."
    taught = [Candidate(Task("When does the café open?", "", "It opens at 9:00."), (), hours)]
    again = [Candidate(Task("What is the name of this place?", "", "It is called Nabi."), (), hours)]
    assert list(asked_otherwise(again, taught)) == []


def test_the_order_of_what_decides_is_no_other_fact():
    hours = "It opens at 9 and closes at 6."
    taught = [Candidate(Task("When is the café open?", "", "From 9 to 6."), (), hours)]
    again = [Candidate(Task("Until what time may guests stay there?", "", "Until 6, from 9 on."), (), hours)]
    assert list(asked_otherwise(again, taught)) == again
