"""HWP 5, what Hancom's word processor wrote before HWPX → blocks. In: an OLE file, out: its paragraphs, tables, notes.

"한글 문서 파일 형식 5.0" (Hancom, revision 1.3): the streams BodyText/Section0 and so on are raw deflate over records of a tag, a
level and a payload; a record belongs to the nearest one above it with a lower level. Page headers and footers and hidden
comments are no part of the text.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nabot.data.cutting import Block
from nabot.data.encoding import open_for_reading
from nabot.data.imports.documents.lines import heading_level
from nabot.data.imports.documents.reader import DocumentReader, damaged, protected
from nabot.data.imports.documents.tables import table_blocks
from nabot.data.imports.libraries import library_for
from nabot.data.imports.limits import MOST_UNPACKED
from nabot.data.passages import Piece
from nabot.errors import DataError
from nabot.text import say

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_KIND = "HWP"
_SIGNATURE = b"HWP Document File"
_OLD_MAGIC = b"HWP Document File V"  # HWP 3: no OLE file
_COMPRESSED, _LOCKED = (
    1,
    2 | 4 | 16 | 256 | 1024,
)  # bits of the file header: password, distribution, DRM, two kinds of keys
_PARA_SHAPE, _PARA_HEADER, _PARA_TEXT, _CONTROL, _LIST, _TABLE = 25, 66, 67, 71, 72, 77  # tags of records
_EXTENDED_SIZE = 0xFFF  # the size does not fit into its 12 bits and follows in a word of its own
_OUTLINE = 1  # kind of heading of a paragraph shape: bits 23 and 24 of its first word; its level: bits 25 to 27
_SECTION = re.compile(r"BodyText/Section(\d+)$")
_MOST_RECORDS = 2_000_000  # of one section: an empty one takes four bytes there, and hundreds here
_ASIDE = (b"head", b"foot", b"tcmt")
_CELL_ROW = 10  # bytes into the list header of a cell
_ONE_UNIT = {
    0: "",
    10: "\n",
    13: "",
    24: "-",
    30: " ",
    31: " ",
}  # characters below 32 that take one unit; the others take eight
_TAB = 9


@dataclass
class Record:
    """One record with those that belong to it."""

    tag: int
    payload: bytes
    children: list["Record"] = field(default_factory=list)


def looks_hwp(path: Path, head: bytes) -> bool:
    """An OLE file with the header of HWP in its first part, or with its name; and HWP 3, which is refused with a reason."""
    if head.startswith(_OLD_MAGIC):
        return True
    return head.startswith(OLE_MAGIC) and (_SIGNATURE in head or path.suffix.lower() == ".hwp")


def read_hwp(path: Path) -> Iterator[Piece]:
    """The blocks of all sections."""
    with library_for(path):
        import olefile
    with open_for_reading(path) as file:
        if file.read(len(_OLD_MAGIC)) == _OLD_MAGIC:
            raise DataError(say("documents.old_hwp", path=path))
        try:
            with olefile.OleFileIO(file) as ole:
                yield from _document(path, ole)
        except (OSError, ValueError, IndexError, struct.error, zlib.error) as error:
            raise damaged(path, _KIND, error) from error


def _document(path: Path, ole: Any) -> Iterator[Block]:
    """The blocks of an opened OLE file. Raises one of the errors above where it is damaged."""
    flags = int.from_bytes(ole.openstream("FileHeader").read()[36:40], "little")
    if flags & _LOCKED:
        raise protected(path, _KIND)
    unpacked = _inflated if flags & _COMPRESSED else bytes
    levels = outline_levels(records(unpacked(ole.openstream("DocInfo").read())))
    numbers = sorted(int(found[1]) for name in ole.listdir() if (found := _SECTION.match("/".join(name))))
    for number in numbers:
        yield from blocks(records(unpacked(ole.openstream(f"BodyText/Section{number}").read())), levels)


def _inflated(packed: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=-15)
    data = stream.decompress(packed, MOST_UNPACKED)
    if not stream.eof:
        raise ValueError(f"{len(packed)} → {len(data)} bytes")
    return data


def records(data: bytes) -> list[Record]:
    """The records of the lowest level, each with those below it. Raises ValueError or struct.error if the last is cut off."""
    levels: list[list[Record]] = [[]]  # where a record of each level belongs
    at = num_records = 0
    while at < len(data):
        num_records += 1
        if num_records > _MOST_RECORDS:
            raise ValueError(f"> {_MOST_RECORDS} records")
        (word,) = struct.unpack_from("<I", data, at)
        at += 4
        level, size = word >> 10 & 0x3FF, word >> 20
        if size == _EXTENDED_SIZE:
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        if at + size > len(data):
            raise ValueError(f"{at} + {size} > {len(data)} bytes")
        record = Record(word & 0x3FF, data[at : at + size])
        at += size
        del levels[level + 1 :]
        levels[-1].append(record)
        levels.append(record.children)
    return levels[0]


def outline_levels(doc_info: Sequence[Record]) -> list[int]:
    """The level of heading of every paragraph shape, from 1; 0 for those of no heading."""
    shapes = [record for record in flat(doc_info) if record.tag == _PARA_SHAPE]
    words = [int.from_bytes(shape.payload[:4], "little") for shape in shapes]
    return [(word >> 25 & 7) + 1 if word >> 23 & 3 == _OUTLINE else 0 for word in words]


def flat(siblings: Sequence[Record]) -> Iterator[Record]:
    """All records, each before those below it."""
    for record in siblings:
        yield record
        yield from flat(record.children)


def blocks(siblings: Sequence[Record], levels: Sequence[int]) -> Iterator[Block]:
    """The paragraphs and tables in records, in order: first a paragraph's own text, then what hangs in it."""
    for record in siblings:
        kind = record.payload[3::-1] if record.tag == _CONTROL else b""  # four letters, the last one first
        if kind in _ASIDE:
            continue
        if record.tag == _PARA_HEADER:
            text = "".join(_words(child.payload) for child in record.children if child.tag == _PARA_TEXT).strip()
            (shape,) = struct.unpack_from("<H", record.payload, 8)
            yield Block(text, level=(levels[shape] if shape < len(levels) else 0) or heading_level(text))
        if kind == b"tbl ":
            yield from _table(record.children, levels)
        else:
            yield from blocks(record.children, levels)


def _table(children: Sequence[Record], levels: Sequence[int]) -> Iterator[Block]:
    """The caption, which stands before the table's own record, and the rows."""
    own = [child.tag for child in children].index(_TABLE)
    rows: dict[int, list[list[str]]] = {}
    cell: list[str] = []
    for child in children[own + 1 :]:
        if child.tag == _LIST:
            cell = []
            (row,) = struct.unpack_from("<H", child.payload, _CELL_ROW)
            rows.setdefault(row, []).append(cell)
        else:
            cell += [block.text for block in blocks([child], levels)]
    yield from blocks(children[:own], levels)
    yield from table_blocks([rows[row] for row in sorted(rows)])


def _words(payload: bytes) -> str:
    """The text of a paragraph; controls in it are eight units long, but for a few that stand for characters."""
    units = struct.unpack(f"<{len(payload) // 2}H", payload[: len(payload) // 2 * 2])
    text = []
    i = 0
    while i < len(units):
        unit = units[i]
        text.append(chr(unit) if unit >= 32 else _ONE_UNIT.get(unit, "\t" if unit == _TAB else ""))
        i += 1 if unit >= 32 or unit in _ONE_UNIT else 8
    return "".join(text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


HWP = DocumentReader("hwp", looks_hwp, read_hwp)
