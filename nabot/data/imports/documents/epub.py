"""EPUB → blocks. In: a zip of XHTML, out: the blocks of its chapters, in the order in which a book is read."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from nabot.data.imports.documents.archive import ZIP_MAGIC, Archive, attribute, is_zip_of, local, resolved
from nabot.data.imports.documents.html import html_blocks, parsed
from nabot.data.imports.documents.reader import DocumentReader, damaged, protected
from nabot.data.imports.types import Dropped
from nabot.data.passages import Piece

_KIND = "EPUB"
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"


def looks_epub(path: Path, head: bytes) -> bool:
    """A zip that says it is one; where it does not, the name says it."""
    return is_zip_of(head, b"application/epub+zip") or (head.startswith(ZIP_MAGIC) and path.suffix.lower() == ".epub")


def read_epub(path: Path) -> Iterator[Piece]:
    """The blocks of all chapters. The book's own table of contents is dropped: headings say the same."""
    with Archive(path, _KIND) as archive:
        package = next(
            (attribute(e, "full-path") for e in archive.xml(_CONTAINER).iter() if local(e) == "rootfile"), ""
        )
        chapters = _chapters(archive, package)
        if not chapters:
            raise damaged(path, _KIND, f"{package}: 0")
        if _ENCRYPTION in archive.names:  # fonts may be scrambled, and often are; a scrambled chapter is a lock
            locked = {
                unquote(attribute(e, "URI")) for e in archive.xml(_ENCRYPTION).iter() if local(e) == "CipherReference"
            }
            if locked.intersection(chapters):
                raise protected(path, _KIND)
        for name, properties in chapters.items():
            if "nav" in properties.split():
                yield Dropped("contents")
            elif body := parsed(path, archive.read(name)).body:
                yield from html_blocks(body)


def _chapters(archive: Archive, package: str) -> dict[str, str]:
    """The members of the spine, in its order, each with its properties."""
    root = archive.xml(package)
    items = {attribute(item, "id"): item for item in root.iter() if local(item) == "item"}
    refs = (items.get(attribute(ref, "idref")) for ref in root.iter() if local(ref) == "itemref")
    return {
        resolved(package, unquote(attribute(item, "href"))): attribute(item, "properties")
        for item in refs
        if item is not None and "html" in attribute(item, "media-type")
    }


EPUB = DocumentReader("epub", looks_epub, read_epub)
