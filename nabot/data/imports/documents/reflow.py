"""Lines of pages → blocks. In: lines with their place and size, out: headings and paragraphs.

What is larger than the text is a heading. Lines belong together if the first reaches the margin, also across pages; hyphens at
line ends are taken away unless the word has one elsewhere, too.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from nabot.data.cutting import Block
from nabot.data.imports.documents.lines import columns, goes_on, heading_level, joined
from nabot.data.sentences import ends_sentence, num_words
from nabot.text import say

_LARGER = 1.12  # times the size of most text: a heading
_HEADING_WORDS = 20
_MOST_SIZES = 8  # recognised scans have another size in every line
_PARAGRAPH_GAP = 1.4  # times the usual distance of lines of that size
_NARROWEST = 30  # columns; a page of shorter lines has no margin
_SPACED_SHARE = 0.1  # of lines that end with Hangul: some spaces were kept there, so where none is, a word goes on
_HYPHEN = re.compile(r"(\w+)[-\u00ad\u2010]$")
_WORD = re.compile(r"\w+(?:[-\u2010]\w+)*")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_HANGUL_END = re.compile("[가-힣] *$")


@dataclass(frozen=True)
class Line:
    """One line as it came (a space at its end tells something), its height above the page's foot and the size of its letters."""

    text: str
    page: int  # from 1
    height: float  # points
    size: float  # points


def blocks(lines: Sequence[Line]) -> Iterator[Block]:
    """The blocks of a document, from its lines without heads and page numbers; their places are pages."""
    page = _Look(lines)
    begin, text = 0, ""
    for i, line in enumerate(lines):
        between = page.between(lines[i - 1], line) if i else None
        if between is None:
            if text:
                yield page.block(lines[begin], text)
            begin, text = i, line.text.strip()
        elif between == "\n":
            text += "\n" + line.text.strip()
        else:
            text = page.joined(text, lines[i - 1], line)
    if text:
        yield page.block(lines[begin], text)


class _Look:
    """What the lines of a document have in common, and what follows from it for two of them."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._heading_sizes = _heading_sizes(lines)
        pairs = [
            (a, b) for a, b in pairwise(lines) if a.page == b.page and a.height > b.height and a.size == b.size > 0
        ]
        self._gap = median((a.height - b.height) / a.size for a, b in pairs) if pairs else 0.0
        widths = {
            page: max(columns(line.text.strip()) for line in own)
            for page, own in groupby(lines, lambda line: line.page)
        }
        half = max(widths.values(), default=0) // 2  # a page of few short lines has no margin to see
        self._widths = {page: max(width, half) if width >= _NARROWEST else 0 for page, width in widths.items()}
        self._words = {word for line in lines for word in _WORD.findall(line.text.lower())}
        hangul = [line.text for line in lines if _HANGUL_END.search(line.text)]
        self._keeps_spaces = sum(text.endswith(" ") for text in hangul) > _SPACED_SHARE * len(hangul)

    def level(self, line: Line) -> int:
        """Of a heading, by its size or its number; 0 for text."""
        if line.size in self._heading_sizes and num_words(line.text) <= _HEADING_WORDS and _LETTERS.search(line.text):
            return self._heading_sizes.index(line.size) + 1
        level = heading_level(line.text)
        return level + len(self._heading_sizes) if level else 0

    def between(self, line: Line, following: Line) -> str | None:
        """What stands between two lines: a space, a line break, or nothing at all, because a new block begins."""
        usual = self._gap * max(line.size, following.size)
        apart = line.page == following.page and line.height - following.height > _PARAGRAPH_GAP * usual
        if self.level(line) or self.level(following):
            return " " if line.size == following.size in self._heading_sizes and not apart else None
        unfinished = not ends_sentence(line.text) and following.text.lstrip()[:1].islower()
        if goes_on(line.text, following.text, self._widths[line.page]) and (unfinished or not apart):
            return " "
        return None if apart or ends_sentence(line.text) or line.page != following.page else "\n"

    def joined(self, text: str, line: Line, following: Line) -> str:
        """`text`, which ends with `line`, and what goes on: without the hyphen of a divided word, and with a space or without."""
        rest = following.text.strip()
        hyphen, word = _HYPHEN.search(text), _WORD.match(rest)
        if hyphen and word and rest[0].islower():
            whole = f"{hyphen[1]}-{word[0]}"
            return text + rest if whole.lower() in self._words else text[: hyphen.end(1)] + rest
        divided = self._keeps_spaces and _HANGUL_END.search(line.text) and not line.text.endswith(" ")
        return text + rest if divided and _HANGUL_END.match(rest[:1]) else joined(text, rest)

    def block(self, line: Line, text: str) -> Block:
        """A block that begins with `line`."""
        return Block(text, self.level(line), say("documents.page", number=line.page))


def _heading_sizes(lines: Sequence[Line]) -> list[float]:
    """The sizes that are larger than most of the text, largest first; none where there are so many that they mean nothing."""
    letters: Counter[float] = Counter()
    for line in lines:
        letters[line.size] += len(line.text)
    usual = letters.most_common(1)[0][0] if letters else 0.0
    larger = sorted((size for size in letters if size > _LARGER * usual), reverse=True)
    return larger if len(larger) <= _MOST_SIZES else []
