"""Documents that are zip archives of XML: DOCX, HWPX, EPUB. In: a path, out: their members, or a clear error."""

import posixpath
import struct
import zlib
from lzma import LZMAError
from pathlib import Path
from typing import Self
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile

from nabot.data.encoding import open_for_reading
from nabot.data.imports.documents.reader import damaged, protected
from nabot.data.imports.limits import MOST_UNPACKED

ZIP_MAGIC = b"PK\x03\x04"
_FIRST_NAME = 30  # where the first member's name begins
_ZIP_ERRORS = (BadZipFile, EOFError, LZMAError, NotImplementedError, OSError, ValueError, struct.error, zlib.error)
_ENCRYPTED = 1  # bit of a member's flags


class Archive:
    """A zip file of documents, open for reading. Every method raises DataError for a damaged or protected file."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind
        self._file = open_for_reading(path)
        try:
            self._zip = ZipFile(self._file)
        except _ZIP_ERRORS as error:
            self._file.close()
            raise damaged(path, kind, error) from error
        self.names = tuple(self._zip.namelist())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        try:
            info = self._zip.getinfo(name)
            if info.flag_bits & _ENCRYPTED:
                raise protected(self.path, self.kind)
            if info.file_size > MOST_UNPACKED:
                raise damaged(self.path, self.kind, f"{name}: {info.file_size} bytes")
            return self._zip.read(info)
        except KeyError:
            raise damaged(self.path, self.kind, f"{name}: 0 bytes") from None
        except _ZIP_ERRORS as error:
            raise damaged(self.path, self.kind, f"{name}: {error}") from error

    def xml(self, name: str) -> ElementTree.Element:
        """The root of a member that is XML. Entities of other files are never read."""
        try:
            return ElementTree.fromstring(self.read(name))
        except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
            raise damaged(self.path, self.kind, f"{name}: {error}") from error


def is_zip_of(head: bytes, mimetype: bytes) -> bool:
    """Whether a zip begins with the member "mimetype" that says so, as EPUB and HWPX have it."""
    return head.startswith(ZIP_MAGIC) and head[_FIRST_NAME:].startswith(b"mimetype" + mimetype)


def resolved(base: str, link: str) -> str:
    """The name of the member that `link`, in the member `base`, leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), link))


def local(element: ElementTree.Element) -> str:
    """The name of an element without its namespace, which changes from version to version."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: ElementTree.Element, name: str) -> str:
    """The value of an attribute, whatever its namespace; empty if there is none."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")
