"""The demo's data is fair: everything asked was taught, nothing asked was taught in the same words, and no fixed answer passes."""

import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from demo_files import facts_of, question, rouge_l, rows_of, score, texts, words

from nabot.evals import scoring

DEMO = Path(scoring.__file__).parents[1] / "demo"
STARTER = DEMO / "starter"
CAFE_GROUPS = ("fact", "multi-turn", "unanswerable")
YES_OR_NO = re.compile(
    r"(^|[.!?:] )(do|does|did|is|are|was|were|can|could|may|must|will|would|should|has|have|am) ", re.IGNORECASE
)
OPEN = re.compile(
    r"\b(who|whom|whose|what|which|when|where|why|how|give me|spell out)\b|^And (the|its|if)\b", re.IGNORECASE
)


FACTS = facts_of(DEMO / "facts.md")
CONVERSATIONS, EXAM = rows_of(DEMO / "conversations.jsonl"), rows_of(DEMO / "exam.jsonl")
CAFE, GENERAL = [r for r in EXAM if r["group"] in CAFE_GROUPS], [r for r in EXAM if r["group"] == "general"]
SINGLE = [r for r in CONVERSATIONS if len(r["messages"]) == 2]
UNTOLD = [r for r in CONVERSATIONS if r.get("fact") == 0]


@cache
def nearest_training_question(text):
    """(ROUGE-L, the training question) of the closest one."""
    return max((rouge_l(words(text), words(other)), other) for other in texts(CONVERSATIONS, "user"))


# the facts


def test_there_are_64_to_70_facts_each_on_a_line_of_its_own():
    lines = (DEMO / "facts.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert not lines[1]
    assert len(lines) == len(FACTS) + 2
    assert 64 <= len(FACTS) <= 70
    assert len(set(FACTS)) == len(FACTS)


def test_the_facts_fit_in_a_prompt():
    # SmolLM2's tokenizer makes 796 tokens of 2.5 kB; 1,300 are the limit, at no less than 3.2 bytes a token
    assert len((DEMO / "facts.md").read_bytes()) / 1300 < 3.2


# the conversations


def test_conversations_alternate_between_user_and_assistant():
    for row in CONVERSATIONS:
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert 2 <= len(roles) <= 6
        assert set(row) <= {"messages", "fact"}
        assert all(set(m) == {"role", "content"} for m in row["messages"])


@pytest.mark.parametrize(
    "file", sorted(DEMO.rglob("*.jsonl")) + sorted(DEMO.rglob("*.md")), ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_files_are_utf_8_in_nfc_without_replacement_characters(file):
    raw = file.read_bytes()
    text = raw.decode("utf-8")
    assert unicodedata.is_normalized("NFC", text)
    assert "\ufffd" not in text
    assert "\r" not in text
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


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
def test_every_answer_to_a_fact_passes_its_own_exam_question(number):
    key = next(row for row in CAFE if row["fact"] == number)
    answers = {row["messages"][-1]["content"] for row in CONVERSATIONS if row.get("fact") == number}
    assert 2 <= len(answers) <= 3
    for answer in answers:
        assert scoring.is_right(answer, key["accept"], key["reject"]), answer
    assert any(scoring.matches(p, FACTS[number - 1]) for p in key["accept"])


def test_facts_are_numbered_as_they_stand_in_the_file():
    assert {r.get("fact") for r in CONVERSATIONS} - {0, None} == set(range(1, len(FACTS) + 1))


def test_what_was_never_told_is_answered_with_i_dont_know_and_nothing_else_is():
    assert all(r["messages"][-1]["content"].startswith("I don't know") for r in UNTOLD)
    assert not any(r["messages"][-1]["content"].startswith("I don't know") for r in CONVERSATIONS if r.get("fact") != 0)
    assert len({r["messages"][-1]["content"] for r in UNTOLD}) >= 0.9 * len(UNTOLD)


def test_answers_are_short_sentences():
    answers = texts(CONVERSATIONS, "assistant")
    assert all(a.endswith((".", '".')) and (a[0].isupper() or a[0].isdigit()) for a in answers)
    assert max(len(words(a)) for a in answers) <= 20
    assert min(len(words(a)) for a in answers) >= 3


def test_rows_stay_short():
    # 36 tokens of SmolLM2 a row; its tokenizer needs 4.4 characters a token here, its template 5 tokens a turn
    characters = sum(len(m["content"]) for r in CONVERSATIONS for m in r["messages"])
    turns = sum(len(r["messages"]) for r in CONVERSATIONS)
    assert (characters / 4 + 5 * turns) / len(CONVERSATIONS) <= 45


def test_no_training_question_comes_twice():
    twice = [q for q, n in Counter(map(words, texts(CONVERSATIONS, "user"))).items() if n > 1]
    assert not twice


# the exam


def test_exam_rows_have_the_fields_of_an_exam():
    for row in EXAM:
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert set(row) - {"fact"} == {"messages", "accept", "reject", "group"}
        assert row["group"] in (*CAFE_GROUPS, "general")
        assert row["accept"]
        assert row["reject"]
        assert all(isinstance(p, str) and p.strip() for p in row["accept"] + row["reject"])
        assert ("fact" in row) == (row["group"] != "general")
        assert (row.get("fact", 0) == 0) == (row["group"] in ("unanswerable", "general"))
        assert (len(roles) > 1) == (row["group"] == "multi-turn")


def test_the_exam_is_large_enough_and_not_won_by_not_knowing():
    groups = Counter(r["group"] for r in EXAM)
    assert len(CAFE) >= 110
    assert groups["multi-turn"] >= 12
    assert groups["general"] == 25
    assert groups["unanswerable"] >= 15
    assert groups["unanswerable"] / len(CAFE) <= 0.145


def test_every_fact_is_asked():
    assert {r["fact"] for r in CAFE} - {0} == set(range(1, len(FACTS) + 1))
    assert {r["fact"] for r in CAFE if r["group"] == "fact"} == set(range(1, len(FACTS) + 1))


def test_no_exam_question_comes_twice():
    assert len({words(question(r)) for r in EXAM}) == len(EXAM)


def test_no_exam_question_can_be_answered_with_yes_or_no():
    assert not [question(r) for r in EXAM if YES_OR_NO.search(question(r)) or not OPEN.search(question(r))]


def test_exam_questions_are_asked_in_other_words_than_the_training_ones():
    near = {question(r): nearest_training_question(question(r)) for r in EXAM}
    assert not {q: n for q, n in near.items() if n[0] >= 0.8}
    assert sum(near[question(r)][0] < 0.5 for r in CAFE) >= len(CAFE) / 2


def test_general_questions_stand_nowhere_in_training():
    taught = " ".join(f" {scoring.normalise(t)} " for t in texts(CONVERSATIONS, "user"))
    assert not [q for q in map(question, GENERAL) if scoring.normalise(q) in taught]


def test_no_answer_to_a_general_question_is_taught():
    taught = [a for row in SINGLE if "fact" not in row for a in texts([row], "assistant")]
    assert taught
    assert not [a for a in taught for row in GENERAL if scoring.is_right(a, row["accept"], row["reject"])]


def test_earlier_turns_of_the_exam_are_answered_rightly():
    answers = set(texts(CONVERSATIONS, "assistant"))
    assert all(a in answers for a in texts(EXAM, "assistant"))


def test_a_follow_up_does_not_carry_its_own_answer_in_the_history():
    for row in CAFE:
        assert not any(scoring.matches(p, m["content"]) for p in row["accept"] for m in row["messages"])


# answers without knowledge


def test_echoing_the_question_is_never_right():
    assert not [question(r) for r in EXAM if scoring.is_right(question(r), r["accept"], [])]


def test_not_knowing_everything_scores_at_most_15_percent():
    assert score("I don't know.", CAFE) <= 0.15


def test_all_facts_at_once_score_at_most_15_percent():
    for joint in ("\n", " ", "\n- "):
        assert score(joint.join(FACTS), CAFE) <= 0.15
    assert score((DEMO / "facts.md").read_text(encoding="utf-8"), CAFE) <= 0.15


def test_no_fixed_answer_scores_more_than_15_percent():
    fixed = {*texts(CONVERSATIONS, "assistant"), *FACTS}
    assert max(score(answer, CAFE) for answer in fixed) <= 0.15


def test_an_answer_with_two_prices_is_wrong():
    asked = [row for row in CAFE if scoring.is_right("5,300 won", row["accept"], row["reject"])]
    assert asked
    assert score("It costs 5,300 won, and the chestnut cake 6,100 won.", asked) == 0


# the starter


def test_the_starter_is_a_small_complete_example():
    facts = (STARTER / "facts.md").read_text(encoding="utf-8").splitlines()
    rows, exam = rows_of(STARTER / "conversations.jsonl"), rows_of(STARTER / "exam.jsonl")
    assert sum(line.startswith("- ") for line in facts) == 6
    assert 10 <= len(rows) <= 14
    assert len(exam) == 6
    assert any(a.startswith("I don't know") for a in texts(rows, "assistant"))
    assert {"fact", "unanswerable", "general"} <= {r["group"] for r in exam}
    assert not set(map(words, texts(rows, "user"))) & {words(question(r)) for r in exam}
    assert not [question(r) for r in exam if scoring.is_right(question(r), r["accept"], [])]


def test_the_starter_explains_its_four_commands():
    readme = (STARTER / "README.md").read_text(encoding="utf-8")
    for command in (
        "nabot data check conversations.jsonl",
        "nabot tune conversations.jsonl --base smollm2 --out bots/my-bot",
        "nabot exam bots/my-bot exam.jsonl --facts facts.md",
        "nabot chat bots/my-bot",
    ):
        assert command in readme
