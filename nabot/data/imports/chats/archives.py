"""Exports of many files, as a folder or as the .zip that was downloaded. In: a path, out: its files, read alike."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from nabot.data.faults import Fault, excerpt, problem
from nabot.data.imports.limits import MOST_UNPACKED
from nabot.errors import DataError
from nabot.text import say

ZIP_BEGINS = b"PK\x03\x04"
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)  # the last: a compression that Python lacks


def root_of(path: Path, member: str) -> Traversable | None:
    """The folder that holds `member`: `path` itself, or the one folder inside, as systems pack it. None if there is none.

    Raises DataError if `path` is a damaged .zip.
    """
    if not path.is_dir() and not _begins_as_zip(path):
        return None
    try:
        top: Traversable = path if path.is_dir() else zipfile.Path(path)
        folders = [top, *(inner for inner in top.iterdir() if inner.is_dir())]
    except _BROKEN as error:
        raise DataError(say("data.chat.damaged_zip", path=path, reason=error)) from error
    return next((folder for folder in folders if folder.joinpath(member).is_file()), None)


def holds(path: Path, member: str) -> bool:
    """`root_of`, for those who only look."""
    try:
        return root_of(path, member) is not None
    except (DataError, OSError):
        return False


@contextmanager
def opened(file: Traversable) -> Iterator[TextIO]:
    """A JSON text of another program; bytes that are none become halves of characters, which are found later."""
    with file.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape") as text:
        yield text


def load(path: Path, file: Traversable, name: str) -> Any | Fault:
    """One whole JSON file of the archive `path`, or what is wrong with it. Raises DataError if it wants a password."""
    try:
        with opened(file) as text:
            content = text.read(MOST_UNPACKED + 1)
        if len(content) > MOST_UNPACKED:
            raise ValueError(f"> {MOST_UNPACKED} characters")
        return json.loads(content)
    except json.JSONDecodeError as error:
        seen = excerpt(error.doc[max(0, error.pos - 12) : error.pos + 18].strip())
        found = problem("broken_json", column=error.colno, reason=error.msg, seen=seen)
        return found.at(f"{path}/{name}", error.lineno)
    except (*_BROKEN, ValueError, RecursionError) as error:
        return problem("unreadable_member", reason=error).at(f"{path}/{name}", 1)
    except RuntimeError as error:  # zipfile's word for a password
        raise DataError(say("data.chat.locked_zip", path=path, reason=error)) from error


@contextmanager
def unpacking(path: Path, name: str) -> Iterator[None]:
    """Around reading a member piece by piece. Raises DataError if it is damaged or wants a password."""
    try:
        yield
    except _BROKEN as error:
        raise DataError(say("data.chat.damaged_zip", path=path, reason=f"{name}: {error}")) from error
    except RuntimeError as error:  # zipfile's word for a password
        raise DataError(say("data.chat.locked_zip", path=path, reason=error)) from error


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(ZIP_BEGINS)) == ZIP_BEGINS
