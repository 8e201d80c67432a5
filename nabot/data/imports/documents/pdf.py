"""PDF → blocks. In: a path, out: its headings and paragraphs, each with the page where it begins.

A PDF knows where letters stand and nothing of paragraphs: pypdf gives pieces of text with place and size, `furniture` finds heads
and page numbers, `reflow` puts lines together.
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nabot.data.boilerplate import boilerplate
from nabot.data.encoding import open_for_reading
from nabot.data.faults import Fault, problem
from nabot.data.imports.documents.furniture import furniture
from nabot.data.imports.documents.reader import DocumentReader, damaged, protected
from nabot.data.imports.documents.reflow import Line, blocks
from nabot.data.imports.libraries import library_for
from nabot.data.imports.types import Dropped
from nabot.data.passages import Piece
from nabot.errors import DataError
from nabot.text import counted, say

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_KIND = "PDF"
_MAGIC = b"%PDF-"
_MAGIC_WITHIN = 1024  # bytes: something may stand before it, and programs open it all the same
_NO_LETTER = re.compile("[\x00-\x08\x0e-\x1f\ue000-\uf8ff\ufffd]")
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}  # ﬁ and the like
_NOWHERE = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
_READABLE_SHARE = 0.7  # of the characters of a text that has a map from its glyphs to letters


def looks_pdf(path: Path, head: bytes) -> bool:
    """By the magic number near the beginning."""
    return _MAGIC in head[:_MAGIC_WITHIN]


def read_pdf(path: Path) -> Iterator[Piece]:
    """The blocks of all pages. A page that cannot be read is a fault; one without text is dropped."""
    pages: list[list[Line]] = []
    any_read = False
    with open_for_reading(path) as file:
        for number, lines in enumerate(_pages(path, file), start=1):
            if isinstance(lines, Fault):
                yield lines
            elif not lines:
                yield Dropped("page_without_text", say("documents.page", number=number))
            any_read = any_read or not isinstance(lines, Fault)
            pages.append([] if isinstance(lines, Fault) else lines)
    if any_read:
        _require_text(path, "".join(line.text for lines in pages for line in lines), len(pages))
    left_out = furniture(pages)
    kept = []
    for i, lines in enumerate(pages):
        for j, line in enumerate(lines):
            if reason := left_out.get((i, j)) or boilerplate(line.text):
                yield Dropped(reason, say("documents.page", number=line.page))
            else:
                kept.append(line)
    yield from blocks(kept)


def _require_text(path: Path, text: str, num_pages: int) -> None:
    if not text.strip():
        raise DataError(say("documents.scanned", path=path, pages=counted("count.pages", num_pages)))
    if len(_NO_LETTER.findall(text)) > (1 - _READABLE_SHARE) * len(text):
        raise DataError(say("documents.no_letters", path=path))


def _pages(path: Path, file: BinaryIO) -> Iterator[list[Line] | Fault]:
    """The lines of every page, or what is wrong with it."""
    reader = _opened(path, file)
    for number in range(1, len(reader.pages) + 1):
        try:
            yield _lines(reader.pages[number - 1], number)
        except Exception as error:  # a damaged page raises whatever comes; it must not cost the others
            yield problem("unreadable_page", reason=f"{type(error).__name__}: {error}").at(str(path), number)


def _opened(path: Path, file: BinaryIO) -> "PdfReader":
    with library_for(path):
        from pypdf import PdfReader
        from pypdf.errors import DependencyError
    logging.getLogger("pypdf").addHandler(logging.NullHandler())  # it mends what it can; the person need not hear of it
    try:
        reader = PdfReader(file)
        locked = reader.is_encrypted and not reader.decrypt("")  # many only forbid printing, and have no password
        if not locked:
            len(reader.pages)
    except DependencyError as error:
        raise DataError(say("import.no_library", path=path, library="cryptography")) from error
    except Exception as error:  # pypdf's own errors, and whatever a broken file makes of its numbers
        raise damaged(path, _KIND, error) from error
    if locked:
        raise protected(path, _KIND)
    return reader


def _lines(page: "PageObject", number: int) -> list[Line]:
    """The lines of a page that have text."""
    gathered = _Gathered(number)
    page.extract_text(visitor_text=gathered.add)
    gathered.add("\n", _NOWHERE, _NOWHERE, None, 0.0)
    return gathered.lines


class _Gathered:
    """Lines, made of the pieces of text that pypdf hands out; a piece may end a line, or several."""

    def __init__(self, page: int) -> None:
        self.lines: list[Line] = []
        self._page = page
        self._begin()

    def _begin(self) -> None:
        self._text, self._height, self._sizes = "", 0.0, Counter[float]()

    def add(self, text: str, user: list[float], place: list[float], font: object, size: float) -> None:
        """One piece; `place` and `user` are the matrices that bring it to the page, in the order of its operators."""
        first, *others = text.split("\n")
        self._put(first, user, place, size)
        for piece in others:
            if self._text.strip():
                self.lines.append(Line(self._text, self._page, self._height, self._sizes.most_common(1)[0][0]))
            self._begin()
            self._put(piece, user, place, size)

    def _put(self, text: str, user: list[float], place: list[float], size: float) -> None:
        text = text.translate(_LIGATURES)
        if text.strip():
            if not self._text.strip():
                self._height = place[4] * user[1] + place[5] * user[3] + user[5]
            self._sizes[round(size * _scale(user) * _scale(place), 1)] += len(text)
        self._text += text


def _scale(matrix: list[float]) -> float:
    """By how much a matrix makes letters larger: the square root of its determinant."""
    return abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) ** 0.5


PDF = DocumentReader("pdf", looks_pdf, read_pdf)
