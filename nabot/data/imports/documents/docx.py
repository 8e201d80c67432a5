"""DOCX, what Word and its like write → blocks. In: a zip of XML, out: its paragraphs, tables, notes.

Read from the XML itself (ECMA-376): what stands in content controls, in tracked insertions and in text boxes is text, too, and
python-docx passes over it. Tracked deletions are none; page headers and footers are parts of their own, which are not read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element

from nabot.data.cutting import Block
from nabot.data.encoding import open_for_reading
from nabot.data.imports.documents.archive import ZIP_MAGIC, Archive, attribute, local, resolved
from nabot.data.imports.documents.hwp import OLE_MAGIC
from nabot.data.imports.documents.reader import DocumentReader, protected
from nabot.data.imports.documents.tables import table_blocks
from nabot.data.imports.types import Dropped
from nabot.data.passages import Piece
from nabot.errors import DataError
from nabot.text import say

_KIND = "DOCX"
_RELATIONS = "_rels/.rels"
_USUAL_BODY = "word/document.xml"
_HEADING = re.compile(r"(?:heading|제목)\s*(\d)$|(title)$", re.IGNORECASE)
_BODY_TEXT = 9  # the outline level that is none; the others count from 0
_ASIDE = (
    "del",
    "moveFrom",
    "Fallback",
    "pPr",
    "rPr",
    "sdtPr",
    "instrText",
    "rt",
)  # Fallback repeats a text box, rt is read aloud above it
_SPACES = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_NOTE_PARTS = {"footnoteReference": "footnotes.xml", "endnoteReference": "endnotes.xml"}

_Notes = Mapping[tuple[str, str], Element]  # by the name of what refers to it, and its number


def looks_docx(path: Path, head: bytes) -> bool:
    """A zip with Word's folder; and, to refuse them with a reason, what Word puts into OLE files: passwords and .doc."""
    if head.startswith(OLE_MAGIC):
        return path.suffix.lower() in (".doc", ".docx")
    return head.startswith(ZIP_MAGIC) and (b"word/" in head or path.suffix.lower() == ".docx")


def read_docx(path: Path) -> Iterator[Piece]:
    """The blocks of the document, each note behind the paragraph that it belongs to."""
    with open_for_reading(path) as file:
        if file.read(len(OLE_MAGIC)) == OLE_MAGIC:
            old = path.suffix.lower() == ".doc"
            raise DataError(say("documents.old_word", path=path)) if old else protected(path, _KIND)
    with Archive(path, _KIND) as archive:
        body = _body_name(archive)
        beside = {name: resolved(body, name) for name in ("styles.xml", *_NOTE_PARTS.values())}
        roots = {name: archive.xml(member) for name, member in beside.items() if member in archive.names}
        levels = _outline(roots["styles.xml"]) if "styles.xml" in roots else {}
        notes = {
            (reference, attribute(note, "id")): note
            for reference, name in _NOTE_PARTS.items()
            for note in roots.get(name, ())
        }
        yield from _blocks(archive.xml(body), levels, notes)


def _body_name(archive: Archive) -> str:
    """The member that holds the text: what the package says its main document is."""
    relations = archive.xml(_RELATIONS) if _RELATIONS in archive.names else ()
    for relation in relations:
        if attribute(relation, "Type").endswith("/officeDocument"):
            return attribute(relation, "Target").lstrip("/")
    return _USUAL_BODY


def _outline(styles: Element) -> dict[str, int]:
    """The level of heading, from 1, of the styles that are headings; -1 for those of a table of contents."""
    by_id = {attribute(style, "styleId"): style for style in styles if local(style) == "style"}
    return {name: level for name, style in by_id.items() if (level := _style_level(style, by_id))}


def _style_level(style: Element, by_id: Mapping[str, Element]) -> int:
    """By its own outline level, its name, or those of the styles that it is based on."""
    for _ in by_id:  # a style may by mistake be based on itself
        properties = {local(element): attribute(element, "val") for element in style.iter()}
        name = properties.get("name", "")
        if properties.get("outlineLvl", "").isdecimal():
            return _below_title(int(properties["outlineLvl"]))
        if heading := _HEADING.match(name):
            return 1 if heading[2] else _below_title(int(heading[1]) - 1)
        if name.lower().startswith("toc "):
            return -1
        if properties.get("basedOn") not in by_id:
            return 0
        style = by_id[properties["basedOn"]]
    return 0


def _below_title(outline_level: int) -> int:
    """The level of a block for one of Word's, which counts from 0 and has no place for the title."""
    return outline_level + 2 if outline_level < _BODY_TEXT else 0


def _blocks(elements: Iterable[Element], levels: Mapping[str, int], notes: _Notes) -> Iterator[Piece]:
    """The paragraphs and tables in `elements`, in order: first a paragraph's own text, then what hangs in it."""
    for element in elements:
        name = local(element)
        if name in _ASIDE:
            continue
        if name == "p":
            text, level = "".join(_words(element)), _level(element, levels)
            yield Dropped("contents") if level < 0 else Block(text, level=level)
        if name == "tbl":
            rows = [list(_nearest(row, "tc")) for row in _nearest(element, "tr")]
            yield from table_blocks([[_texts(cell, levels, notes) for cell in row] for row in rows])
        elif name in _NOTE_PARTS:
            yield from _blocks(notes.get((name, attribute(element, "id")), ()), levels, {})
        else:
            yield from _blocks(element, levels, notes)


def _level(paragraph: Element, levels: Mapping[str, int]) -> int:
    """Its own outline level, or else its style's."""
    properties = {
        local(element): attribute(element, "val") for part in paragraph if local(part) == "pPr" for element in part
    }
    if properties.get("outlineLvl", "").isdecimal():
        return _below_title(int(properties["outlineLvl"]))
    return levels.get(properties.get("pStyle", ""), 0)


def _nearest(element: Element, name: str) -> Iterator[Element]:
    """What is called `name` below an element, however wrapped, but not in a table of its own."""
    for child in element:
        if local(child) == name:
            yield child
        elif local(child) not in (*_ASIDE, "tbl"):
            yield from _nearest(child, name)


def _texts(cell: Element, levels: Mapping[str, int], notes: _Notes) -> list[str]:
    """The paragraphs of a cell; a table inside it is part of its text."""
    return [piece.text for piece in _blocks(cell, levels, notes) if isinstance(piece, Block)]


def _words(element: Element) -> Iterator[str]:
    """The text of a paragraph's own runs, without that of text boxes, which are paragraphs of their own."""
    for child in element:
        name = local(child)
        if name == "t":
            yield child.text or ""
        elif name not in (*_ASIDE, "p", "tbl"):
            yield _SPACES.get(name, "")
            yield from _words(child)


DOCX = DocumentReader("docx", looks_docx, read_docx)
