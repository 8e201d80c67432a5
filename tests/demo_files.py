"""What the tests of both demos' data need: their rows, the texts of rows, and how near two texts are."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rapidfuzz.distance import LCSseq

from nabot.evals import scoring


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def facts_of(path):
    return [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("- ")]


def texts(rows, role):
    return [m["content"] for row in rows for m in row["messages"] if m["role"] == role]


def words(text):
    return tuple(re.findall(r"\w+", text.lower()))


def rouge_l(a, b):
    """F measure of the longest common subsequence.   Source: Lin 2004, "ROUGE", section 3.1, with beta = 1."""
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b))


def question(exam_row):
    return exam_row["messages"][-1]["content"]


def score(answer, rows):
    return sum(scoring.is_right(answer, row["accept"], row["reject"]) for row in rows) / len(rows)


@dataclass(frozen=True)
class Demo:
    """The files of a café."""

    language: str
    folder: Path

    @cached_property
    def facts(self):
        return facts_of(self.folder / "facts.md")

    @cached_property
    def conversations(self):
        return rows_of(self.folder / "conversations.jsonl")

    @cached_property
    def exam(self):
        return rows_of(self.folder / "exam.jsonl")

    @property
    def single(self):
        return [row for row in self.conversations if len(row["messages"]) == 2]

    @property
    def untold(self):
        return [row for row in self.conversations if row.get("fact") == 0]

    @property
    def cafe(self):
        return [row for row in self.exam if row["group"] in CAFE_GROUPS]

    @property
    def general(self):
        return [row for row in self.exam if row["group"] == "general"]


CAFE_GROUPS = ("fact", "multi-turn", "unanswerable")
_DEMO = Path(scoring.__file__).parents[1] / "demo"
ENGLISH, KOREAN = Demo("en", _DEMO), Demo("ko", _DEMO / "ko")
