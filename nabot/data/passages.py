"""Documents → passages. In: the blocks of a document, out: passages of 150 to 350 words, and what was left out.

A passage is what a teacher is shown to ask about, so it has to make sense alone: it begins at a heading where there is
one, ends where a sentence ends, and no text is in two of them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from nabot.data.alike import Seen
from nabot.data.boilerplate import boilerplate
from nabot.data.cutting import Block, Unit, pieces
from nabot.data.faults import Fault
from nabot.data.imports.types import Dropped, Passage

Piece = Block | Dropped | Fault

_BETWEEN_HEADINGS = " > "
_EMOJI = "[\U0001f000-\U0001faff\u2190-\u2bff\ufe0f]"  # only between them a joiner is seen: it makes one picture of two
_INVISIBLE = re.compile(
    "[\u00ad\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\x00-\x08\x0b\x0e-\x1f\x7f]"
    rf"|(?<!{_EMOJI})\u200d|\u200d(?!{_EMOJI})"
)
_BREAKS = re.compile("\r\n?|[\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n]+")
_AROUND_BREAKS = re.compile(r" ?\n[ \n]*")


def passages(document: Iterable[Piece], source: str) -> Iterator[Passage | Dropped | Fault]:
    """The passages of one document, called `source`; faults and what a reader dropped are handed on.

    Text is brought to NFC, without soft hyphens and characters of no width. A passage that says nearly the same as an
    earlier one is dropped ("repeated"), and so are lines that are no content (`boilerplate`).
    """
    aside: list[Dropped | Fault] = []
    seen = Seen()
    for units in pieces(_content(document, aside)):
        yield from aside
        aside.clear()
        passage = Passage(_joined(units), source, _place(units))
        yield passage if seen.is_new(passage.text) else Dropped("repeated", passage.place)
    yield from aside


def tidy(text: str, *, whole: bool = False) -> str:
    """NFC without characters that nobody sees; runs of spaces and of empty lines as one, unless `whole`."""
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", _BREAKS.sub("\n", text)))
    return text.strip("\n").rstrip() if whole else _AROUND_BREAKS.sub("\n", _SPACES.sub(" ", text)).strip()


def _content(document: Iterable[Piece], aside: list[Dropped | Fault]) -> Iterator[Block]:
    """The blocks with something in them, tidy; all else goes into `aside`."""
    for piece in document:
        if not isinstance(piece, Block):
            aside.append(piece)
            continue
        lines = []
        for line in tidy(piece.text, whole=piece.whole).split("\n"):
            if reason := "" if piece.whole else boilerplate(line):
                aside.append(Dropped(reason, piece.place))
            else:
                lines.append(line)
        if text := "\n".join(lines).rstrip():
            yield replace(piece, text=text)


def _joined(units: Sequence[Unit]) -> str:
    return units[0].text + "".join(unit.glue + unit.text for unit in units[1:])


def _place(units: Sequence[Unit]) -> str:
    """The headings that all of its text stands under, or else the first ones; the page where there are none."""
    text = [unit for unit in units if not unit.level] or units
    paths = [tuple(title for _, title in unit.path) for unit in text]
    shared = paths[0]
    for path in paths:
        shared = tuple(a for a, b in zip(shared, path, strict=False) if a == b)
    return _BETWEEN_HEADINGS.join(shared or next(filter(None, paths), ())) or units[0].place
