"""A run of blocks → pieces of even size. In: blocks of a document, out: runs of units, each a passage to be.

Where to cut is one minimisation over the whole run: every cut has a price (none in front of a heading, more inside a
paragraph), and so has every piece that is too short or that holds several sections. Greedy filling would leave the
end of every section as a scrap.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from nabot.data.sentences import num_words, parts, sentences

FEWEST_WORDS, MOST_WORDS = 150, 350  # a few facts to ask about; with question and answer about 1,000 tokens
_HORIZON_WORDS = 12_000  # so much is looked at together: a chapter, and little memory
_LONGEST_HEADING = 25  # words; what is longer is a paragraph, whatever its style says

# prices, in units of one cut between two paragraphs
_AT_PARAGRAPH, _AT_LINE, _IN_PARAGRAPH = 1.0, 2.0, 3.0
_EMPTY_PIECE = 6.0  # times the square of the missing share: 120 words stay alone, 75 are put together with others
_ANOTHER_SECTION, _SUBSECTION = 1.0, 0.25
_LONELY_HEADING = 8.0


@dataclass(frozen=True)
class Block:
    """A heading, a paragraph, a table: what a reader of documents gives. Lines of `text` are the document's own."""

    text: str
    level: int = 0  # of a heading, 1 the highest; 0: no heading
    place: str = ""  # "page 3", where the document has pages
    whole: bool = False  # a table or code: stays in one piece if it fits, and keeps its spaces


class Unit(NamedTuple):
    """What is never cut: a sentence, a heading, a table that fits."""

    text: str
    words: int
    glue: str  # what stands between it and the unit before
    price: float  # of a cut before it
    level: int  # as of `Block`
    path: tuple[tuple[int, str], ...]  # the headings above it, with their levels; its own, if it is one
    place: str


def pieces(blocks: Iterable[Block]) -> Iterator[list[Unit]]:
    """Runs of units of at most MOST_WORDS, most of at least FEWEST_WORDS; together they are the blocks, in order."""
    waiting: list[Unit] = []
    num_waiting = 0
    for unit in _units(blocks):
        waiting.append(unit)
        num_waiting += unit.words
        if num_waiting > _HORIZON_WORDS:
            *done, waiting = _best(waiting)  # the last one ends where the looking ended, and nothing else did
            yield from done
            num_waiting = sum(unit.words for unit in waiting)
    if waiting:
        yield from _best(waiting)


def _units(blocks: Iterable[Block]) -> Iterator[Unit]:
    path: tuple[tuple[int, str], ...] = ()
    for block in blocks:
        words = num_words(block.text)
        level = block.level if words <= _LONGEST_HEADING else 0
        if level:
            path = (*(above for above in path if above[0] < level), (level, " ".join(block.text.split())))
        if level or (block.whole and words <= MOST_WORDS):
            yield Unit(block.text, words, "\n\n", 0.0 if level else _AT_PARAGRAPH, level, path, block.place)
        else:
            for text, glue, price in _sentences(block.text):
                yield Unit(text, num_words(text), glue, price, 0, path, block.place)


def _sentences(text: str) -> Iterator[tuple[str, str, float]]:
    glue, price = "\n\n", _AT_PARAGRAPH
    for line in text.split("\n"):
        for sentence in sentences(line):
            for part in parts(sentence, MOST_WORDS):
                yield part, glue, price
                glue, price = " ", _IN_PARAGRAPH
        glue, price = "\n", _AT_LINE


def _best(units: Sequence[Unit]) -> list[list[Unit]]:
    """The cheapest way to cut `units`: `cost[j]` is that of everything before unit j, whose piece begins at `begin[j]`."""
    cost = [0.0] + [float("inf")] * len(units)
    begin = [0] * (len(units) + 1)
    for i in range(len(units)):
        cut = units[i].price if i else 0.0
        for j, price in _prices(units, i):
            if cost[i] + cut + price < cost[j]:
                cost[j], begin[j] = cost[i] + cut + price, i
    ends = [len(units)]
    while ends[-1]:
        ends.append(begin[ends[-1]])
    ends.reverse()
    return [list(units[i:j]) for i, j in pairwise(ends)]


def _prices(units: Sequence[Unit], begin: int) -> Iterator[tuple[int, float]]:
    """Every end that a piece from `begin` on may have, and what the piece costs then."""
    words, sections = 0, 0.0
    for end in range(begin, len(units)):
        unit = units[end]
        words += unit.words
        if words > MOST_WORDS and end > begin:
            return
        if unit.level and end > begin:
            above = units[end - 1].path
            sections += _ANOTHER_SECTION if above and unit.level <= above[-1][0] else _SUBSECTION
        lonely = _LONELY_HEADING * (unit.level > 0 and end + 1 < len(units))
        yield end + 1, sections + lonely + _EMPTY_PIECE * max(0.0, 1 - words / FEWEST_WORDS) ** 2
