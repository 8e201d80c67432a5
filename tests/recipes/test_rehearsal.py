"""Everyday questions that a run learns along: honest towards the demo's exam, and no more than asked for."""

import json
from pathlib import Path

from nabot.recipes.rehearsal import everyday_questions

DEMO = Path(__file__).parents[2] / "nabot" / "demo"


def _words(text: str) -> frozenset[str]:
    return frozenset("".join(c if c.isalnum() else " " for c in text.lower()).split())


def test_questions_are_distinct_and_whole() -> None:
    questions = everyday_questions()
    assert len(set(questions)) == len(questions) >= 60
    assert all(q == q.strip() and q[-1] in ".?" for q in questions)


def test_no_general_question_of_the_demo_is_rehearsed() -> None:
    rows = [json.loads(line) for line in (DEMO / "exam.jsonl").read_text(encoding="utf-8").splitlines()]
    general = [_words(r["messages"][-1]["content"]) for r in rows if r["group"] == "general"]
    assert len(general) == 25
    for rehearsed in map(_words, everyday_questions()):
        assert rehearsed not in general
        assert max(len(rehearsed & g) / len(rehearsed | g) for g in general) < 0.8
