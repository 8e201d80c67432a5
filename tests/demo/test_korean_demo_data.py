"""The Korean demo's data: nothing asked was taught in the same words, and numbers are right in all their spellings."""

import re
from collections import Counter
from functools import cache

import pytest
from demo_files import KOREAN, question, rouge_l, score, texts, words

from nabot.evals import scoring

ASKS = re.compile("무엇|무슨|뭐|뭘|뭔|어느|어떤|어떻|어디|언제|누구|누가|얼마|몇|며칠|이름|알려")
HANGUL = re.compile("[가-힣]")

DEMO, FACTS, CONVERSATIONS, EXAM = KOREAN.folder, KOREAN.facts, KOREAN.conversations, KOREAN.exam
CAFE, UNTOLD = KOREAN.cafe, KOREAN.untold


def syllables(text):
    return "".join(words(text))


@cache
def nearest_training_question(text, of=words):
    """(ROUGE-L, the training question) of the closest one."""
    return max((rouge_l(of(text), of(other)), other) for other in texts(CONVERSATIONS, "user"))


# the facts and the conversations


def test_everything_is_korean():
    assert all(HANGUL.search(m["content"]) for row in (*CONVERSATIONS, *EXAM) for m in row["messages"])


@pytest.mark.parametrize("number", range(1, len(FACTS) + 1))
def test_every_answer_to_a_fact_is_the_fact_and_passes_its_own_exam_questions(number):
    keys = [row for row in CAFE if row["fact"] == number]
    answers = {row["messages"][-1]["content"] for row in CONVERSATIONS if row.get("fact") == number}
    assert answers == {FACTS[number - 1]}
    assert all(scoring.is_right(FACTS[number - 1], key["accept"], key["reject"]) for key in keys)


def test_what_was_never_told_is_answered_with_moreugesseumnida_and_nothing_else_is():
    assert all(r["messages"][-1]["content"].endswith("모르겠습니다.") for r in UNTOLD)
    assert not any("모르" in r["messages"][-1]["content"] for r in CONVERSATIONS if r.get("fact") != 0)
    assert len({r["messages"][-1]["content"] for r in UNTOLD}) >= 0.9 * len(UNTOLD)


def test_answers_are_short_and_polite():
    answers = texts(CONVERSATIONS, "assistant")
    assert all(re.search("(니다|요|시오|까)[.?]$", answer) for answer in answers)
    assert max(map(len, answers)) <= 50


def test_no_training_question_comes_twice():
    said = Counter(map(words, (q for row in CONVERSATIONS for q in texts([row], "user")[:1])))
    assert not [q for q, n in said.items() if n > 1]


# the exam


def test_no_exam_question_can_be_answered_with_yes_or_no():
    follow_ups = re.compile("(은|는)요[?]$")
    assert not [question(r) for r in EXAM if not ASKS.search(question(r)) and not follow_ups.search(question(r))]


def test_exam_questions_are_asked_in_other_words_than_the_training_ones():
    asked = [r for r in EXAM if r["group"] != "multi-turn"]
    near = {question(r): nearest_training_question(question(r)) for r in asked}
    assert not {q: n for q, n in near.items() if n[0] >= 0.7}
    assert sum(n[0] < 0.5 for n in near.values()) >= len(near) / 2


def test_exam_questions_differ_from_training_ones_in_their_syllables_not_in_particles_alone():
    asked = [question(r) for r in EXAM if r["group"] in ("fact", "unanswerable")]
    near = {q: nearest_training_question(q, syllables) for q in asked}
    assert not {q: n for q, n in near.items() if n[0] >= 0.8}


# answers as people write them


@pytest.mark.parametrize(
    ("number", "answers"),
    [
        (11, ("8시 30분입니다.", "여덟 시 반에 열어요.", "8:30부터요.", "아침 8시반", "08:30", "여덟시 삼십분")),
        (12, ("9시 45분까지입니다.", "아홉 시 사십오 분", "21:45에 닫습니다.")),
        (25, ("5,300원입니다.", "5300원", "5천3백 원", "오천삼백 원이에요.", "오천 삼백원")),
        (66, ("9개입니다.", "아홉 개를 모으시면 됩니다.", "도장 아홉개")),
        (68, ("15%를 깎아 드려요.", "십오 퍼센트", "15프로")),
        (15, ("2월이에요.", "이월에 쉽니다.")),
    ],
)
def test_numbers_are_right_in_all_their_spellings(number, answers):
    keys = [row for row in CAFE if row["fact"] == number]
    assert all(scoring.is_right(answer, row["accept"], row["reject"]) for row in keys for answer in answers)


@pytest.mark.parametrize(
    ("number", "answers"),
    [
        (11, ("18시 30분", "8시 20분", "8:300", "9시 45분입니다.", "8시 30분에 열고 9시 45분에 닫습니다.")),
        (25, ("15,300원", "5,3000원", "6,100원입니다.", "5,300원이나 6,100원입니다.")),
        (15, ("12월", "10월입니다.")),
        (13, ("월요일입니다.", "화요일과 목요일입니다.")),
    ],
)
def test_other_numbers_and_two_at_once_are_wrong(number, answers):
    keys = [row for row in CAFE if row["fact"] == number]
    assert not [a for row in keys for a in answers if scoring.is_right(a, row["accept"], row["reject"])]


@pytest.mark.parametrize(
    "answer",
    ["잘 모르겠습니다.", "그건 저도 몰라요.", "알 수 없습니다.", "그런 정보가 없습니다.", "말씀드리기 어렵습니다."],
)
def test_not_knowing_is_right_in_any_wording_where_nothing_was_told(answer):
    assert score(answer, [row for row in CAFE if row["group"] == "unanswerable"]) == 1
