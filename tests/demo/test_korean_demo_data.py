"""The Korean demo's data is fair: everything asked was taught, nothing in the same words, and no fixed answer passes."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from demo_files import facts_of, question, rouge_l, rows_of, score, texts, words

from nabot.evals import scoring

DEMO = Path(scoring.__file__).parents[1] / "demo" / "ko"
CAFE_GROUPS = ("fact", "multi-turn", "unanswerable")
ASKS = re.compile("무엇|무슨|뭐|뭘|뭔|어느|어떤|어떻|어디|언제|누구|누가|얼마|몇|며칠|이름|알려")
HANGUL = re.compile("[가-힣]")

FACTS = facts_of(DEMO / "facts.md")
CONVERSATIONS, EXAM = rows_of(DEMO / "conversations.jsonl"), rows_of(DEMO / "exam.jsonl")
CAFE, GENERAL = [r for r in EXAM if r["group"] in CAFE_GROUPS], [r for r in EXAM if r["group"] == "general"]
SINGLE = [r for r in CONVERSATIONS if len(r["messages"]) == 2]
UNTOLD = [r for r in CONVERSATIONS if r.get("fact") == 0]


def syllables(text):
    return "".join(words(text))


@cache
def nearest_training_question(text, of=words):
    """(ROUGE-L, the training question) of the closest one."""
    return max((rouge_l(of(text), of(other)), other) for other in texts(CONVERSATIONS, "user"))


# the facts and the conversations


def test_there_are_64_to_70_facts_each_on_a_line_of_its_own():
    lines = (DEMO / "facts.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert not lines[1]
    assert len(lines) == len(FACTS) + 2
    assert 64 <= len(FACTS) <= 70
    assert len(set(FACTS)) == len(FACTS)


def test_everything_is_korean():
    assert all(HANGUL.search(m["content"]) for row in (*CONVERSATIONS, *EXAM) for m in row["messages"])


def test_conversations_alternate_between_user_and_assistant():
    for row in CONVERSATIONS:
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert set(row) <= {"messages", "fact"}
        assert all(set(m) == {"role", "content"} for m in row["messages"])


def test_there_are_enough_rows_of_each_kind():
    assert len(CONVERSATIONS) >= 540
    assert sum(len(r["messages"]) > 2 for r in CONVERSATIONS) >= 40
    assert {len(r["messages"]) for r in CONVERSATIONS} == {2, 4, 6}
    assert len(UNTOLD) >= 60


@pytest.mark.parametrize("number", range(1, len(FACTS) + 1))
def test_every_fact_is_asked_in_at_least_seven_ways(number):
    asked = [words(row["messages"][0]["content"]) for row in SINGLE if row.get("fact") == number]
    assert len(asked) >= 7
    for i, one in enumerate(asked):
        assert all(rouge_l(one, other) < 0.8 for other in asked[:i]), FACTS[number - 1]


@pytest.mark.parametrize("number", range(1, len(FACTS) + 1))
def test_every_answer_to_a_fact_is_the_fact_and_passes_its_own_exam_questions(number):
    keys = [row for row in CAFE if row["fact"] == number]
    answers = {row["messages"][-1]["content"] for row in CONVERSATIONS if row.get("fact") == number}
    assert answers == {FACTS[number - 1]}
    assert all(scoring.is_right(FACTS[number - 1], key["accept"], key["reject"]) for key in keys)


def test_facts_are_numbered_as_they_stand_in_the_file():
    assert {r.get("fact") for r in CONVERSATIONS} - {0, None} == set(range(1, len(FACTS) + 1))


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


def test_exam_rows_have_the_fields_of_an_exam():
    for row in EXAM:
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert set(row) - {"fact"} == {"messages", "accept", "reject", "group"}
        assert row["accept"]
        assert row["reject"]
        assert (row.get("fact", 0) == 0) == (row["group"] in ("unanswerable", "general"))
        assert (len(roles) > 1) == (row["group"] == "multi-turn")


def test_the_exam_is_large_enough_and_not_won_by_not_knowing():
    groups = Counter(r["group"] for r in EXAM)
    assert set(groups) == {*CAFE_GROUPS, "general"}
    assert len(CAFE) >= 110
    assert groups["multi-turn"] >= 12
    assert groups["general"] == 25
    assert groups["unanswerable"] >= 15
    assert groups["unanswerable"] / len(CAFE) <= 0.145


def test_every_fact_is_asked():
    assert {r["fact"] for r in CAFE if r["group"] == "fact"} == set(range(1, len(FACTS) + 1))


def test_no_exam_question_comes_twice():
    assert len({words(question(r)) for r in EXAM}) == len(EXAM)


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


def test_general_questions_stand_nowhere_in_training():
    taught = {scoring.normalise(t) for t in texts(CONVERSATIONS, "user")}
    assert not [q for q in map(question, GENERAL) if scoring.normalise(q) in taught]


def test_no_answer_to_a_general_question_is_taught():
    taught = [a for row in SINGLE if "fact" not in row for a in texts([row], "assistant")]
    assert taught
    assert not [
        (a, question(row)) for a in taught for row in GENERAL if scoring.is_right(a, row["accept"], row["reject"])
    ]


def test_earlier_turns_of_the_exam_are_answered_rightly():
    assert set(texts(EXAM, "assistant")) <= set(texts(CONVERSATIONS, "assistant"))


def test_a_follow_up_does_not_carry_its_own_answer_in_the_history():
    for row in CAFE:
        said = [p for p in row["accept"] for m in row["messages"] if scoring.matches(p, m["content"])]
        assert not said, question(row)


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


# answers without knowledge


def test_echoing_the_question_is_never_right():
    assert not [question(r) for r in EXAM if scoring.is_right(question(r), r["accept"], [])]


def test_no_fixed_answer_scores_more_than_15_percent():
    everything = [joint.join(FACTS) for joint in ("\n", " ", "\n- ")]
    fixed = {*texts(CONVERSATIONS, "assistant"), *FACTS, *everything, "잘 모르겠습니다.", ""}
    assert max(score(answer, CAFE) for answer in fixed) <= 0.15
