"""PDF: paragraphs out of lines, heads and numbers out of the way, passwords, scans, damage."""

import io
import sys
from pathlib import Path

import pytest
from document_files import HANDBOOK, Line, pdf, pdf_of

from nabot.data.cutting import Block
from nabot.data.faults import Fault
from nabot.data.imports.documents.pdf import PDF, read_pdf
from nabot.data.imports.types import Asked, Dropped, Passage
from nabot.errors import DataError

WRAPPED = [
    "The cat of this café is called Admiral, and it sleeps on the second chair by the",
    "window. Whoever wants to sit there has to ask it first, in a low voice, because it",
    "is old.",
]


def page(*texts: str, top: float = 780.0, size: float = 10.0) -> list[Line]:
    return [(text, top - 13 * i, size) for i, text in enumerate(texts)]


def written(tmp_path: Path, *pages: list[Line]) -> Path:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_of(pages))
    return path


def blocks(path: Path) -> list[Block]:
    return [piece for piece in read_pdf(path) if isinstance(piece, Block)]


def texts(path: Path) -> list[str]:
    return [block.text for block in blocks(path)]


def dropped(path: Path) -> list[tuple[str, str]]:
    return [(piece.reason, piece.place) for piece in read_pdf(path) if isinstance(piece, Dropped)]


def locked(password: str, data: bytes | None = None) -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(PdfReader(io.BytesIO(data or pdf(HANDBOOK))))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def test_lines_that_reach_the_margin_are_one_paragraph(tmp_path: Path) -> None:
    path = written(tmp_path, page(*WRAPPED, "It is fed at nine."))

    assert texts(path) == [" ".join(WRAPPED), "It is fed at nine."]


def test_a_paragraph_goes_on_over_the_page_and_keeps_the_page_where_it_began(tmp_path: Path) -> None:
    path = written(tmp_path, page(*WRAPPED[:2]), page(*WRAPPED[2:]))

    assert blocks(path) == [Block(" ".join(WRAPPED), place="page 1")]


def test_a_gap_begins_a_paragraph_also_where_the_line_is_full(tmp_path: Path) -> None:
    full = "This line is as long as all the others and ends with its sentence, as it happens."
    path = written(tmp_path, [*page(*WRAPPED, full), *page("We open at nine.", top=780 - 4 * 13 - 14)])

    assert texts(path)[-1] == "We open at nine."


def test_short_lines_stay_lines(tmp_path: Path) -> None:
    path = written(tmp_path, page(*WRAPPED, "Tea | 2", "Coffee | 3", "Cake | 4"))

    assert texts(path) == [" ".join(WRAPPED), "Tea | 2\nCoffee | 3\nCake | 4"]


def test_items_begin_lines_of_their_own(tmp_path: Path) -> None:
    items = [f"• {WRAPPED[0]}", f"• {WRAPPED[1]}", f"3. {WRAPPED[0]}"]

    assert texts(written(tmp_path, page(*items))) == ["\n".join(items[:2]) + "\n" + items[2]]


def test_larger_letters_are_headings_by_their_size(tmp_path: Path) -> None:
    lines = [
        ("Handbook of the café", 780.0, 20.0),
        ("and its cat", 756.0, 20.0),
        ("Opening hours", 700.0, 14.0),
        *page(*WRAPPED, top=670),
    ]
    found = blocks(written(tmp_path, lines))

    assert [(block.text, block.level) for block in found[:2]] == [
        ("Handbook of the café and its cat", 1),
        ("Opening hours", 2),
    ]
    assert found[2].level == 0


def test_headings_numbered_by_hand_are_headings(tmp_path: Path) -> None:
    found = blocks(written(tmp_path, page(*WRAPPED, "제2장 영업 시간", "아홉 시에 문을 엽니다.")))

    assert [(block.text, block.level) for block in found[1:]] == [("제2장 영업 시간", 2), ("아홉 시에 문을 엽니다.", 0)]


def test_a_hyphen_at_the_end_of_a_line_is_taken_away(tmp_path: Path) -> None:
    lines = ["Whoever wants to sit down on the second chair has to ask the cat first, in a rea-", "sonable voice."]

    assert texts(written(tmp_path, page(*lines)))[0].endswith("in a reasonable voice.")


def test_a_hyphen_that_the_word_has_elsewhere_stays(tmp_path: Path) -> None:
    lines = [
        "Half-open doors are closed. Whoever finds one has to close it, since each half-",
        "open door lets the cat out.",
    ]

    assert "each half-open door" in texts(written(tmp_path, page(*lines)))[0]


def test_korean_words_that_were_divided_are_put_together_if_the_file_kept_its_spaces(tmp_path: Path) -> None:
    lines = [
        "우리 카페에는 제독이라는 고양이가 살고 있으며 아침마다 창가에 ",
        "앉아서 햇볕을 쬐고 손님이 그 의자에 앉고 싶어 하면 먼저 물어보라고 말씀드",
        "리면 됩니다.",
    ]

    assert texts(written(tmp_path, page(*lines)))[0].endswith(
        "아침마다 창가에 앉아서 햇볕을 쬐고 손님이 그 의자에 앉고 싶어 하면 먼저 물어보라고 말씀드리면 됩니다."
    )


def test_korean_lines_are_joined_with_a_space_if_the_file_kept_none(tmp_path: Path) -> None:
    lines = ["우리 카페에는 제독이라는 고양이가 살고 있으며 아침마다 창가에", "앉아서 햇볕을 쬡니다."]

    assert "창가에 앉아서" in texts(written(tmp_path, page(*lines)))[0]


def test_ligatures_are_letters(tmp_path: Path) -> None:
    assert texts(written(tmp_path, page("The ﬁrst oﬃce opens at nine."))) == ["The first office opens at nine."]


def test_heads_and_page_numbers_are_dropped_page_by_page(tmp_path: Path) -> None:
    pages = [
        [("Dal Café", 800.0, 9.0), *page(f"Text number {i}: so it is."), (f"{i + 3} / 9", 30.0, 9.0)] for i in range(4)
    ]
    path = written(tmp_path, *pages)

    assert dropped(path) == [(reason, f"page {i}") for i in range(1, 5) for reason in ("running_head", "page_number")]
    assert texts(path) == [f"Text number {i}: so it is." for i in range(4)]


def test_heads_of_chapters_count_pages_and_a_chapter_with_the_number_of_its_page_stays(tmp_path: Path) -> None:
    pages = [
        [(f"Chapter {i // 2 + 1}: Tea {i + 1}", 800.0, 9.0), *page(f"Line {i}, and that is all.")] for i in range(6)
    ]
    pages[0][0] = ("1 Introduction", 800.0, 20.0)
    found = blocks(written(tmp_path, *pages))

    assert found[0] == Block("1 Introduction", level=1, place="page 1")
    assert not any("Chapter" in block.text for block in found)


def test_lines_that_differ_at_the_top_of_pages_stay(tmp_path: Path) -> None:
    path = written(tmp_path, *(page(f"제{i}조 목적", f"이 조는 {i}번입니다.") for i in (11, 15, 31, 42)))

    assert dropped(path) == []


def test_the_number_on_a_single_page_is_dropped(tmp_path: Path) -> None:
    assert dropped(written(tmp_path, page("We open at nine.", "- 1 -"))) == [("page_number", "page 1")]


def test_roman_numbers_of_pages_are_dropped_and_words_like_them_stay(tmp_path: Path) -> None:
    path = written(tmp_path, page("We open at nine.", "iv"), page("It was", "civil"))

    assert dropped(path) == [("page_number", "page 1")]
    assert "\n".join(texts(path)[1:]) == "It was\ncivil"


def test_a_table_of_contents_is_dropped_line_by_line(tmp_path: Path) -> None:
    path = written(
        tmp_path, page("1 Tea . . . . . . . . . . . . 3", "2 Cake . . . . . . . . . . . . 7", "We open at nine.")
    )

    assert [reason for reason, _ in dropped(path)] == ["contents", "contents"]
    assert texts(path) == ["We open at nine."]


def test_a_file_with_a_password_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(locked("secret"))

    with pytest.raises(DataError, match="protected"):
        list(read_pdf(path))


def test_a_file_that_only_forbids_printing_is_read(tmp_path: Path) -> None:
    path, plain = tmp_path / "a.pdf", tmp_path / "b.pdf"
    path.write_bytes(locked(""))
    plain.write_bytes(pdf(HANDBOOK))

    assert blocks(path) == blocks(plain)


def test_a_cipher_that_needs_another_library_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    def decrypt(*_: object) -> None:
        raise DependencyError("cryptography>=3.1 is required for AES algorithm")

    monkeypatch.setattr(PdfReader, "decrypt", decrypt)
    path = tmp_path / "a.pdf"
    path.write_bytes(locked(""))

    with pytest.raises(DataError, match=r'cryptography.*pip install "nabot\[files\]"'):
        list(read_pdf(path))


def test_a_scan_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 pages of pictures and no text: a scan"):
        list(read_pdf(written(tmp_path, [], [])))


def test_a_page_without_text_among_others_is_dropped(tmp_path: Path) -> None:
    assert dropped(written(tmp_path, page("We open at nine."), [])) == [("page_without_text", "page 2")]


def test_letters_that_are_only_drawn_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="letters cannot be read"):
        list(read_pdf(written(tmp_path, page("\ue012\ue013\ue014 \ue015\ue016 a"))))


def test_a_page_that_cannot_be_read_is_a_fault_and_the_others_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, page("We open at nine."), page("We close at ten."))
    data = path.read_bytes()
    at = data.rindex(b"<< /Length")
    path.write_bytes(data[:at] + data[at:].replace(b"<< /Length", b"<< /Filter /Unknown /Length", 1))
    items = list(PDF.read(path, Asked()))

    assert [(item.kind, item.row) for item in items if isinstance(item, Fault)] == [("unreadable_page", 2)]
    assert [item.text for item in items if isinstance(item, Passage)] == ["We open at nine."]


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", b"%PDF-1.7\nnothing of the kind\n" * 9, b"junk before %PDF-1.4 and behind"]
)
def test_what_only_begins_like_a_pdf_is_damaged(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(data)

    with pytest.raises(DataError, match=r"damaged PDF|no text"):
        list(read_pdf(path))


def test_every_word_that_pypdf_finds_is_in_a_block(tmp_path: Path) -> None:
    from pypdf import PdfReader

    path = written(tmp_path, *(page(f"Page {i} begins.", WRAPPED[i], f"Tea | {i}") for i in (2, 0, 1)))
    theirs = " ".join(page.extract_text() for page in PdfReader(path).pages)

    assert " ".join(texts(path)).split() == theirs.split()


def test_pypdf_says_nothing_on_the_screen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(HANDBOOK).replace(b"startxref\n", b"startxref\n9"))
    list(read_pdf(path))

    assert capfd.readouterr().err == ""
    assert "pypdf" in sys.modules
