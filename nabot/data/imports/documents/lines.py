"""Lines as a page has them → paragraphs and headings. In: lines, out: lines that are whole paragraphs; heading levels.

For formats that say neither where a paragraph ends nor what a heading is: plain text and PDF; and, for headings alone, the
Korean word processor, whose writers number their headings by hand more often than they style them.
"""

import re
from collections.abc import Sequence

from nabot.data.sentences import ends_sentence, num_words

_WRAP_COLUMNS = (40, 130)  # shorter lines are verses, longer ones paragraphs
_FULL_SHARE = 0.75  # of the longest line: what is shorter ended before the margin did,
_FITTING_SHARE = 0.9  # unless the next word had no room
_HALF = 0.5  # enough for a line that the next one goes on with a small letter
_HEADING_WORDS = 12
_ITEM = re.compile(r"\s*(?:[-*•·‣▪■□○●◦※▶►–—]|\(?(?:\d{1,3}|[가-하]|[a-z])[.)]|[①-⑳㉠-㉭])\s|\s*제\s*\d+\s*조")
_NUMBERED = r"\s+(?:\d+|[ivx]+|[a-h])\s*(?:[.:–—-]|$)"  # "Chapter 3 says that" is a sentence
_LEVELS = (
    re.compile(r"제\s*\d+\s*[편부](?:\s|$)|part" + _NUMBERED, re.IGNORECASE),
    re.compile(r"제\s*\d+\s*장(?:\s|$)|[Ⅰ-Ⅻ]+\s*[.)]|부\s*칙$|(?:chapter|appendix)" + _NUMBERED, re.IGNORECASE),
    re.compile(r"제\s*\d+\s*절(?:\s|$)|section" + _NUMBERED, re.IGNORECASE),
)
_WIDE = re.compile("[ᄀ-ᅟ⺀-꓏가-힣豈-﫿︰-﹏！-｠￠-￦🌀-🫿]")
_UNSPACED = re.compile("[぀-ヿ㐀-鿿]$")


def heading_level(line: str) -> int:
    """1 to 3 for a short line that is numbered as headings are ("제2장 총칙", "Ⅰ. 개요", "Chapter 3"); otherwise 0."""
    line = line.strip()
    if num_words(line) > _HEADING_WORDS or ends_sentence(line):
        return 0
    return next((level for level, pattern in enumerate(_LEVELS, start=1) if pattern.match(line)), 0)


def columns(line: str) -> int:
    """How wide a line is where Hangul and Chinese are twice as wide as Latin letters."""
    return len(line) if line.isascii() else len(line) + len(_WIDE.findall(line))


def wrap_width(lines: Sequence[str]) -> int:
    """The columns at which the lines were broken; 0 if they seem to be paragraphs or verses as they are."""
    longest = max(map(columns, (line.strip() for line in lines)), default=0)
    return longest if _WRAP_COLUMNS[0] <= longest <= _WRAP_COLUMNS[1] else 0


def goes_on(line: str, following: str, width: int) -> bool:
    """Whether `following` belongs to the same paragraph as `line`, in a text that was broken at `width` columns."""
    if not width or _ITEM.match(following) or heading_level(line) or heading_level(following):
        return False
    full = columns(line.strip()) / width
    if following.lstrip()[:1].islower() and not ends_sentence(line):
        return full >= _HALF
    return full >= _FULL_SHARE or full + columns(following.split(maxsplit=1)[0]) / width >= _FITTING_SHARE


def joined(line: str, following: str) -> str:
    """Two lines as one, with a space between them where the script has spaces."""
    return line.rstrip() + ("" if _UNSPACED.search(line.rstrip()) else " ") + following.strip()


def unwrapped(lines: Sequence[str]) -> list[str]:
    """The paragraphs, items and verses that the lines are."""
    width = wrap_width(lines)
    whole: list[str] = []
    last = ""  # the line before, as the page has it
    for line in lines:
        if whole and goes_on(last, line, width):
            whole[-1] = joined(whole[-1], line)
        else:
            whole.append(line.strip())
        last = line
    return whole
