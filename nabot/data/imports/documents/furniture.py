"""What stands at the edges of pages and is not their text. In: the lines of every page, out: which are heads and numbers.

Known by repetition alone: the same line at the edge of several pages, or a number there that counts the pages.
"""

import re
from collections import Counter
from collections.abc import Sequence

from nabot.data.imports.documents.reflow import Line
from nabot.data.sentences import num_words

_EDGE_LINES = 2  # at the top, and as many at the bottom
_REPEATED = 3  # pages; chapters have heads of their own, and short chapters three pages
_MOST_WORDS = 15
_FIRST = re.compile(r"\W*(?:page\b|p\.)?\W*(\d{1,5})\b", re.IGNORECASE)
_LAST = re.compile(r"\b(\d{1,5})\W*(?:(?:of|/)\W*\d+|쪽|페이지|페이지 중 \d+)?\W*$", re.IGNORECASE)
_ALONE = re.compile(r"(?:page|p|of|쪽|페이지|중|[\W\d_])+", re.IGNORECASE)
_ROMAN = re.compile(r"\W*(?=[ivxl])(?:l?x{0,3}|xl)(?:i[xv]|v?i{0,3})\W*", re.IGNORECASE)  # front matter


def furniture(pages: Sequence[Sequence[Line]]) -> dict[tuple[int, int], str]:
    """(page, line), both from 0, of every line to leave out → "running_head" or "page_number".

    A head is as large on every page: the title that it repeats stays, and so does the chapter that has the page's number.
    """
    repeated: Counter[tuple[str, float]] = Counter()
    counted: Counter[tuple[int, float]] = Counter()  # by how much a number is more than the page's, from 0
    for i, lines in enumerate(pages):
        edges = [lines[j] for j in _edges(lines)]
        repeated.update({(_plain(line), line.size) for line in edges})
        counted.update({(number - i, line.size) for line in edges for number in _numbers(line)})
    found = {}
    for i, lines in enumerate(pages):
        for j in _edges(lines):
            line = lines[j]
            roman = _ROMAN.fullmatch(line.text)
            alone = bool(roman or _ALONE.fullmatch(line.text))
            offsets = {number - i for number in _numbers(line)}
            counts = any(counted[offset, line.size] >= _REPEATED for offset in offsets) or (alone and 1 in offsets)
            if counts or roman or repeated[_plain(line), line.size] >= _REPEATED:
                found[i, j] = "page_number" if alone else "running_head"
    return found


def _edges(lines: Sequence[Line]) -> list[int]:
    """The lines at the top and at the bottom that are short enough."""
    places = [*range(min(_EDGE_LINES, len(lines))), *range(max(_EDGE_LINES, len(lines) - _EDGE_LINES), len(lines))]
    return [j for j in places if num_words(lines[j].text) <= _MOST_WORDS]


def _plain(line: Line) -> str:
    return " ".join(line.text.split())


def _numbers(line: Line) -> set[int]:
    """The numbers at both ends of a line, one of which may be the page's."""
    return {int(found[1]) for found in (_FIRST.match(line.text), _LAST.search(line.text)) if found}
