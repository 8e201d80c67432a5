"""What the tests of both demos' data need: rows, their texts, and how near two texts are."""

import json
import re

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
