"""Answers rewritten in batches: each goes to the row whose number it bears, whatever else is missing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.synth.asking import Candidate
from nabot.synth.modes.koalpaca import Koalpaca, parse_answers
from nabot.synth.tasks import Rejected, Task
from nabot.textmodel import Completion

relaxed = settings(deadline=None)  # time is no part of these tests

ROWS = [
    Candidate(Task("Name a river.", "", "Rhine"), ("row 1",)),
    Candidate(Task("Add them.", "2 and 3", ""), ("row 2",)),
    Candidate(Task("인사하세요.", "", "안녕"), ("row 3",)),
]


def said(text, finish="stop"):
    return Completion(text, 1, 1, finish)


def texts(answers):
    return {number: answer for number, answer in answers.items() if isinstance(answer, str)}


def slugs(answers):
    return {number: answer.reason.slug for number, answer in answers.items() if isinstance(answer, Rejected)}


@pytest.mark.parametrize(
    "completion",
    [
        "### Answer 1\nThe Rhine.\n\n### Answer 2\n5\n\n### Answer 3\n안녕하세요.",
        "Sure!\n\n### 응답 1\nThe Rhine.\n### 응답 2\n5\n### 응답 3\n안녕하세요.",
        "**Answer 1:** The Rhine.\n**Answer 2:** 5\n**Answer 3:** 안녕하세요.",
        "응답1: The Rhine.\n###\n응답2: 5\n###\n응답3: 안녕하세요.\n###",
        "### 1\nThe Rhine.\n### 2\n5\n### 3\n안녕하세요.",
        "### 1. The Rhine.\n### 2. 5\n### 3. 안녕하세요.",
        "1. The Rhine.\n###\n2. 5\n###\n3. 안녕하세요.\n###",
        "###\n1. Answer: The Rhine.\n###\n2. Answer: 5\n###\n3. Answer: 안녕하세요.",
        # in another order, whose numbers are behind a word, nothing is lost that does not fall
        "### Answer 1\nThe Rhine.\n### Answer 2:\n5\n### Answer 3)\n안녕하세요.\n###",
    ],
)
def test_numbered_answers_are_read_in_every_usual_form(completion):
    assert parse_answers(completion, "stop", 3) == {1: "The Rhine.", 2: "5", 3: "안녕하세요."}


@pytest.mark.parametrize(
    ("completion", "kept", "rejected"),
    [
        # one is missing, or empty: the others do not move up
        ("### Answer 1\nA\n### Answer 3\nC", {1: "A", 3: "C"}, {}),
        ("### Answer 2\nB\n### Answer 3\nC", {2: "B", 3: "C"}, {}),
        ("### Answer 1\n\n### Answer 2\nB", {2: "B"}, {}),
        # no number, no row
        ("A\n###\nB\n###\nC", {}, {}),
        ("1. A\n2. B\n3. C", {}, {}),
        # numbers in doubt
        ("### Answer 1\nA\n### Answer 2\nB\n### Answer 2\nb\n### Answer 3\nC", {1: "A", 3: "C"}, {2: "doubled_number"}),
        ("### Answer 3\nC\n### Answer 1\nA\n### Answer 2\nB", {2: "B"}, {3: "falling_number", 1: "falling_number"}),
        ("### Answer 1\nA\n### Answer 7\nG", {1: "A"}, {7: "unknown_number"}),
        ("### Answer 0\nA\n### Answer 1\nB", {}, {0: "other_numbering", 1: "other_numbering"}),
        # steps inside an answer, where the word is there and where it is not
        ("### Answer 1\nA\n### 1. Cut\n### 2. Cook\n### Answer 2\nB", {1: "A\n### 1. Cut\n### 2. Cook", 2: "B"}, {}),
        ("### 1\nA\n### 2\nB\n### 1. Cut\n### 2. Cook\n### 3\nC", {3: "C"}, {1: "doubled_number", 2: "doubled_number"}),
        (
            "### Answer 1\n1. Cut\n2. Cook\n### Answer 2\nAnswer 1 is wrong, they say.",
            {1: "1. Cut\n2. Cook", 2: "Answer 1 is wrong, they say."},
            {},
        ),
    ],
)
def test_an_answer_never_goes_to_another_row(completion, kept, rejected):
    found = parse_answers(completion, "stop", 3)
    assert (texts(found), slugs(found)) == (kept, rejected)


def test_a_single_answer_needs_no_number():
    assert parse_answers(" The Rhine.\n", "stop", 1) == {1: "The Rhine."}
    assert parse_answers("", "stop", 1) == {}
    assert parse_answers("The Rhi", "length", 1) == {}


@pytest.mark.parametrize("heading", ["### Answer {}\n", "### 응답 {}\n", "### {}\n", "Answer {}:\n"])
def test_a_cut_anywhere_keeps_the_answers_whose_next_heading_has_begun(heading):
    answers = {number: f"This is {number}, whole.\n\nAnd its end." for number in range(1, 12)}
    whole = "\n".join(heading.format(number) + text for number, text in answers.items())
    for end in range(len(whole) + 1):
        found = texts(parse_answers(whole[:end], "length", 11))
        certain = {n: t for n, t in answers.items() if f"\n{heading.format(n + 1)}".rstrip("\n") in whole[:end]}
        assert found.items() >= certain.items(), whole[:end]
        assert found.items() <= answers.items(), whole[:end]


TEXT_LIKE = st.lists(
    st.sampled_from(["#", "###", "Answer", "응답", " ", "\n", "0", "1", "2", "10", ":", ".", "**"])
    | st.text(max_size=4)
).map("".join)


@relaxed
@given(st.text() | TEXT_LIKE, st.sampled_from(["stop", "length"]), st.integers(1, 10))
def test_no_text_is_too_odd_to_be_read(text, finish, count):
    assert all(1 <= number <= count and answer for number, answer in texts(parse_answers(text, finish, count)).items())


@relaxed
@given(st.sets(st.integers(1, 10)))
def test_whichever_are_missing_the_others_are_right(there):
    completion = "\n".join(f"### Answer {number}\nThis is {number}." for number in sorted(there))
    assert parse_answers(completion, "stop", 10) == {number: f"This is {number}." for number in there}


# the mode


def test_a_prompt_shows_what_rows_have():
    (prompt,) = Koalpaca(ROWS, "ko").next_prompts(4)
    text = prompt.conversation.messages[-1].content
    assert "### 요청 1\nName a river.\n지금 답변: Rhine\n" in text
    assert "### 요청 2\nAdd them.\n입력: 2 and 3\n" in text
    assert "한국어로" in text
    assert prompt.sources == ("row 1", "row 2", "row 3")
    assert "in English" in Koalpaca(ROWS, "en").next_prompts(1)[0].conversation.messages[-1].content


def test_rows_get_their_new_answers():
    mode = Koalpaca(ROWS, "en")
    (prompt,) = mode.next_prompts(1)
    found = list(
        mode.take(prompt, said("### Answer 1\nThe Rhine.\n### Answer 2\nThey make 5.\n### Answer 3\n안녕하세요."))
    )
    assert found == [
        Candidate(Task("Name a river.", "", "The Rhine."), ("row 1",), invented=False),
        Candidate(Task("Add them.", "2 and 3", "They make 5."), ("row 2",), invented=False),
        Candidate(Task("인사하세요.", "", "안녕하세요."), ("row 3",), invented=False),
    ]
    assert mode.next_prompts(1) == []


def test_ten_rows_a_prompt():
    mode = Koalpaca(ROWS * 8, "en")
    assert [
        len(prompt.conversation.messages[-1].content.split("### Request")) - 1 for prompt in mode.next_prompts(9)
    ] == [10, 10, 4]


def test_a_row_without_an_answer_is_asked_about_once_more():
    mode = Koalpaca(ROWS, "en")
    (prompt,) = mode.next_prompts(1)
    found = list(mode.take(prompt, said("### Answer 1\nThe Rhine.\n### Answer 3\n안녕하세요.\n### Answer 9\nIx.")))
    assert [item.reason.slug for item in found if isinstance(item, Rejected)] == ["missing_answer", "unknown_number"]
    (again,) = mode.next_prompts(1)
    assert "### Request 1\nAdd them." in again.conversation.messages[-1].content
    assert again.sources == ("row 2",)
    assert [item.reason.slug for item in mode.take(again, said(""))] == ["missing_answer"]
    assert mode.next_prompts(1) == []
