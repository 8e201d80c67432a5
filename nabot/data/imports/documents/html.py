"""Web pages → blocks. In: a path, out: the main content: headings, paragraphs, lists, tables; menus and the like are dropped.

The tree is resiliparse's, what to keep of it is decided here: its own `main_content` leaves out every bulleted list (seen with
2.0.1), and gives headings and tables without their structure. An element is dropped if its tag, its role, a class or its links
say that it is there for the site and not for the page, unless the page's heading or most of its text is inside.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nabot.data.cutting import Block
from nabot.data.encoding import detect_encoding
from nabot.data.imports.documents.reader import DocumentReader
from nabot.data.imports.documents.tables import table_blocks
from nabot.data.imports.libraries import library_for
from nabot.data.imports.types import Dropped
from nabot.data.passages import Piece, tidy

if TYPE_CHECKING:
    from resiliparse.parse.html import ElementNode, HTMLTree

_SUFFIXES = (".html", ".htm", ".xhtml")
_BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_CHARSET_WITHIN = 1024  # bytes, says HTML 5
_WIDER = dict.fromkeys(("euc-kr", "euc_kr", "ks_c_5601-1987", "ksc5601"), "cp949")  # as Windows means them
_UNSEEN = re.compile("head|script|style|noscript|template|svg|iframe|object|button|select|textarea|rt|rp")
_BLOCKS = re.compile(
    "address|article|aside|blockquote|body|caption|center|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|header|hr"
    "|html|legend|li|main|menu|nav|ol|p|section|summary|table|tbody|td|tfoot|th|thead|tr|ul"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SITE_TAGS = re.compile("nav|aside|footer|dialog")
_SITE_ROLES = re.compile("navigation|banner|contentinfo|search|complementary|menu|menubar|dialog")
_SITE_CLASSES = re.compile(  # parts of class names and ids; gnb, lnb, snb: menus of Korean sites
    "nav|navbar|navigation|menu|gnb|lnb|snb|sidebar|footer|breadcrumbs?|cookies?|share|sharing|sns|social|related|comments|ads?"
    "|advert|banner|pagination|pager|toc|skip|newsletter|popup|modal|copyright"
)
_CLASS_PART = re.compile(r"[a-z]+|[A-Z][a-z]*")
_MENU_LINKS, _MENU_SHARE, _MENU_CHARACTERS = 3, 0.8, 30  # so many links, so much of the text in them, so short: a menu
_DEEPEST = 250  # elements inside each other; browsers stop at 512
_ANCHORS = " ¶§🔗"  # links of a heading to itself
_NEW_PARAGRAPH = Block("")


def looks_html(path: Path, head: bytes) -> bool:
    """Text that begins as a page does, or is called one."""
    return bool(_BEGINNING.match(head)) or (path.suffix.lower() in _SUFFIXES and not head.startswith((b"PK", b"%PDF")))


def read_html(path: Path) -> Iterator[Piece]:
    """The blocks of the page. Its title is the first heading if the content has none of the first level."""
    encoding = detect_encoding(path)
    tree = parsed(path, path.read_bytes(), encoding)
    content = _main(tree)
    if content.tag != "body":
        yield Dropped("navigation")
    text = tidy(content.text_content or "")
    if tree.title and text and not content.query_selector("h1"):
        yield Block(tree.title, level=1)
    yield from html_blocks(content, len(text))


def parsed(path: Path, data: bytes, encoding: str = "utf-8") -> "HTMLTree":
    """The tree of a page. It is UTF-8, or what it says of itself, or else in `encoding`."""
    with library_for(path):
        from resiliparse.parse import encoding as guessing
        from resiliparse.parse.html import HTMLTree
    declared = _CHARSET.search(data[:_CHARSET_WITHIN])
    for name in ("utf-8-sig", declared[1].decode() if declared else "", encoding):
        try:
            return HTMLTree.parse(data.decode(_WIDER.get(name.lower(), name)).lstrip("\ufeff"))
        except (UnicodeError, LookupError):
            continue
    return HTMLTree.parse(guessing.bytes_to_str(data, guessing.detect_encoding(data) or encoding))


def html_blocks(element: "ElementNode", page_characters: int = 0) -> Iterator[Piece]:
    """The blocks below an element. With the length of the page's text, what belongs to the site is dropped; with 0, nothing is."""
    text: list[str] = []
    for piece in _walk(element, page_characters):
        if isinstance(piece, str):
            text.append(piece)
            continue
        yield Block(_lines(text))
        text.clear()
        yield piece
    yield Block(_lines(text))


def _main(tree: "HTMLTree") -> "ElementNode":
    """<main>, or the only <article>, or the body."""
    body = cast("ElementNode", tree.body)  # the rules of HTML 5 give every page one
    mains, articles = body.query_selector_all("main, [role=main]"), body.query_selector_all("article")
    return mains[0] if len(mains) else articles[0] if len(articles) == 1 else body


def _walk(element: "ElementNode", page_characters: int, depth: int = 0) -> Iterator[str | Piece]:
    """Pieces of text and what stands between them; `_NEW_PARAGRAPH` where a paragraph begins or ends."""
    from resiliparse.parse.html import ELEMENT

    if depth > _DEEPEST:
        raise RecursionError(f"{depth} elements inside each other")
    items = 0
    for child in cast("Iterable[ElementNode]", element.child_nodes):
        tag = child.tag or ""
        items += tag == "li"
        if tag == "#text":
            yield re.sub(r"\s+", " ", child.value or "")
        elif tag == "br":
            yield "\n"
        elif child.type != ELEMENT or _UNSEEN.fullmatch(tag):  # comments, processing instructions
            continue
        elif page_characters and _is_site(child, page_characters):
            yield Dropped("navigation")
        elif tag in _HEADINGS:
            yield Block(" ".join(_texts(child)).rstrip(_ANCHORS), level=_HEADINGS[tag])
        elif tag == "pre":
            yield Block(child.text_content or "", whole=True)
        elif tag == "table" and not child.query_selector("table, h1, h2, h3, h4, ul, ol"):  # those are layout
            yield from _table(child)
        elif _BLOCKS.fullmatch(tag):
            edge = "\n" if child.closest("li, dt, dd") else _NEW_PARAGRAPH
            yield edge
            if tag == "li":
                yield f"{items}. " if element.tag == "ol" else "- "
            yield from _walk(child, page_characters, depth + 1)
            yield edge
        else:
            yield from _walk(child, page_characters, depth + 1)


def _table(table: "ElementNode") -> Iterator[Block]:
    for caption in table.query_selector_all("caption"):
        yield Block(" ".join(_texts(caption)))
    yield from table_blocks(
        [[_texts(cell) for cell in row.children if cell.tag in ("td", "th")] for row in table.query_selector_all("tr")]
    )


def _texts(element: "ElementNode") -> list[str]:
    """The paragraphs below an element."""
    return [piece.text for piece in html_blocks(element) if isinstance(piece, Block) and piece.text]


def _lines(text: list[str]) -> str:
    """Pieces of text as lines; the mark of an item stands before its first words, also where those are a paragraph."""
    lines = "\n".join(" ".join(line.split()) for line in "".join(text).split("\n"))
    return re.sub(r"^(-|\d+\.)\n+", r"\1 ", lines.strip("\n"), flags=re.MULTILINE)


def _is_site(element: "ElementNode", page_characters: int) -> bool:
    """Whether an element belongs to the site and not to what the page is about."""
    names = _CLASS_PART.findall(f"{element.class_name} {element.id}")
    marked = (
        _SITE_TAGS.fullmatch(element.tag or "")
        or (element.tag == "header" and element.parent is not None and element.parent.tag == "body")
        or _SITE_ROLES.fullmatch(element.getattr("role") or "")
        or any(_SITE_CLASSES.fullmatch(name.lower()) for name in names)
        or _is_hidden(element)
        or _is_menu(element)
    )
    if not marked or element.query_selector("h1, main, article"):
        return False
    return 2 * len(tidy(element.text_content or "")) <= page_characters


def _is_hidden(element: "ElementNode") -> bool:
    style = (element.getattr("style") or "").replace(" ", "").lower()
    return element.hasattr("hidden") or element.getattr("aria-hidden") == "true" or "display:none" in style


def _is_menu(element: "ElementNode") -> bool:
    """Nearly nothing but links, all of them short."""
    if not _BLOCKS.fullmatch(element.tag or ""):
        return False
    links = [(link.text_content or "").strip() for link in element.query_selector_all("a")]
    linked, own = sum(map(len, links)), len("".join((element.text_content or "").split()))
    return len(links) >= _MENU_LINKS and linked >= _MENU_SHARE * own and linked <= _MENU_CHARACTERS * len(links)


HTML = DocumentReader("html", looks_html, read_html)
