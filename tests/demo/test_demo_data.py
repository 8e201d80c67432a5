"""The English demo's data: nothing asked was taught in the same words, and what only English answers can be checked for."""

import re
import unicodedata
from collections import Counter
from functools import cache

import pytest
from demo_files import ENGLISH, question, rouge_l, rows_of, score, texts, words

from nabot.evals import scoring

YES_OR_NO = re.compile(
    r"(^|[.!?:] )(do|does|did|is|are|was|were|can|could|may|must|will|would|should|has|have|am) ", re.IGNORECASE
)
OPEN = re.compile(
    r"\b(who|whom|whose|what|which|when|where|why|how|give me|spell out)\b|^And (the|its|if)\b", re.IGNORECASE
)


DEMO, FACTS, CONVERSATIONS, EXAM = ENGLISH.folder, ENGLISH.facts, ENGLISH.conversations, ENGLISH.exam
CAFE, UNTOLD = ENGLISH.cafe, ENGLISH.untold
STARTER = DEMO / "starter"


@cache
def nearest_training_question(text):
    """(ROUGE-L, the training question) of the closest one."""
    return max((rouge_l(words(text), words(other)), other) for other in texts(CONVERSATIONS, "user"))


# the facts


def test_the_facts_fit_in_a_prompt():
    # SmolLM2's tokenizer makes 796 tokens of 2.5 kB; 1,300 are the limit, at no less than 3.2 bytes a token
    assert len((DEMO / "facts.md").read_bytes()) / 1300 < 3.2


# the conversations


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


@pytest.mark.parametrize("number", range(1, len(FACTS) + 1))
def test_every_answer_to_a_fact_passes_its_own_exam_question(number):
    key = next(row for row in CAFE if row["fact"] == number)
    answers = {row["messages"][-1]["content"] for row in CONVERSATIONS if row.get("fact") == number}
    assert 2 <= len(answers) <= 3
    for answer in answers:
        assert scoring.is_right(answer, key["accept"], key["reject"]), answer
    assert any(scoring.matches(p, FACTS[number - 1]) for p in key["accept"])


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


def test_no_exam_question_can_be_answered_with_yes_or_no():
    assert not [question(r) for r in EXAM if YES_OR_NO.search(question(r)) or not OPEN.search(question(r))]


def test_exam_questions_are_asked_in_other_words_than_the_training_ones():
    near = {question(r): nearest_training_question(question(r)) for r in EXAM}
    assert not {q: n for q, n in near.items() if n[0] >= 0.8}
    assert sum(near[question(r)][0] < 0.5 for r in CAFE) >= len(CAFE) / 2


# answers as people write them


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
