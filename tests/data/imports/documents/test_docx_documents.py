"""DOCX: headings by every way in which they are made, and text that stands in odd places."""

import io
import zipfile
from pathlib import Path

import pytest
from document_files import HANDBOOK, docx

from nabot.data.cutting import Block
from nabot.data.imports.documents.docx import read_docx
from nabot.data.imports.types import Dropped
from nabot.data.passages import Piece
from nabot.errors import DataError

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TABLE = "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"


def p(inside: str, style: str = "", properties: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{properties}</w:pPr>{inside}</w:p>"


def r(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def read(tmp_path: Path, body: str, *, styles: str = "", **parts: str) -> list[Piece]:
    """The pieces of a document with this body; `parts` are members of its folder, by name without ending."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        root = f'<w:document xmlns:w="{W}" xmlns:mc="urn:mc" xmlns:v="urn:v"><w:body>{body}</w:body></w:document>'
        archive.writestr("word/document.xml", root)
        archive.writestr("word/styles.xml", f'<w:styles xmlns:w="{W}">{styles}</w:styles>')
        for name, text in parts.items():
            archive.writestr(f"word/{name}.xml", f'<w:{name} xmlns:w="{W}">{text}</w:{name}>')
    path = tmp_path / "a.docx"
    path.write_bytes(file.getvalue())
    return list(read_docx(path))


def texts(tmp_path: Path, body: str, **parts: str) -> list[str]:
    return [piece.text for piece in read(tmp_path, body, **parts) if isinstance(piece, Block) and piece.text]


def levels(tmp_path: Path, body: str, styles: str) -> list[int]:
    return [piece.level for piece in read(tmp_path, body, styles=styles) if isinstance(piece, Block)]


def style(name: str, shown: str, *, based_on: str = "", outline: str = "") -> str:
    base = f'<w:basedOn w:val="{based_on}"/>' if based_on else ""
    level = f'<w:pPr><w:outlineLvl w:val="{outline}"/></w:pPr>' if outline else ""
    return f'<w:style w:styleId="{name}"><w:name w:val="{shown}"/>{base}{level}</w:style>'


def test_headings_are_known_by_outline_level_name_and_what_a_style_is_based_on(tmp_path: Path) -> None:
    styles = (
        style("a", "Anything", outline="1")
        + style("b", "heading 3")
        + style("c", "My own", based_on="b")
        + style("d", "제목 1")
        + style("e", "Title")
        + style("f", "Body Text", outline="9")
        + style("g", "Loop", based_on="g")
    )
    body = "".join(p(r("x"), name) for name in "abcdefg") + p(r("x"), properties='<w:outlineLvl w:val="0"/>')

    assert levels(tmp_path, body, styles) == [3, 4, 4, 2, 1, 0, 0, 2]


def test_the_table_of_contents_is_dropped(tmp_path: Path) -> None:
    pieces = read(tmp_path, p(r("Hours\t3"), "toc1") + p(r("Text.")), styles=style("toc1", "toc 1"))

    assert pieces == [Dropped("contents"), Block("Text.")]


def test_content_controls_and_tracked_insertions_are_text_and_deletions_are_none(tmp_path: Path) -> None:
    body = (
        f"<w:sdt><w:sdtPr><w:t>no</w:t></w:sdtPr><w:sdtContent>{p(r('In a control.'))}</w:sdtContent></w:sdt>"
        + p(
            r("It is ")
            + f"<w:ins>{r('not ')}</w:ins><w:del><w:r><w:delText>very </w:delText></w:r></w:del>"
            + r("late.")
        )
        + p(f"<w:moveFrom>{r('Moved.')}</w:moveFrom>")
        + p(f"<w:hyperlink>{r('A link')}</w:hyperlink>" + r(" and text"))
    )

    assert texts(tmp_path, body) == ["In a control.", "It is not late.", "A link and text"]


def test_a_text_box_is_read_once_behind_its_paragraph(tmp_path: Path) -> None:
    content = f"<w:txbxContent>{p(r('In a box.'))}</w:txbxContent>"
    box = f"<w:r><mc:AlternateContent><mc:Choice>{content}</mc:Choice><mc:Fallback>{content}</mc:Fallback></mc:AlternateContent></w:r>"

    assert texts(tmp_path, p(r("Before ") + box + r("and after."))) == ["Before and after.", "In a box."]


def test_notes_stand_behind_the_paragraph_that_refers_to_them(tmp_path: Path) -> None:
    body = p(r("Text.") + '<w:r><w:footnoteReference w:id="2"/></w:r>') + p(
        r("More.") + '<w:r><w:endnoteReference w:id="2"/></w:r>'
    )
    notes = {
        "footnotes": f'<w:footnote w:id="1">{p(r("Other."))}</w:footnote><w:footnote w:id="2">{p(r("A note."))}</w:footnote>',
        "endnotes": f'<w:endnote w:id="2">{p(r("An end."))}</w:endnote>',
    }

    assert texts(tmp_path, body, **notes) == ["Text.", "A note.", "More.", "An end."]


def test_tabs_breaks_and_field_codes(tmp_path: Path) -> None:
    inside = (
        r("a")
        + "<w:r><w:tab/></w:r>"
        + r("b")
        + "<w:r><w:br/></w:r>"
        + r("c")
        + "<w:r><w:noBreakHyphen/></w:r>"
        + r("d")
    )
    field = "<w:r><w:instrText>PAGE</w:instrText></w:r>"

    assert texts(tmp_path, p(inside + field)) == ["a\tb\nc-d"]


def test_a_table_inside_a_cell_is_part_of_its_text(tmp_path: Path) -> None:
    body = f"<w:tbl><w:tr><w:tc>{p(r('out'))}{TABLE}</w:tc><w:tc>{p(r('end'))}</w:tc></w:tr></w:tbl>"

    assert texts(tmp_path, body) == ["out a | b | end"]


def test_rows_and_cells_in_content_controls_are_rows_and_cells(tmp_path: Path) -> None:
    cell = f"<w:tc>{p(r('x'))}</w:tc>"
    row = f"<w:sdt><w:sdtContent><w:tr>{cell}<w:sdt><w:sdtContent>{cell}</w:sdtContent></w:sdt></w:tr></w:sdtContent></w:sdt>"

    assert texts(tmp_path, f"<w:tbl>{row}{row}</w:tbl>") == ["x | x\nx | x"]


def test_columns_that_are_empty_throughout_are_left_out(tmp_path: Path) -> None:
    rows = "".join(
        f"<w:tr><w:tc>{p(r(a))}</w:tc><w:tc>{p('')}</w:tc><w:tc>{p(r(b))}</w:tc></w:tr>" for a, b in ("ab", "c ")
    )

    assert texts(tmp_path, f"<w:tbl>{rows}</w:tbl>") == ["a | b\nc"]


def test_a_document_whose_main_part_has_another_name_is_read(tmp_path: Path) -> None:
    relation = '<Relationships xmlns="urn:r"><Relationship Type="http://x/officeDocument" Target="/word/document2.xml"/></Relationships>'
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("_rels/.rels", relation)
        archive.writestr("word/document2.xml", f'<w:document xmlns:w="{W}">{p(r("Text."))}</w:document>')

    assert list(read_docx(path)) == [Block("Text.")]


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    data = bytearray(docx(HANDBOOK))
    at = data.rindex(b"PK\x01\x02")
    while at >= 0:  # the bit of every member in the archive's own list, as an archiver sets it
        data[at + 8] |= 1
        at = data.rfind(b"PK\x01\x02", 0, at)
    path = tmp_path / "a.docx"
    path.write_bytes(data)

    with pytest.raises(DataError, match="DOCX file that is protected"):
        list(read_docx(path))


def test_a_member_that_would_unpack_to_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nabot.data.imports.documents.archive.MOST_UNPACKED", 1000)
    path = tmp_path / "a.docx"
    path.write_bytes(docx(HANDBOOK))

    with pytest.raises(DataError, match=r"damaged DOCX.*bytes"):
        list(read_docx(path))


def test_python_docx_finds_the_same_paragraphs(tmp_path: Path) -> None:
    from docx import Document

    path = tmp_path / "a.docx"
    path.write_bytes(docx([block for block in HANDBOOK if isinstance(block, str)]))

    assert [piece.text for piece in read_docx(path) if isinstance(piece, Block)] == [
        p.text for p in Document(str(path)).paragraphs
    ]
