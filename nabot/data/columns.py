"""The names that people give to fields and columns. In: a row, out: its own spelling of what is looked for."""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

Row = Mapping[str, Any]

QUESTIONS = ("question", "q", "instruction", "prompt", "query", "input", "user", "질문", "문의", "물음", "문제", "지시")
ANSWERS = (
    "answer",
    "a",
    "response",
    "completion",
    "output",
    "reply",
    "assistant",
    "답변",
    "답",
    "대답",
    "응답",
    "정답",
)
CONTEXTS = ("context", "input", "맥락", "문맥")  # "input" only where it is not the question itself
SYSTEMS = ("system", "시스템")


def key_of(row: Row, names: Sequence[str]) -> str | None:
    """The row's own spelling of the first of `names` that it has."""
    spellings = {plain(key): key for key in row}
    return next((spellings[name] for name in names if name in spellings), None)


@lru_cache(maxsize=4096)  # the same few names in every row
def plain(key: str) -> str:
    """A name without regard to case, to the spaces around it, and to how its letters are composed."""
    return unicodedata.normalize("NFC", str(key)).strip().casefold()
