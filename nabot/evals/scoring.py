"""Answer + what is accepted → right or wrong; rights → an interval. In: plain texts, out: bools and fractions.

An exam is scored by string rules that a person can read and predict: no judge model, no embedding. What makes such
rules misleading is handled here once: typography, numbers inside bigger numbers, words inside longer words, and Korean
particles, which are written onto the word they follow.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from nabot.data.plain import normalise

_LATIN = "a-zªºß-öø-ɏḀ-ỿ"  # of casefolded, composed text: Basic Latin to Latin Extended-B, and Additional
_NUMBER_JOINTS = ".,:"  # 4.5 · 4,500 · 4:30 are each one number


def matches(pattern: str, answer: str) -> bool:
    """Whether `answer` contains `pattern`: plain text as whole words and numbers, or a `/regex/`.

    Plain text: "4" is not in "14", "4.5", "4,500" or "4:30", and "cat" not in "category". Only Latin letters and
    digits need an edge; Hangul needs none, because particles attach ("달카페" is in "달카페는"). A regex is searched as it
    stands, ignoring case, in the normalised answer (so it is written with plain quotes and dashes). An empty pattern
    matches nothing. Raises `re.error` for a regex that cannot be compiled.
    """
    compiled = _compiled(pattern)
    return compiled is not None and compiled.search(normalise(answer)) is not None


def all_of(texts: Sequence[str]) -> str:
    """The pattern that matches an answer which contains each of these plain texts, in any order; one text is itself."""
    if len(texts) == 1:
        return texts[0]
    return "/\\A" + "".join(f"(?=.*{_plain(normalise(text))})" for text in texts) + "/"


def is_right(answer: str, accept: Sequence[str], reject: Sequence[str] = ()) -> bool:
    """Whether some `accept` matches and no `reject` does: an answer that lists every price is not an answer."""
    return any(matches(p, answer) for p in accept) and not any(matches(p, answer) for p in reject)


def wilson_interval(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The score interval (low, high), as fractions, of the true rate after `right` of `total`; z = 1.96 gives 95 %.

    Unlike right/total ± error it stays within 0–1 and is honest for few questions and for rates near 0 or 1.
    No questions, no knowledge: (0, 1).   Source: Wilson 1927, JASA 22(158), pp. 209-212.
    """
    if not 0 <= right <= total:
        raise ValueError(f"wilson_interval: {right} right of {total}, expected 0 <= right <= total.")
    if total == 0:
        return 0.0, 1.0
    rate, spread = right / total, z * z / total
    centre = (rate + spread / 2) / (1 + spread)
    half = z * (rate * (1 - rate) / total + spread / total / 4) ** 0.5 / (1 + spread)
    # rounding must not push the rate itself out of its interval (0 of 7, 7 of 7)
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))


@lru_cache(maxsize=4096)  # an exam asks the same patterns of base, prompted and tuned answers
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern as a regex over normalised text; None for one without content."""
    if len(pattern) >= 2 and pattern.startswith("/") and pattern.endswith("/"):
        return re.compile(pattern[1:-1], re.IGNORECASE) if pattern[1:-1] else None
    text = normalise(pattern)
    return re.compile(_plain(text)) if text else None


def _plain(text: str) -> str:
    """The regex that finds a normalised text as whole words and numbers."""
    return _edge_before(text[0]) + re.escape(text) + _edge_after(text[-1])


def _edge_before(first: str) -> str:
    if first.isdecimal():
        return rf"(?<!\d)(?<!\d[{_NUMBER_JOINTS}])"
    return f"(?<![{_LATIN}])" if re.match(f"[{_LATIN}]", first) else ""


def _edge_after(last: str) -> str:
    if last.isdecimal():
        return rf"(?!\d)(?![{_NUMBER_JOINTS}]\d)"
    return f"(?![{_LATIN}])" if re.match(f"[{_LATIN}]", last) else ""
