"""Every format that is read. In: a path and its first bytes, or a name, out: the reader."""

from pathlib import Path

from nabot.data.imports.chats import CHATGPT, CHATS, SLACK
from nabot.data.imports.documents import DOCUMENT_READERS
from nabot.data.imports.parquet import ParquetReader
from nabot.data.imports.rows import RowsReader
from nabot.data.imports.types import Reader
from nabot.data.imports.workbook import WorkbookReader
from nabot.data.layouts import LAYOUTS
from nabot.errors import ConfigError
from nabot.text import near_names, say

# The first that recognises a file reads it, so the one that knows more exactly what it wants stands further up: chats before
# rows, which take every table; rows before documents, which take every text.
READERS: tuple[Reader, ...] = (*CHATS, WorkbookReader(), ParquetReader(), RowsReader(), *DOCUMENT_READERS)
FOLDER_READERS: tuple[Reader, ...] = (SLACK, CHATGPT)  # those of READERS whose format may also be a whole folder
_LAYOUT_READERS: tuple[Reader, ...] = tuple(RowsReader(layout.name) for layout in LAYOUTS)


def reader_of(path: Path, head: bytes, *, readers: tuple[Reader, ...] = READERS) -> Reader | None:
    """The first that takes the file for its own."""
    return next((reader for reader in readers if reader.recognises(path, head)), None)


def reader_named(name: str) -> Reader:
    """The reader of --format: one of a file format, or the rows of one layout. Raises ConfigError for an unknown name."""
    readers = {reader.name: reader for reader in (*READERS, *_LAYOUT_READERS)}
    if name not in readers:
        raise ConfigError(
            say("import.unknown_format", seen=name, near=near_names(name, list(readers)), known=", ".join(readers))
        )
    return readers[name]
