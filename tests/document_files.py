"""One small handbook in every format of documents, written by hand or by another library. In: blocks, out: bytes of files.

A block is a heading ("# Title", "## Section"), a table (a list of rows) or a paragraph. HWP, HWPX, EPUB and PDF are written here
byte by byte, because no library that writes them is at hand; DOCX is written by python-docx.
"""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from html import escape
from textwrap import wrap
from zipfile import ZIP_STORED, ZipFile

Block = str | list[list[str]]

HANDBOOK: list[Block] = [
    "# Handbook of the Dal Café",
    "This handbook is for everyone who works at the Dal Café. It says when we open, what we sell, and what to do when "
    "something goes wrong. Read it once from beginning to end; after that, keep it below the till. If a rule makes no "
    "sense to you, ask Ms. Han, who wrote it, and she will either explain the rule or change it.",
    "## Opening hours",
    "We open at 7:30 on weekdays and at 9:00 on Saturdays. On Sundays the café stays closed, except on the first Sunday "
    "of May, when the neighbourhood has its festival. Whoever comes first switches on the boiler, which needs twenty "
    "minutes, and puts the chairs out. The last guest may stay until 21:45. Then we clean the machine, count the till "
    "twice, and write both numbers into the blue book.",
    "## Drinks and prices",
    "Prices have not changed since March. A regular guest who brings a cup pays half a coin less, whatever the drink is.",
    [["Drink", "Small", "Large"], ["Coffee", "3", "4"], ["Barley tea", "2", "3"], ["Hot chocolate", "4", "5"]],
    "Milk comes from the dairy in the next street. Oat milk costs nothing extra, because Mr. Lee thinks that it should "
    "not. When the chocolate runs out, say so at the door and not at the till.",
    "## 분실물 안내",
    "손님이 두고 간 물건은 계산대 아래 노란 상자에 보관합니다. 상자에 넣기 전에 날짜와 자리를 종이에 적어 물건에 붙여 주세요. "
    "지갑이나 휴대 전화처럼 값나가는 물건은 그날 저녁에 한 선생님께 직접 드립니다. 2024. 5. 1.부터 보관 기간은 석 달입니다. "
    "석 달이 지나도 주인이 나타나지 않으면 동네 도서관에 기증합니다.",
    "## 고양이 이야기",
    "우리 카페에는 제독이라는 고양이가 삽니다. 제독은 아침마다 창가 두 번째 의자에서 햇볕을 쬡니다. 손님이 그 의자에 앉고 싶어 하면 "
    "제독에게 먼저 물어보라고 웃으며 말씀드리세요. 고양이에게 우유를 주지 마세요! 물과 사료는 부엌 왼쪽 선반에 있습니다. 수의사 "
    "선생님은 매달 첫째 화요일에 오십니다.",
    "## Pay and holidays",
    "Wages are paid on the 25th of every month, or on the last working day before it. Overtime counts from the first minute, "
    "and the blue book is where you write it down. Everybody has eighteen days of holiday in a year, which have to be asked "
    "for three weeks ahead, because the rota is made on the first of the month. Who is ill stays at home and calls before "
    "seven; a certificate is needed from the third day on. Tips are shared every evening by the hours that each of us worked, "
    "and the coin that is left over belongs to the cat.",
    "## When something breaks",
    "If the machine leaks, close the valve behind it first and mop the floor second. If the till does not open, do not "
    "pull; there is a key in the flower pot. For everything else the number of the technician hangs beside the fridge. "
    "She likes to be called before noon. Nobody has ever been angry with anybody here about a broken cup.",
]

Writer = Callable[[Sequence[Block]], bytes]


def level(block: Block) -> int:
    """Of a heading; 0 for anything else."""
    return len(block) - len(block.lstrip("#")) if isinstance(block, str) else 0


def title(block: Block) -> str:
    """The words of a heading."""
    assert isinstance(block, str)
    return block.lstrip("# ")


# ---- text


def markdown(blocks: Sequence[Block]) -> bytes:
    """Markdown, its paragraphs wrapped."""
    parts = []
    for block in blocks:
        if isinstance(block, list):
            header, *rows = ["| " + " | ".join(row) + " |" for row in block]
            parts.append("\n".join([header, "|" + " --- |" * len(block[0]), *rows]))
        else:
            parts.append(block if level(block) else "\n".join(wrap(block, 70)))
    return ("\n\n".join(parts) + "\n").encode()


def plain(blocks: Sequence[Block]) -> bytes:
    """Plain text with underlined headings, wrapped, in UTF-16 with Windows' line ends, as Notepad may save it."""
    parts = []
    for block in blocks:
        if isinstance(block, list):
            parts.append("\n".join(" | ".join(row) for row in block))
        elif level(block):
            parts.append(title(block) + "\n" + ("=" if level(block) == 1 else "-") * 12)
        else:
            parts.append("\n".join(wrap(block, 70)))
    return "\n\n".join(parts).replace("\n", "\r\n").encode("utf-16")


def html(blocks: Sequence[Block]) -> bytes:
    """A page with a menu above and a footer below its main content."""
    head = '<!DOCTYPE html><html><head><meta charset="utf-8"><title>Dal</title></head><body><nav><a href="/">Home</a></nav>'
    foot = "<footer>© 2024 Dal Café. <a href='/'>Home</a></footer></body></html>"
    return f"{head}<main>{xhtml(blocks)}</main>{foot}".encode()


def xhtml(blocks: Sequence[Block]) -> str:
    """The blocks as elements."""
    parts = []
    for block in blocks:
        if isinstance(block, list):
            rows = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in block)
            parts.append("<table>" + "\n".join(rows) + "</table>")
        elif level(block):
            parts.append(f"<h{level(block)}>{escape(title(block))}</h{level(block)}>")
        else:
            parts.append("<p>" + "\n".join(wrap(escape(block), 70)) + "</p>")
    return "\n".join(parts)


# ---- zip archives


def archive(members: dict[str, str | bytes]) -> bytes:
    """A zip, its first member not compressed, as formats with a member "mimetype" want it."""
    file = io.BytesIO()
    with ZipFile(file, "w") as target:
        for i, (name, data) in enumerate(members.items()):
            target.writestr(name, data, compress_type=ZIP_STORED if i == 0 else None)
    return file.getvalue()


def epub(blocks: Sequence[Block], extra: dict[str, str | bytes] | None = None) -> bytes:
    """A book with a chapter for every heading, whose members are in another order than its spine."""
    chapters: list[list[Block]] = []
    for block in blocks:
        if level(block) or not chapters:
            chapters.append([])
        chapters[-1].append(block)
    pages = {
        f"OEBPS/text/part%20{i}.xhtml".replace(
            "%20", " "
        ): f'<?xml version="1.0"?><html><body>{xhtml(own)}</body></html>'
        for i, own in enumerate(chapters)
    }
    items = "".join(
        f'<item id="c{i}" href="text/part%20{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(pages))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(pages)))
    nav = '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{nav}{items}</manifest>'
        f'<spine><itemref idref="nav"/>{spine}</spine></package>'
    )
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    )
    members: dict[str, str | bytes] = {"mimetype": "application/epub+zip", "META-INF/container.xml": container}
    members |= {"OEBPS/book.opf": package, "OEBPS/nav.xhtml": "<html><body><ol><li>Contents</li></ol></body></html>"}
    return archive(members | dict(reversed(pages.items())) | (extra or {}))


def docx(blocks: Sequence[Block]) -> bytes:
    """As python-docx writes it."""
    from docx import Document

    document = Document()
    for block in blocks:
        if isinstance(block, list):
            table = document.add_table(len(block), len(block[0]))
            for row, cells in zip(table.rows, block, strict=True):
                for cell, text in zip(row.cells, cells, strict=True):
                    cell.text = text
        elif level(block):
            document.add_heading(title(block), level(block) - 1)
        else:
            document.add_paragraph(block)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


HWPX_NAMESPACES = (
    'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph" xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section" '
    'xmlns:hh="http://www.hancom.co.kr/hwpml/2011/head"'
)


def hwpx(blocks: Sequence[Block], extra: dict[str, str | bytes] | None = None) -> bytes:
    """Two sections, in a zip in which the second stands first."""
    half = len(blocks) // 2
    return hwpx_of("".join(map(hwpx_block, blocks[:half])), "".join(map(hwpx_block, blocks[half:])), extra=extra)


def hwpx_of(*sections: str, extra: dict[str, str | bytes] | None = None) -> bytes:
    """A document of the given XML inside its sections; paragraph shapes 1, 2 are headings."""
    shapes = "".join(
        f'<hh:paraPr id="{i}"><hh:heading type="{"OUTLINE" if i else "NONE"}" level="{max(0, i - 1)}"/></hh:paraPr>'
        for i in range(3)
    )
    members: dict[str, str | bytes] = {"mimetype": "application/hwp+zip"}
    members |= {"Contents/header.xml": f"<hh:head {HWPX_NAMESPACES}>{shapes}</hh:head>"}
    for i, section in reversed(list(enumerate(sections))):
        members[f"Contents/section{i}.xml"] = f"<hs:sec {HWPX_NAMESPACES}>{section}</hs:sec>"
    return archive(members | (extra or {}))


def hwpx_block(block: Block) -> str:
    """A paragraph of runs; a table hangs in the run of one."""
    if isinstance(block, str):
        return f'<hp:p paraPrIDRef="{level(block)}"><hp:run><hp:t>{escape(block.lstrip("# "))}</hp:t></hp:run></hp:p>'
    rows = "".join("<hp:tr>" + "".join(map(_hwpx_cell, row)) + "</hp:tr>" for row in block)
    return f'<hp:p paraPrIDRef="0"><hp:run><hp:tbl>{rows}</hp:tbl><hp:t/></hp:run></hp:p>'


def _hwpx_cell(text: str) -> str:
    return f"<hp:tc><hp:subList>{hwpx_block(text)}</hp:subList></hp:tc>"


# ---- HWP 5: records in streams of an OLE file


def hwp(blocks: Sequence[Block], *, flags: int = 1) -> bytes:
    """One section; `flags` are those of the file header: 1 compressed, 2 with a password, 4 for distribution."""
    return hwp_of(hwp_records(blocks), flags=flags)


def hwp_of(section: bytes, *, flags: int = 1) -> bytes:
    """A document of one section; paragraph shapes 1, 2 are headings."""
    shapes = b"".join(hwp_record(25, 0, struct.pack("<I", (1 << 23 | (i - 1) << 25) if i else 0)) for i in range(3))
    packed = _deflated if flags & 1 else bytes
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05010000, flags)
    return ole({"FileHeader": header, "DocInfo": packed(shapes), "BodyText": {"Section0": packed(section)}})


def hwp_records(blocks: Sequence[Block], at: int = 0) -> bytes:
    """Paragraphs and tables, as records from level `at` on."""
    return b"".join(hwp_table(block, at) if isinstance(block, list) else hwp_paragraph(block, at) for block in blocks)


def hwp_paragraph(block: str, at: int = 0, controls: bytes = b"") -> bytes:
    """The records of a paragraph, `controls` behind its text."""
    text = block.lstrip("# ").encode("utf-16-le") + b"\r\0"
    shape = struct.pack("<IIHB", len(text) // 2, 0, level(block), 0).ljust(24, b"\0")
    return hwp_record(66, at, shape) + hwp_record(67, at + 1, text) + controls


def hwp_table(rows: Sequence[Sequence[str]], at: int = 0, caption: str = "") -> bytes:
    """A paragraph with nothing in it but a table."""
    cells = b"".join(
        hwp_record(72, at + 2, struct.pack("<iIHHHH", 1, 0, j, i, 1, 1)) + hwp_paragraph(cell, at + 2)
        for i, row in enumerate(rows)
        for j, cell in enumerate(row)
    )
    above = hwp_record(72, at + 2, bytes(8)) + hwp_paragraph(caption, at + 2) if caption else b""
    table = hwp_record(77, at + 2, struct.pack("<IHH", 0, len(rows), len(rows[0])))
    control = hwp_record(71, at + 1, b" lbt".ljust(46, b"\0")) + above + table + cells
    text = struct.pack("<8H", 11, 0x626C, 0x7420, 0, 0, 0, 0, 11) + b"\r\0"
    shape = struct.pack("<IIHB", len(text) // 2, 0, 0, 0).ljust(24, b"\0")
    return hwp_record(66, at, shape) + hwp_record(67, at + 1, text) + control


def hwp_record(tag: int, at: int, payload: bytes) -> bytes:
    """One record; the size of a long one stands in a word of its own."""
    size = len(payload)
    head = struct.pack("<I", tag | at << 10 | min(size, 0xFFF) << 20)
    return head + (struct.pack("<I", size) if size >= 0xFFF else b"") + payload


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


_SECTOR = 512
_END, _FREE, _FAT, _NOTHING = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF


def ole(tree: dict[str, bytes | dict[str, bytes]]) -> bytes:
    """A compound file ([MS-CFB], version 3). Streams are filled up to 4,096 bytes, so that there is no mini stream."""
    entries: list[bytes] = []
    sectors, fat = b"", []

    def store(data: bytes) -> int:
        nonlocal sectors
        begin, count = len(fat), -(-len(data) // _SECTOR)
        sectors += data.ljust(count * _SECTOR, b"\0")
        fat.extend([*range(begin + 1, begin + count), _END])
        return begin

    def add(names: dict[str, bytes | dict[str, bytes]] | dict[str, bytes]) -> int:
        """Appends the entries of one folder, each the right neighbour of the one before; gives the first."""
        first = len(entries)
        entries.extend([b""] * len(names))
        for i, (name, content) in enumerate(names.items(), start=first):
            right = i + 1 if i + 1 < first + len(names) else _NOTHING
            if isinstance(content, dict):
                entries[i] = _entry(name, 1, right, add(content), 0, 0)
            else:
                data = content.ljust(4096, b"\0")
                entries[i] = _entry(name, 2, right, _NOTHING, store(data), len(data))
        return first

    entries.append(b"")
    entries[0] = _entry("Root Entry", 5, _NOTHING, add(tree), _END, 0)
    directory = store(b"".join(entries))
    num_fat = next(n for n in range(1, 100) if n * 128 >= len(fat) + n)
    places = range(len(fat), len(fat) + num_fat)
    table = [*fat, *[_FAT] * num_fat]
    table += [_FREE] * (num_fat * 128 - len(table))
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack("<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, num_fat, directory, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<109I", *places, *[_FREE] * (109 - num_fat))
    return header + sectors + struct.pack(f"<{len(table)}I", *table)


def _entry(name: str, kind: int, right: int, child: int, begin: int, size: int) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    head = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), kind, 1, _NOTHING, right, child)
    return head + bytes(36) + struct.pack("<IQ", begin, size)


# ---- PDF

Line = tuple[str, float, float]  # text, points from the foot of the page, size of its letters


def pdf(blocks: Sequence[Block]) -> bytes:
    """The handbook as a word processor sets it: larger headings, lines of 80 columns, a head and a number on every page."""
    lines: list[tuple[str, float, float]] = []  # text, points below the line before, size
    for block in blocks:
        if isinstance(block, list):
            lines += [(" | ".join(row), 24.0 if i == 0 else 13.0, 10.0) for i, row in enumerate(block)]
        elif level(block):
            lines.append((title(block), 34.0, 20.0 if level(block) == 1 else 14.0))
        else:
            lines += [(text, 24.0 if i == 0 else 13.0, 10.0) for i, text in enumerate(wrap(block, 74))]
    pages: list[list[Line]] = []
    height = 0.0
    for text, below, size in lines:
        if height - below < 700:
            pages.append([("Dal Café · handbook", 800.0, 9.0), (f"- {len(pages) + 1} -", 30.0, 9.0)])
            height = 790.0
        height -= below
        pages[-1].insert(-1, (text, height, size))
    return pdf_of(pages)


def pdf_of(pages: Sequence[Sequence[Line]]) -> bytes:
    """A PDF of text lines, with a font that maps two bytes to the letter of that number, and no pictures."""
    letters = sorted(
        {letter.encode("utf-16-be").hex().encode() for lines in pages for text, _, _ in lines for letter in text}
    )
    cmap = b"1 begincodespacerange <0000> <ffff> endcodespacerange "
    cmap += b"".join(b"1 beginbfchar <%s> <%s> endbfchar " % (code, code) for code in letters)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(pages), b" ".join(b"%d 0 R" % (6 + 2 * i) for i in range(len(pages)))),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /Any /Encoding /Identity-H /DescendantFonts [4 0 R] /ToUnicode 5 0 R >>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Any /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity)"
        b" /Supplement 0 >> /DW 500 >>",
        _stream(cmap),
    ]
    for i, lines in enumerate(pages):
        shown = (b"BT /F %g Tf 60 %g Td <%s> Tj ET" % (s, y, t.encode("utf-16-be").hex().encode()) for t, y, s in lines)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F 3 0 R >> >>"
            b" /Contents %d 0 R >>" % (7 + 2 * i)
        )
        objects.append(_stream(b"\n".join(shown)))
    return _pdf_file(objects)


def _stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data)


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    data = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, rows)
    return (
        data + table + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(data))
    )


WRITERS: dict[str, Writer] = {
    "handbook.md": markdown,
    "handbook.txt": plain,
    "handbook.html": html,
    "handbook.docx": docx,
    "handbook.epub": epub,
    "handbook.hwpx": hwpx,
    "handbook.hwp": hwp,
    "handbook.pdf": pdf,
}
