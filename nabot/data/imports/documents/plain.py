"""Plain text → blocks. In: a path, out: paragraphs, and what looks like a heading.

The encoding is found as for every file (`nabot.data.encoding`), the file is read line by line, and empty lines are what parts
paragraphs. A line that stands alone and ends like no sentence is the heading of a longer paragraph that follows it.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nabot.data.cutting import Block
from nabot.data.encoding import detect_encoding, read_lines
from nabot.data.faults import Fault, problem
from nabot.data.imports.documents.lines import heading_level, unwrapped
from nabot.data.imports.documents.reader import DocumentReader
from nabot.data.passages import Piece
from nabot.data.sentences import num_words

_SUFFIXES = (".txt", ".text", ".rst", ".log", "")
_MOST_LINES = 1000  # of one paragraph: a file without empty lines is not held as a whole
_TITLE_WORDS = 8
_TITLE_LEVEL = 6  # below everything that is numbered
_TITLE = re.compile(r"[\w\[(「『【“\"'‘].*[\w)\]」』】”\"'’?]$|\d+(?:\.\d+)*[.)]?\s.*\.$")  # "Scope", "1. Scope."
_CODE = re.compile(r"[$={}\\|<>~;]")
_UNDERLINE = re.compile(r"\s*([=\-~^*#])\1{2,}\s*$")


def looks_plain(path: Path, head: bytes) -> bool:
    """Any text whose name claims nothing else; UTF-16 has zero bytes, and a mark that says so."""
    text = head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in head
    return path.suffix.lower() in _SUFFIXES and text


def read_plain(path: Path) -> Iterator[Piece]:
    """The blocks of the file; a line that cannot be decoded is a fault."""
    faults: list[Fault] = []
    before: list[str] = []
    for lines in _paragraphs(decoded_lines(path, faults)):
        yield from faults
        faults.clear()
        if before:
            yield from _blocks(before, lines)
        before = lines
    yield from faults
    yield from _blocks(before, [])


def decoded_lines(path: Path, faults: list[Fault]) -> Iterator[str]:
    """The lines without their ends; what cannot be decoded goes into `faults`. Raises DataError for what is no text."""
    for line in read_lines(path, detect_encoding(path)):
        if line.text is None:
            faults.append(problem("undecodable", offset=line.bad_byte).at(str(path), line.number))
        else:
            yield line.text.rstrip("\r\n")


def _paragraphs(lines: Iterable[str]) -> Iterator[list[str]]:
    gathered: list[str] = []
    for line in lines:
        if line.strip():
            gathered.append(line)
        if gathered and (not line.strip() or len(gathered) == _MOST_LINES):
            yield gathered
            gathered = []
    if gathered:
        yield gathered


def _blocks(lines: list[str], following: list[str]) -> Iterator[Block]:
    """One paragraph, and the headings that stand directly above it."""
    while lines:
        if len(lines) > 1 and _UNDERLINE.match(lines[1]):
            yield Block(lines[0], level=1 if lines[1].strip()[0] == "=" else 2)
            lines = lines[2:]
        elif level := heading_level(lines[0]) or _title_level(lines, following):
            yield Block(lines[0], level=level)
            lines = lines[1:]
        else:
            yield Block("\n".join(unwrapped([line for line in lines if not _UNDERLINE.match(line)])))
            return


def _title_level(lines: list[str], following: list[str]) -> int:
    title = lines[0].strip()
    alone = len(lines) == 1 and num_words(" ".join(following)) > 2 * _TITLE_WORDS
    likely = (
        num_words(title) <= _TITLE_WORDS and _TITLE.match(title) and not title[0].islower() and not _CODE.search(title)
    )
    return _TITLE_LEVEL if alone and likely else 0


PLAIN = DocumentReader("plain", looks_plain, read_plain)
