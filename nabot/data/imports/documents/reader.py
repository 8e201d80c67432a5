"""What the readers of documents have in common. In: a way to look and a way to read, out: a `Reader` that gives passages."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nabot.conversation import nfc
from nabot.data.imports.types import Asked, Item, Passage
from nabot.data.passages import Piece, passages
from nabot.errors import DataError
from nabot.text import say


@dataclass(frozen=True)
class DocumentReader:
    """One format of documents: `looks` is its `recognises`, `pieces` reads a file block by block."""

    name: str
    looks: Callable[[Path, bytes], bool]
    pieces: Callable[[Path], Iterator[Piece]]

    def recognises(self, path: Path, head: bytes) -> bool:
        """By the content; a name that says something else does not count."""
        return self.looks(path, head)

    def read(self, path: Path, asked: Asked) -> Iterator[Item]:
        """The passages of the document. Raises DataError if it cannot be read or has no text."""
        empty = True
        try:
            for item in passages(self.pieces(path), nfc(path.name)):
                empty = empty and not isinstance(item, Passage)
                yield item
        except RecursionError as error:  # tables in tables in tables: no program writes that
            raise damaged(path, self.name.upper(), error) from error
        if empty:
            raise DataError(say("documents.no_text", path=path))


def damaged(path: Path, kind: str, reason: object) -> DataError:
    """The error of a file that begins like a `kind` and does not go on like one."""
    return DataError(say("documents.damaged", path=path, kind=kind, reason=reason))


def protected(path: Path, kind: str) -> DataError:
    """The error of a file that needs a password, or that only its publisher's program opens."""
    return DataError(say("documents.protected", path=path, kind=kind))
