"""Libraries that read what nabot does not read itself. In: calls of them, out: errors that a person can act on."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nabot.errors import DataError
from nabot.text import say

T = TypeVar("T")


@contextmanager
def library_for(path: Path) -> Iterator[None]:
    """Around the import of a library that not everybody has: without it, DataError with what to install."""
    try:
        yield
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        raise DataError(say("import.no_library", path=path, library=name)) from error


def library(name: str, path: Path) -> Any:
    """The module that reads `path`, for libraries without types. Raises DataError as `library_for` does."""
    with library_for(path):
        return importlib.import_module(name)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Around a library's own call: whatever it makes of a damaged file becomes a DataError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # each library has its own, and those of zip, zlib and XML beside them
        reason = str(error) or type(error).__name__
        raise DataError(say("import.damaged", path=path, reason=reason.splitlines()[0].rstrip("."))) from error


def explained_each(path: Path, items: Iterator[T]) -> Iterator[T]:
    """`explained` around every step of a library's iterator, and around nothing of ours."""
    end = object()
    while True:
        with explained(path):
            item = next(items, end)
        if item is end:
            return
        yield item  # type: ignore[misc]
