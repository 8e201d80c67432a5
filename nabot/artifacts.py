"""Files and folders that are either whole or not there. In: content, out: a path that is safe to trust.

Everything is written beside its place and moved there in one step, so that a kill at any moment leaves the old state
or the new one. Room on the disk is asked for before anything is written.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nabot.errors import CapacityError, CheckpointError
from nabot.text import human_bytes, say

_TEMPORARY = ".nabot-tmp-"


def require_space(folder: Path, num_bytes: int) -> None:
    """Raises CapacityError if the disk of `folder` (which need not exist yet) has less than `num_bytes` free."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise CapacityError(say("error.no_space", path=folder, needed=human_bytes(num_bytes), free=human_bytes(free)))


@contextlib.contextmanager
def explained_disk_errors(path: Path) -> Iterator[None]:
    """A full disk becomes a CapacityError that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(path if path.exists() else path.parent).free
            raise CapacityError(say("error.no_space", path=path, needed="?", free=human_bytes(free))) from error
        raise


def write_file(path: Path, content: str | bytes) -> None:
    """Replaces the file in one step; creates its folder. Text is UTF-8 with "\\n"."""
    with new_file(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write, which becomes `path` (replacing an old one) when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
    with explained_disk_errors(path):
        try:
            yield aside
            _flush_to_disk(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` (replacing an old one) when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
    with explained_disk_errors(path):
        try:
            aside.mkdir()
            yield aside
            for file in aside.rglob("*"):
                if file.is_file():
                    _flush_to_disk(file)
            if path.exists():
                old = path.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
                path.replace(old)
                aside.replace(path)
                shutil.rmtree(old)
            else:
                aside.replace(path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """False for a folder that somebody is still filling, or left when they were killed."""
    return not folder.name.startswith(_TEMPORARY)


def remove_leftovers(folder: Path) -> None:
    """Deletes what killed writers left in `folder` (not below it)."""
    for left in folder.glob(f"{_TEMPORARY}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Indented, keys in their order, people's letters as they are."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in a JSON Lines file of ours, without a last one that was cut off by a kill.

    Only "\\n" ends a line: `str.splitlines` would also cut at U+2028 and its kin, which text from the web contains.
    Raises CheckpointError naming the first line that is damaged.
    """
    *whole, last = path.read_bytes().split(b"\n")
    for number, line in enumerate(whole, start=1):
        try:
            record = dict(json.loads(line))
        except (ValueError, TypeError) as error:
            raise CheckpointError(say("error.bad_line", path=path, line=number, reason=error)) from error
        yield record
    with contextlib.suppress(ValueError):
        yield json.loads(last)


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_to_disk(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
