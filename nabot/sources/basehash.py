"""Which weights these are. In: a model's path, out: SHA-256 over its tensors' names, types, shapes and bytes.

The same weights are the same base whatever the file is called, however it is sharded, and whatever its metadata say.
Cached by the files' names, sizes and times, since a large model takes longer to hash than to load.
"""

import contextlib
import hashlib
import json
import struct
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from nabot.artifacts import read_json, write_json
from nabot.errors import CheckpointError
from nabot.ggufio import open_gguf
from nabot.sources.extension import ROWS, is_extension, read_extension
from nabot.sources.local import weight_files
from nabot.sources.resolving import resolve
from nabot.sources.store import models_folder
from nabot.text import say, system_reason

_CHUNK_BYTES = 1 << 20
_MAX_HEADER_BYTES = 100_000_000  # what the safetensors format allows


@dataclass(frozen=True)
class _Tensor:
    name: str
    kind: str
    shape: list[int]
    file: Path
    start: int  # bytes from the beginning of the file
    num_bytes: int


def base_hash(path: Path) -> str:
    """64 hex digits. Raises CheckpointError if the file or a shard is damaged or missing."""
    path = path.absolute()
    if is_extension(path):
        parts = base_hash(model_below(path)), _hash(_in_safetensors(path / ROWS))
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    files = [path] if path.is_file() else weight_files(path)
    try:
        state = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    except OSError as error:
        raise CheckpointError(say("sources.unreadable", path=error.filename, reason=system_reason(error))) from error
    if not state:
        raise CheckpointError(say("sources.no_weights", path=path))
    cache = models_folder() / ".hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # no cache, or a damaged one
        cached = read_json(cache)
        if cached["files"] == state:
            return str(cached["hash"])
    read = _in_gguf if path.is_file() else _in_safetensors
    digest = _hash([tensor for file in files for tensor in read(file)])
    with contextlib.suppress(OSError):  # a home that cannot be written to costs only time
        write_json(cache, {"path": str(path), "files": state, "hash": digest})
    return digest


def model_below(folder: Path) -> Path:
    """The model whose vocabulary `folder` makes longer. Raises CheckpointError if it is another one by now."""
    extension = read_extension(folder)
    path = resolve(extension.base, pull=False).path
    seen = base_hash(path)
    if seen != extension.base_hash:
        fields = {"base": extension.base, "seen": seen[:12], "expected": extension.base_hash[:12]}
        raise CheckpointError(say("sources.other_below", folder=folder, **fields))
    return path


def _hash(tensors: list[_Tensor]) -> str:
    """Over the tensors in the order of their names, wherever they lie."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    last_name = None
    with contextlib.ExitStack() as stack:
        opened = {file: stack.enter_context(file.open("rb", buffering=0)) for file in {t.file for t in tensors}}
        for tensor in sorted(tensors, key=lambda tensor: tensor.name):
            if tensor.name == last_name:
                raise _damaged(tensor.file, say("sources.tensor_twice", name=tensor.name))
            last_name = tensor.name
            digest.update(json.dumps([tensor.name, tensor.kind, tensor.shape]).encode() + b"\n")
            _hash_bytes(digest, opened[tensor.file], tensor, buffer)
    return digest.hexdigest()


def _hash_bytes(digest: Any, file: FileIO, tensor: _Tensor, buffer: memoryview) -> None:
    file.seek(tensor.start)
    left = tensor.num_bytes
    while left:
        count = file.readinto(buffer[: min(left, len(buffer))])
        if not count:
            raise _damaged(tensor.file, say("sources.cut_off"))
        digest.update(buffer[:count])
        left -= count


def _in_gguf(path: Path) -> list[_Tensor]:
    """Read as a file and not through its map: pages of a map would count as memory of this process."""
    file = open_gguf(path)
    file.mapped.close()
    return [_Tensor(t.name, t.kind, list(t.shape), path, t.offset, t.num_bytes) for t in file.tensors.values()]


def _in_safetensors(path: Path) -> list[_Tensor]:
    """The tensors of one file: 8 bytes with the length of a JSON header, the header, the data, all of it used.

    Source: huggingface/safetensors, README.md, "Format".
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        if length > min(size - 8, _MAX_HEADER_BYTES):
            raise _damaged(path, say("sources.header_beyond", length=length, size=size))
        raw = file.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(raw).items() if name != "__metadata__"}
        tensors = [_tensor(name, entry, path, 8 + length) for name, entry in entries.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, say("sources.header_broken", reason=error)) from error
    _check_places(path, tensors, 8 + length, size)
    return tensors


def _tensor(name: str, entry: dict[str, Any], path: Path, data_start: int) -> _Tensor:
    start, end = entry["data_offsets"]
    return _Tensor(name, str(entry["dtype"]), [int(n) for n in entry["shape"]], path, data_start + start, end - start)


def _check_places(path: Path, tensors: list[_Tensor], data_start: int, size: int) -> None:
    """The tensors fill the file from the header to the end, without holes."""
    position = data_start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.num_bytes)):
        if tensor.start != position or tensor.num_bytes < 0:
            raise _damaged(
                path, say("sources.tensor_misplaced", name=tensor.name, seen=tensor.start, expected=position)
            )
        position += tensor.num_bytes
    if position != size:
        raise _damaged(path, say("sources.size_differs", seen=f"{size:,}", expected=f"{position:,}"))


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(say("sources.damaged", path=path, what=what))
