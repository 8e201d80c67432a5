"""Progress of a download that somebody else does, seen from the outside. In: a folder, out: how far it has grown."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from nabot.sources.model import Progress

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def reported_growth(folder: Path, done_bytes: int, total_bytes: int, what: str, progress: Progress) -> Iterator[None]:
    """While the block runs, reports how far the files below `folder` have grown beyond `done_bytes`."""
    before = folder_bytes(folder)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            progress(min(total_bytes, done_bytes + max(0, folder_bytes(folder) - before)), total_bytes, what)

    progress(done_bytes, total_bytes, what)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
        over.set()
        watcher.join()
        progress(total_bytes, total_bytes, what)
    finally:
        over.set()
        watcher.join()


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`; 0 if it does not exist."""
    return sum(_sizes(folder))


def largest_file_bytes(folder: Path) -> int:
    return max(_sizes(folder), default=0)


def _sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # gone between the two calls
                yield os.stat(os.path.join(place, name)).st_size
