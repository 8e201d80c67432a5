"""HWPX, what Hancom's word processor writes today → blocks. In: a zip of XML, out: its paragraphs, tables, notes.

KS X 6101 (OWPML): the text lies in Contents/section0.xml and so on, paragraphs (`p`) of runs of text (`t`); whatever is drawn
hangs in the runs, with paragraphs of its own. Page headers, footers and hidden comments are no part of the text.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from nabot.data.cutting import Block
from nabot.data.imports.documents.archive import ZIP_MAGIC, Archive, attribute, is_zip_of, local
from nabot.data.imports.documents.lines import heading_level
from nabot.data.imports.documents.reader import DocumentReader, damaged, protected
from nabot.data.imports.documents.tables import table_blocks
from nabot.data.passages import Piece

_KIND = "HWPX"
_SECTION = re.compile(r"Contents/section(\d+)\.xml$", re.IGNORECASE)
_HEADER = "Contents/header.xml"
_MANIFEST = "META-INF/manifest.xml"
_ASIDE = ("header", "footer", "hiddenComment", "secPr", "fieldBegin", "shapeComment", "parameters", "script")
_SPACES = {"tab": "\t", "lineBreak": "\n", "nbSpace": " ", "fwSpace": " ", "hyphen": "-"}


def looks_hwpx(path: Path, head: bytes) -> bool:
    """A zip that says it is one; where it does not, the name says it."""
    return is_zip_of(head, b"application/hwp+zip") or (head.startswith(ZIP_MAGIC) and path.suffix.lower() == ".hwpx")


def read_hwpx(path: Path) -> Iterator[Piece]:
    """The blocks of all sections."""
    with Archive(path, _KIND) as archive:
        if _MANIFEST in archive.names and b"encryption-data" in archive.read(_MANIFEST):
            raise protected(path, _KIND)
        sections = sorted((int(found[1]), name) for name in archive.names if (found := _SECTION.match(name)))
        if not sections:
            raise damaged(path, _KIND, "Contents/section0.xml: 0 bytes")
        levels = _outline(archive.xml(_HEADER)) if _HEADER in archive.names else {}
        for _, name in sections:
            yield from _blocks(archive.xml(name), levels)


def _outline(header: Element) -> dict[str, int]:
    """The level, from 1, of every paragraph shape that numbers headings."""
    shapes = (element for element in header.iter() if local(element) == "paraPr")
    found = ((attribute(shape, "id"), heading) for shape in shapes for heading in shape if local(heading) == "heading")
    return {
        shape: int(level) + 1
        for shape, heading in found
        if attribute(heading, "type") == "OUTLINE" and (level := attribute(heading, "level")).isdecimal()
    }


def _blocks(elements: Iterable[Element], levels: dict[str, int]) -> Iterator[Block]:
    """The paragraphs and tables in `elements`, in order: first a paragraph's own text, then what hangs in it."""
    for child in elements:
        name = local(child)
        if name == "p":
            text = "".join(_words(child)).strip()
            yield Block(text, level=levels.get(attribute(child, "paraPrIDRef"), 0) or heading_level(text))
            yield from _blocks(child, levels)
        elif name == "tbl":
            yield from _blocks((part for part in child if local(part) == "caption"), levels)
            yield from table_blocks(_rows(child, levels))
        elif name not in _ASIDE:
            yield from _blocks(child, levels)


def _rows(table: Element, levels: dict[str, int]) -> list[list[list[str]]]:
    """The paragraphs of each cell of each row; a table inside a cell is part of its text."""
    cells = ([cell for cell in row if local(cell) == "tc"] for row in table if local(row) == "tr")
    return [[[block.text for block in _blocks(cell, levels)] for cell in row] for row in cells]


def _words(paragraph: Element) -> Iterator[str]:
    """The text of a paragraph's own runs, without that of what hangs in it."""
    for run in paragraph:
        for text in run:
            if local(run) == "run" and local(text) == "t":
                yield text.text or ""
                for mark in text:  # a tab, a line break; what else may stand there is formatting
                    yield _SPACES.get(local(mark), "") + (mark.tail or "")


HWPX = DocumentReader("hwpx", looks_hwpx, read_hwpx)
