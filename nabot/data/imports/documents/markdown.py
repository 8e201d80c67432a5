"""Markdown → blocks. In: a path, out: headings, paragraphs, lists, tables and code, without their marks.

What CommonMark and GitHub's tables make of it, as far as text is concerned: links give their words, pictures nothing, and
lines of a paragraph are one line. Front matter and HTML comments are no text.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from nabot.data.cutting import Block
from nabot.data.faults import Fault
from nabot.data.imports.documents.lines import joined
from nabot.data.imports.documents.plain import decoded_lines
from nabot.data.imports.documents.reader import DocumentReader
from nabot.data.imports.types import Dropped
from nabot.data.passages import Piece

_SUFFIXES = (".md", ".markdown", ".mdown", ".mkd")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"\s{0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$")
_UNDERLINE = re.compile(r"\s{0,3}(=+|-+)\s*$")
_RULE = re.compile(r"\s{0,3}([-*_])(?:\s*\1){2,}\s*$")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+")
_TASK = re.compile(r"\[[ xX]\]\s+")
_QUOTE = re.compile(r"^\s{0,3}(?:>\s?)+")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE = (  # each pattern and what stays of it
    (re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])"), ""),
    (re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"<((?:https?://|mailto:)[^>\s]+)>"), r"\1"),
    (re.compile(r"(?<!\\)(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*\\])([*_])(?=[^\s*_])([^*_]+?)(?<=\S)\1(?![\w*])"), r"\2"),
    (
        re.compile(
            r"</?(?:a|b|br|center|code|details|div|em|hr|i|img|kbd|p|span|strong|sub|summary|sup)\b[^>]*>", re.I
        ),
        "",
    ),
    (re.compile(r"\\([\\`*_{}\[\]()#+.!|>~-])"), r"\1"),
)
_DEFINITION = re.compile(r"\s{0,3}\[[^\]]+\]:\s+\S+")


def looks_markdown(path: Path, head: bytes) -> bool:
    """By its name: as text it is plain text, too."""
    return path.suffix.lower() in _SUFFIXES and (b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff")))


def read_markdown(path: Path) -> Iterator[Piece]:
    """The blocks of the file; a line that cannot be decoded is a fault, front matter is dropped."""
    faults: list[Fault] = []
    lines = _COMMENT.sub("", "\n".join(decoded_lines(path, faults))).split("\n")
    yield from faults
    end = lines.index("---", 1) if lines[0] == "---" and "---" in lines[1:] else -1
    if end >= 0:
        yield Dropped("front_matter")
    yield from markdown_blocks(lines[end + 1 :])


def markdown_blocks(lines: list[str]) -> Iterator[Block]:
    """The blocks of a text in Markdown."""
    gathered: list[str] = []  # the lines of a paragraph or a list; each item of a list is one line
    i = 0
    while i < len(lines):
        line, end = lines[i], i + 1
        title = _title(lines, i) if not gathered else None
        if title is None and not _ends_paragraph(lines, i):
            _gather(line, gathered)
        else:
            yield from _paragraph(gathered)
            gathered = []
            if title:
                end = i + 2 if not _HEADING.match(line) else end
                yield title
            elif fence := _FENCE.match(line):
                end = next((j for j in range(end, len(lines)) if lines[j].strip().startswith(fence[1])), len(lines))
                yield Block("\n".join(lines[i + 1 : end]), whole=True)
                end += 1
            elif _begins_table(lines, i):
                end = next((j for j in range(i + 2, len(lines)) if "|" not in lines[j]), len(lines))
                yield Block("\n".join(map(_cells, [line, *lines[i + 2 : end]])), whole=True)
        i = end
    yield from _paragraph(gathered)


def _title(lines: list[str], i: int) -> Block | None:
    """The heading that begins at line i, with its marks in front or in the line below; None if there is none."""
    if heading := _HEADING.match(lines[i]):
        return Block(_plain(heading[2] or ""), level=len(heading[1]))
    under = _UNDERLINE.match(lines[i + 1]) if i + 1 < len(lines) else None
    if not under or not lines[i].strip() or _ITEM.match(lines[i]) or _ends_paragraph(lines, i):
        return None
    return Block(_plain(lines[i]), level=1 if "=" in under[1] else 2)


def _ends_paragraph(lines: list[str], i: int) -> bool:
    line = lines[i]
    patterns = (_FENCE, _HEADING, _RULE, _DEFINITION)
    return not line.strip() or any(pattern.match(line) for pattern in patterns) or _begins_table(lines, i)


def _begins_table(lines: list[str], i: int) -> bool:
    return i + 1 < len(lines) and "|" in lines[i] and "|" in lines[i + 1] and bool(_TABLE_RULE.match(lines[i + 1]))


def _gather(line: str, gathered: list[str]) -> None:
    """Adds a line of a paragraph to it; an item, and what follows a hard break, begins a line of its own."""
    text = _QUOTE.sub("", line)
    if gathered and not _ITEM.match(text) and not gathered[-1].endswith(("  ", "\\")):
        gathered[-1] = joined(gathered[-1], text) + " " * 2 * text.endswith("  ")
    else:
        gathered.append(text)


def _paragraph(gathered: list[str]) -> Iterator[Block]:
    text = "\n".join(_plain(line.removesuffix("\\")).rstrip() for line in gathered)
    if text.strip():
        yield Block(text)


def _cells(row: str) -> str:
    return _plain(" | ".join(cell.strip() for cell in row.strip().strip("|").split("|")))


def _plain(text: str) -> str:
    """The words of a line as a reader sees them."""
    pieces = re.split(r"(`+)(.+?)\1", text)  # code stands at 2, 5, 8 …, and its marks before it
    for i in range(0, len(pieces), 3):
        for pattern, kept in _INLINE:
            pieces[i] = pattern.sub(kept, pieces[i])
    return re.sub(_TASK, "", "".join(piece for i, piece in enumerate(pieces) if i % 3 != 1), count=1)


MARKDOWN = DocumentReader("markdown", looks_markdown, read_markdown)
