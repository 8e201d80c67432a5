"""Rows in numbers, as a picture shows them. In: lengths and counts, out: a histogram, shares, the object of `--json`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Bin:
    """How many rows are `low` to `high` long, both included."""

    low: int
    high: int
    rows: int


@dataclass(frozen=True)
class TokenCounts:
    """Of all rows together, with the base's template."""

    tokens: int
    trained: int
    characters: int  # of what was encoded, the template's words included

    @property
    def per_character(self) -> float:
        """Tokens that one character takes."""
        return self.tokens / max(1, self.characters)

    @property
    def share_trained(self) -> float:
        """Of the tokens, those that are learned."""
        return self.trained / max(1, self.tokens)


@dataclass(frozen=True)
class Summary:
    """All rows that are well-formed."""

    lengths: Sequence[int] = ()  # a row each
    tokens: TokenCounts | None = None  # if lengths are tokens; otherwise they are characters
    languages: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    near_duplicates: int = 0
    contradictions: int = 0
    contradicted_questions: int = 0  # how many different ones
    personal: Counter[str] = field(default_factory=Counter)

    @property
    def repeated_share(self) -> float:
        """Of the rows, those that repeat or nearly repeat another one."""
        return (self.duplicates + self.near_duplicates) / max(1, len(self.lengths))

    def as_dict(self) -> dict[str, Any]:
        """The part of `nabot data check --json` that a person sees as a picture."""
        counts = self.tokens
        return {
            "lengths": {
                "unit": "tokens" if counts else "characters",
                "median": median(self.lengths) if self.lengths else 0,
                "longest": max(self.lengths, default=0),
                "histogram": [{"from": b.low, "to": b.high, "rows": b.rows} for b in histogram(self.lengths)],
            },
            "languages": dict(self.languages.most_common()),
            "duplicates": {"exact": self.duplicates, "near": self.near_duplicates, "share": self.repeated_share},
            "contradictions": {"rows": self.contradictions, "questions": self.contradicted_questions},
            "personal": dict(self.personal.most_common()),
            "tokens": counts
            and {
                "tokens": counts.tokens,
                "trained": counts.trained,
                "share_trained": counts.share_trained,
                "per_character": counts.per_character,
            },
        }


def histogram(lengths: Sequence[int]) -> list[Bin]:
    """Bins that double in width, since lengths differ by factors; none empty at either end. 0 stands with 1."""
    counts = Counter(max(1, length).bit_length() for length in lengths)
    if not counts:
        return []
    return [Bin(2 ** (bits - 1), 2**bits - 1, counts[bits]) for bits in range(min(counts), max(counts) + 1)]
