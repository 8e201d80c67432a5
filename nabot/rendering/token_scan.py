"""Finds special tokens in the template's own words. In: text and the spans to look at, out: where which token stands.

As `tokenizers` does it: leftmost first, then longest; tokens may swallow the white space beside them.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from nabot.rendering.template_spans import Span, Words
from nabot.tokenizer import Tokenizer
from nabot.tokenizer.plain_twin import is_mark


class Mark(NamedTuple):
    """A special token in a text: [start, end) is what is consumed, `place` where it was written."""

    start: int
    end: int
    place: int
    token_id: int


class Scanner:
    """Knows one tokenizer's added tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokens = {t.content: (n, t) for n, t in tokenizer.special_tokens.items() if t.content and is_mark(t)}
        # `tokenizers` looks for "normalized" ones (a minority) in what the others leave
        passes = ([c for c, (_, t) in self._tokens.items() if t.normalized is flag] for flag in (False, True))
        self._passes = [_any_of(contents) for contents in passes if contents]

    def has_mark(self, text: str) -> bool:
        """True if an added token is written anywhere in `text`."""
        return any(pattern.search(text) for pattern in self._passes)

    def marks(self, text: str, regions: Iterable[Span]) -> list[Mark]:
        """In order; consumed parts never overlap."""
        found: list[re.Match[str]] = []
        gaps = list(regions)
        for pattern in self._passes:
            hits = [
                m for gap in gaps for m in pattern.finditer(text, gap.start, gap.end) if self._stands_alone(text, m)
            ]
            gaps = [part for gap in gaps for part in _left_over(gap, hits)]
            found += hits
        marks: list[Mark] = []
        for match in sorted(found, key=lambda m: m.start()):
            marks.append(self._mark(text, match, marks[-1].end if marks else 0))
        return marks

    def _mark(self, text: str, match: "re.Match[str]", floor: int) -> Mark:
        token_id, token = self._tokens[match[0]]
        start, end = match.span()
        while token.lstrip and start > floor and text[start - 1].isspace():
            start -= 1
        while token.rstrip and end < len(text) and text[end].isspace():
            end += 1
        return Mark(max(start, floor), end, match.start(), token_id)

    def _stands_alone(self, text: str, match: "re.Match[str]") -> bool:
        if not self._tokens[match[0]][1].single_word:
            return True
        around = text[max(match.start() - 1, 0) : match.start()] + text[match.end() : match.end() + 1]
        return not any(letter.isalnum() or letter == "_" for letter in around)


def outside(spans: Iterable[Span | Words], whole: Span) -> list[Span]:
    """What the spans (in order) leave of `whole`."""
    gaps, place = [], whole.start
    for span in spans:
        if span.start > place:
            gaps.append(Span(place, span.start))
        place = max(place, span.end)
    return [*gaps, Span(place, whole.end)] if place < whole.end else gaps


def _left_over(gap: Span, hits: "list[re.Match[str]]") -> list[Span]:
    return outside([Span(*hit.span()) for hit in hits if gap.start <= hit.start() < gap.end], gap)


def _any_of(contents: list[str]) -> "re.Pattern[str]":
    return re.compile("|".join(re.escape(content) for content in sorted(contents, key=len, reverse=True)))
