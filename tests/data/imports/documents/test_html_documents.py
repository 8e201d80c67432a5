"""Web pages: what belongs to the page and what to its site, structure, encodings; and books of such pages."""

from pathlib import Path

import pytest
from document_files import HANDBOOK, archive, epub, xhtml

from nabot.data.cutting import Block
from nabot.data.imports.documents.epub import read_epub
from nabot.data.imports.documents.html import html_blocks, looks_html, parsed, read_html
from nabot.data.imports.types import Dropped
from nabot.errors import DataError

LONG = "<p>" + "We open at nine and close at ten, as everybody knows. " * 20 + "</p>"


def read(tmp_path: Path, page: str | bytes) -> list[Block | Dropped]:
    path = tmp_path / "a.html"
    path.write_bytes(page.encode() if isinstance(page, str) else page)
    return [
        piece for piece in read_html(path) if isinstance(piece, Dropped) or (isinstance(piece, Block) and piece.text)
    ]


def texts(tmp_path: Path, page: str | bytes) -> list[str]:
    return [piece.text for piece in read(tmp_path, page) if isinstance(piece, Block)]


@pytest.mark.parametrize(
    "part",
    [
        "<nav><a href=x>Tea</a></nav>",
        "<aside>Other things</aside>",
        "<footer>Below</footer>",
        "<header>Dal Café</header>",
        '<div role="navigation">Menu</div>',
        '<div class="left sidebar">Menu</div>',
        '<div class="siteNav">Menu</div>',
        '<div id="gnb">메뉴</div>',
        '<div class="cookie-notice">We have cookies.</div>',
        "<div hidden>Hidden</div>",
        '<div style="display: none">Hidden</div>',
        '<span aria-hidden="true">★</span>',
        "<ul><li><a href=1>Tea</a></li><li><a href=2>Cake</a></li><li><a href=3>Cats</a></li></ul>",
    ],
)
def test_what_belongs_to_the_site_is_dropped_and_counted(part: str, tmp_path: Path) -> None:
    found = read(tmp_path, f"<html><body>{part}{LONG}</body></html>")

    assert [type(piece) for piece in found] == [Dropped, Block]


@pytest.mark.parametrize(
    "part",
    [
        "<ul><li>Tea</li><li>Cake</li><li>Cats</li></ul>",
        "<ul><li>Tea, which <a href=1>we</a> make ourselves.</li><li>Cake</li></ul>",
        '<div class="navy">The sea</div>',
        '<div class="content menu-of-the-day-nonav"><h1>Menu</h1>Tea</div>',
        "<section><header><h2>Hours</h2></header>At nine.</section>",
    ],
)
def test_what_belongs_to_the_page_stays(part: str, tmp_path: Path) -> None:
    assert not any(isinstance(piece, Dropped) for piece in read(tmp_path, f"<html><body>{part}{LONG}</body></html>"))


def test_most_of_a_page_is_never_dropped_whatever_its_class(tmp_path: Path) -> None:
    assert len(texts(tmp_path, f'<html><body><div class="has sidebar">{LONG}</div></body></html>')) == 1


def test_main_is_the_content_where_there_is_one(tmp_path: Path) -> None:
    found = read(tmp_path, f"<html><body><div>Above</div><main>{LONG}</main></body></html>")

    assert [type(piece) for piece in found] == [Dropped, Block]


def test_the_only_article_is_the_content_and_several_are_a_page(tmp_path: Path) -> None:
    assert len(texts(tmp_path, f"<html><body><p>Above</p><article>{LONG}</article></body></html>")) == 1
    assert (
        len(texts(tmp_path, f"<html><body><p>Above</p><article>{LONG}</article><article>x</article></body></html>"))
        == 3
    )


def test_the_title_is_the_first_heading_if_the_content_has_none(tmp_path: Path) -> None:
    page = "<html><head><title>Café</title></head><body>{}<h2>Hours</h2><p>At nine.</p></body></html>"

    assert read(tmp_path, page.format("")) == [Block("Café", 1), Block("Hours", 2), Block("At nine.")]
    assert read(tmp_path, page.format("<h1>Dal</h1>"))[0] == Block("Dal", 1)


def test_inline_elements_cut_no_words_and_block_elements_cut_paragraphs(tmp_path: Path) -> None:
    page = "<html><body>Loose <b>te</b>xt <my-mark>here</my-mark>.<p>One\n  two</p>three<div>four<br>five</div></body></html>"

    assert texts(tmp_path, page) == ["Loose text here.", "One two", "three", "four\nfive"]


def test_a_look_at_many_comments_takes_no_longer_than_a_look_at_one() -> None:
    comments = b"<!-- a licence -->\n" * 1000
    assert looks_html(Path("a.txt"), comments + b"<html>")
    assert not looks_html(Path("a.txt"), comments + b"Tea")


def test_lists_are_lines_with_their_marks_and_numbers(tmp_path: Path) -> None:
    page = "<html><body><ul><li>Tea<ul><li>green</li></ul></li><li><p>Cake</p></li></ul><ol><li>Boil</li><li>Pour</li></ol></body></html>"
    lines = [[line for line in text.split("\n") if line] for text in texts(tmp_path, page)]

    assert lines == [["- Tea", "- green", "- Cake"], ["1. Boil", "2. Pour"]]


def test_a_table_is_rows_with_its_caption_above_and_layout_is_no_table(tmp_path: Path) -> None:
    table = (
        "<table><caption>Prices</caption><tr><th>Tea</th><th>Cake</th></tr><tr><td>2<br>3</td><td>4</td></tr></table>"
    )
    layout = f"<table><tr><td><h2>Left</h2>Text.</td><td>{table}</td></tr></table>"

    assert read(tmp_path, f"<html><body>{table}</body></html>") == [
        Block("Prices"),
        Block("Tea | Cake\n2 3 | 4", whole=True),
    ]
    assert texts(tmp_path, f"<html><body>{layout}</body></html>") == ["Left", "Text.", "Prices", "Tea | Cake\n2 3 | 4"]


def test_code_keeps_its_lines_and_scripts_and_forms_are_no_text(tmp_path: Path) -> None:
    page = "<html><body><pre>if x:\n    y</pre><script>z()</script><style>p{}</style><button>Buy</button><!-- c --><?xml:namespace o /></body></html>"

    assert read(tmp_path, page) == [Block("if x:\n    y", whole=True)]


def test_links_of_a_heading_to_itself_are_taken_off(tmp_path: Path) -> None:
    assert texts(tmp_path, '<html><body><h1>Café C#<a href="#x">¶</a></h1></body></html>') == ["Café C#"]


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("cp949", "euc-kr"), ("cp949", ""), ("shift_jis", "shift_jis")],
)
def test_pages_are_read_in_their_encoding(encoding: str, declared: str, tmp_path: Path) -> None:
    text = "営業時間は九時からです。" if encoding == "shift_jis" else "뷁 아홉 시에 문을 엽니다."
    meta = f'<meta charset="{declared}">' if declared else ""

    assert texts(tmp_path, f"<html><head>{meta}</head><body><p>{text}</p></body></html>".encode(encoding)) == [text]


def test_resiliparse_finds_the_same_words(tmp_path: Path) -> None:
    from resiliparse.extract.html2text import extract_plain_text

    page = f"<html><body>{xhtml(HANDBOOK)}</body></html>"
    theirs = extract_plain_text(page, preserve_formatting=True, main_content=False)

    assert " ".join(texts(tmp_path, page)).replace("|", " ").split() == theirs.split()


# ---- EPUB


def test_chapters_come_in_the_order_of_the_spine_and_the_contents_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    path.write_bytes(epub(HANDBOOK))
    pieces = list(read_epub(path))
    whole = html_blocks(parsed(path, f"<body>{xhtml(HANDBOOK)}".encode()).body)

    assert pieces[0] == Dropped("contents")
    assert [piece.text for piece in pieces[1:] if isinstance(piece, Block) and piece.text] == [
        piece.text for piece in whole if isinstance(piece, Block) and piece.text
    ]


@pytest.mark.parametrize(("member", "locked"), [("OEBPS/text/part%201.xhtml", True), ("OEBPS/font.otf", False)])
def test_a_locked_chapter_is_refused_and_a_scrambled_font_is_not(member: str, locked: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    path.write_bytes(
        epub(HANDBOOK, {"META-INF/encryption.xml": f'<e xmlns:x="urn:x"><x:CipherReference URI="{member}"/></e>'})
    )

    if locked:
        with pytest.raises(DataError, match="EPUB file that is protected"):
            list(read_epub(path))
    else:
        assert list(read_epub(path))


@pytest.mark.parametrize(
    "package", ["", "<package/>", '<package><spine><itemref idref="x"/></spine></package>', "<package"]
)
def test_a_book_without_chapters_is_damaged(package: str, tmp_path: Path) -> None:
    container = '<container><rootfile full-path="book.opf"/></container>'
    path = tmp_path / "a.epub"
    path.write_bytes(
        archive({"mimetype": "application/epub+zip", "META-INF/container.xml": container, "book.opf": package})
    )

    with pytest.raises(DataError, match="damaged EPUB"):
        list(read_epub(path))


def test_a_chapter_that_is_missing_is_damage(tmp_path: Path) -> None:
    package = (
        '<package><manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    container = '<container><rootfile full-path="book.opf"/></container>'
    path = tmp_path / "a.epub"
    path.write_bytes(
        archive({"mimetype": "application/epub+zip", "META-INF/container.xml": container, "book.opf": package})
    )

    with pytest.raises(DataError, match=r"damaged EPUB.*a\.xhtml"):
        list(read_epub(path))
