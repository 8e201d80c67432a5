"""HWP 5 and HWPX: what hangs in paragraphs, what is no text, locks and damage; the words that another reader finds."""

import re
import struct
from collections import Counter
from pathlib import Path

import hwp_hwpx_parser
import pytest
from document_files import (
    HANDBOOK,
    hwp,
    hwp_of,
    hwp_paragraph,
    hwp_record,
    hwp_records,
    hwp_table,
    hwpx,
    hwpx_block,
    hwpx_of,
)

from nabot.data.cutting import Block
from nabot.data.imports.documents.hwp import blocks, read_hwp, records
from nabot.data.imports.documents.hwpx import read_hwpx
from nabot.errors import DataError

TABLE = [["Tea", "2"], ["Cake", "4"]]


def control(kind: str, inside: bytes, at: int = 1) -> bytes:
    return hwp_record(71, at, kind.encode()[::-1] + bytes(12)) + inside


def listed(*paragraphs: str, at: int = 2) -> bytes:
    return hwp_record(72, at, bytes(16)) + b"".join(hwp_paragraph(paragraph, at) for paragraph in paragraphs)


def hwp_texts(section: bytes, tmp_path: Path) -> list[str]:
    path = tmp_path / "a.hwp"
    path.write_bytes(hwp_of(section))
    return [piece.text for piece in read_hwp(path) if isinstance(piece, Block) and piece.text]


def hwpx_texts(section: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "a.hwpx"
    path.write_bytes(hwpx_of(section))
    return [piece.text for piece in read_hwpx(path) if isinstance(piece, Block) and piece.text]


def run(inside: str) -> str:
    return f'<hp:p paraPrIDRef="0"><hp:run>{inside}</hp:run></hp:p>'


# ---- HWP


def test_paragraph_shapes_say_which_paragraphs_are_headings() -> None:
    section = hwp_records(["# Café", "Text.", "## Hours"])

    assert list(blocks(records(section), [0, 1, 2])) == [Block("Café", 1), Block("Text."), Block("Hours", 2)]


def test_headings_numbered_by_hand_are_headings_without_a_shape() -> None:
    assert [block.level for block in blocks(records(hwp_records(["제1장 총칙", "제1장은 짧습니다."])), [0])] == [2, 0]


def test_notes_stand_behind_their_paragraph_and_heads_and_hidden_comments_nowhere(tmp_path: Path) -> None:
    hanging = (
        control("head", listed("On every page"))
        + control("fn  ", listed("A note."))
        + control("tcmt", listed("Secret"))
        + control("foot", listed("Below"))
    )

    assert hwp_texts(hwp_paragraph("Text.", 0, hanging) + hwp_paragraph("More."), tmp_path) == [
        "Text.",
        "A note.",
        "More.",
    ]


def test_the_text_of_a_drawn_box_is_text(tmp_path: Path) -> None:
    box = control("gso ", hwp_record(76, 2, bytes(8)) + listed("In a box", "of two", at=3))

    assert hwp_texts(hwp_paragraph("Text.", 0, box), tmp_path) == ["Text.", "In a box", "of two"]


def test_the_caption_of_a_table_stands_before_its_rows(tmp_path: Path) -> None:
    assert hwp_texts(hwp_table(TABLE, caption="Prices"), tmp_path) == ["Prices", "Tea | 2\nCake | 4"]


def test_a_table_inside_a_cell_is_part_of_its_text(tmp_path: Path) -> None:
    cells = [hwp_record(72, 2, struct.pack("<iIHH", 1, 0, i, 0)) + hwp_paragraph("out", 2) for i in range(2)]
    inner = hwp_table(TABLE, at=2)
    table = control("tbl ", hwp_record(77, 2, bytes(8)) + cells[0] + inner + cells[1])

    assert hwp_texts(hwp_paragraph("", 0, table), tmp_path) == ["out Tea | 2 Cake | 4 | out"]


def test_controls_inside_a_text_take_their_room_and_some_are_characters() -> None:
    units = [
        *map(ord, "a"),
        9,
        *[0xFFFF] * 6,
        9,
        ord("b"),
        10,
        ord("c"),
        24,
        ord("d"),
        30,
        ord("e"),
        4,
        *[65] * 6,
        4,
        ord("f"),
        13,
    ]
    text = struct.pack(f"<{len(units)}H", *units)
    section = hwp_record(66, 0, bytes(24)) + hwp_record(67, 1, text)

    assert next(iter(blocks(records(section), []))).text == "a\tb\nc-d ef"


def test_letters_beyond_the_first_plane_are_whole(tmp_path: Path) -> None:
    assert hwp_texts(hwp_paragraph("a 🐈 b"), tmp_path) == ["a 🐈 b"]


def test_a_paragraph_longer_than_a_short_record_can_say_is_read(tmp_path: Path) -> None:
    text = "가나다 " * 2000

    assert hwp_texts(hwp_paragraph(text), tmp_path) == [text.strip()]


def test_a_document_that_is_not_compressed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.hwp"
    path.write_bytes(hwp(["Text."], flags=0))

    assert [piece.text for piece in read_hwp(path) if isinstance(piece, Block) and piece.text.strip("\0")] == ["Text."]


@pytest.mark.parametrize("flags", [1 | 2, 1 | 4, 1 | 16, 1 | 256])
def test_documents_with_a_password_or_for_distribution_are_refused(flags: int, tmp_path: Path) -> None:
    path = tmp_path / "a.hwp"
    path.write_bytes(hwp(["Text."], flags=flags))

    with pytest.raises(DataError, match="HWP file that is protected"):
        list(read_hwp(path))


def test_hwp_3_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.hwp"
    path.write_bytes(b"HWP Document File V3.00 \x1a\1\2\3\4\5" + bytes(500))

    with pytest.raises(DataError, match=r"Hangul 3.*HWPX"):
        list(read_hwp(path))


@pytest.mark.parametrize("section", [hwp_paragraph("Text.")[:-3], b"\x42\0\0"])
def test_a_record_that_was_cut_off_is_damage(section: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged HWP"):
        hwp_texts(section, tmp_path)


def test_records_without_end_are_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nabot.data.imports.documents.hwp._MOST_RECORDS", 10)
    assert len(records(bytes(40))) == 10
    with pytest.raises(ValueError, match="records"):
        records(bytes(44))


def test_a_table_without_its_record_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged HWP"):
        hwp_texts(hwp_paragraph("", 0, control("tbl ", listed("cell"))), tmp_path)


# ---- HWPX


def test_tabs_line_breaks_and_formatting_inside_a_text(tmp_path: Path) -> None:
    inside = "<hp:t>a<hp:tab/>b<hp:lineBreak/>c<hp:markpenBegin/>d<hp:markpenEnd/>e<hp:nbSpace/>f</hp:t>"

    assert hwpx_texts(run(inside), tmp_path) == ["a\tb\ncde f"]


def test_hwpx_notes_and_boxes_stand_behind_their_paragraph_and_heads_nowhere(tmp_path: Path) -> None:
    def hanging(name: str, text: str) -> str:
        return f"<hp:ctrl><hp:{name}><hp:subList>{hwpx_block(text)}</hp:subList></hp:{name}></hp:ctrl>"

    inside = (
        "<hp:t>Text.</hp:t>"
        + hanging("header", "Head")
        + hanging("footNote", "A note.")
        + hanging("hiddenComment", "Secret")
    )
    box = f"<hp:rect><hp:drawText><hp:subList>{hwpx_block('In a box')}</hp:subList></hp:drawText><hp:shapeComment>사각형</hp:shapeComment></hp:rect>"
    link = '<hp:ctrl><hp:fieldBegin type="HYPERLINK"><hp:parameters><hp:stringParam>www.example.org</hp:stringParam></hp:parameters></hp:fieldBegin></hp:ctrl>'

    assert hwpx_texts(run(inside + box + link), tmp_path) == ["Text.", "A note.", "In a box"]


def test_hwpx_captions_stand_before_rows_and_tables_inside_cells_are_text(tmp_path: Path) -> None:
    def cell(inside: str) -> str:
        return f"<hp:tc><hp:subList>{inside}</hp:subList></hp:tc>"

    caption = f"<hp:caption><hp:subList>{hwpx_block('Prices')}</hp:subList></hp:caption>"
    row = cell(hwpx_block("out") + hwpx_block(TABLE)) + cell(hwpx_block("end"))

    assert hwpx_texts(run(f"<hp:tbl>{caption}<hp:tr>{row}</hp:tr></hp:tbl>"), tmp_path) == [
        "Prices",
        "out Tea | 2 Cake | 4 | end",
    ]


def test_a_table_of_one_column_is_paragraphs(tmp_path: Path) -> None:
    assert hwpx_texts(hwpx_block([["Notice"], ["We open at nine."]]), tmp_path) == ["Notice", "We open at nine."]


def test_sections_are_read_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "a.hwpx"
    path.write_bytes(hwpx_of(*(hwpx_block(str(i)) for i in range(12))))

    assert [piece.text for piece in read_hwpx(path) if isinstance(piece, Block)] == [str(i) for i in range(12)]


def test_hwpx_with_a_password_is_refused(tmp_path: Path) -> None:
    manifest = '<odf:manifest xmlns:odf="urn:x"><odf:file-entry><odf:encryption-data/></odf:file-entry></odf:manifest>'
    path = tmp_path / "a.hwpx"
    path.write_bytes(hwpx(HANDBOOK, {"META-INF/manifest.xml": manifest}))

    with pytest.raises(DataError, match="HWPX file that is protected"):
        list(read_hwpx(path))


@pytest.mark.parametrize("section", ["<hp:p>", "<hp:p>&undefined;</hp:p>", "\x00"])
def test_broken_xml_is_damage(section: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"damaged HWPX.*section0\.xml"):
        hwpx_texts(section, tmp_path)


def test_entities_that_grow_without_end_are_damage(tmp_path: Path) -> None:
    grown = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    document = f'<!DOCTYPE x [<!ENTITY e0 "lol">{grown}]><x>&e11;</x>'
    path = tmp_path / "a.hwpx"
    path.write_bytes(hwpx_of("", extra={"Contents/section1.xml": document}))

    with pytest.raises(DataError, match="damaged HWPX"):
        list(read_hwpx(path))


# ---- against a reader that nobody here wrote


@pytest.mark.parametrize("suffix", ["hwp", "hwpx"])
def test_another_reader_finds_the_same_words(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"handbook.{suffix}"
    path.write_bytes((hwp if suffix == "hwp" else hwpx)(HANDBOOK))
    pieces = (read_hwp if suffix == "hwp" else read_hwpx)(path)
    ours = " ".join(piece.text for piece in pieces if isinstance(piece, Block))
    with hwp_hwpx_parser.Reader(str(path)) as reader:
        theirs = reader.text

    assert Counter(re.findall(r"\w+", ours)) == Counter(re.findall(r"\w+", theirs))
