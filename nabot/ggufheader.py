"""The header of a GGUF file, parsed. In: the mapped bytes of a file, out: metadata and descriptions of its tensors.

A file comes from outside, so nothing in it is believed: every count and every length is held against the bytes that
are there before anything is allocated.   Source: docs/gguf.md in ggml-org/ggml.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nabot.errors import CheckpointError
from nabot.text import human_bytes, say

MAX_HEADER_BYTES = 100_000_000  # five times the largest vocabulary in use; bounds what a damaged count can allocate
MAX_NAME_BYTES = 65_535  # of a key, by the specification
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
MAX_ARRAY_DEPTH = 4  # known files have arrays of arrays at most

_NUMBERS = {0: "u1", 1: "i1", 2: "u2", 3: "i2", 4: "u4", 5: "i4", 6: "f4", 10: "u8", 11: "i8", 12: "f8"}  # for numpy
_BOOL, _STRING, _ARRAY = 7, 8, 9
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_MIN_BYTES_OF_ENTRY = 13  # of a key and its value: length 8, type 4, value 1
_MIN_BYTES_OF_TENSOR = 24  # of a tensor's description: length 8, dimensions 4, type 4, offset 8
_MIN_BYTES_OF_ARRAY = 12  # type 4, length 8


@dataclass(frozen=True)
class TensorDescription:
    shape: tuple[int, ...]  # outermost axis first; the file has the innermost first
    type_number: int
    offset: int  # in bytes from the start of the data, which follows the header


def damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(say("gguf.damaged", path=path, what=what))


class GgufHeader:
    """A cursor over the header, every read of which is checked against the end first."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path = path
        self.data = data
        self.position = 0
        self.end = min(len(data), MAX_HEADER_BYTES)

    def begin(self) -> tuple[int, int]:
        """Magic, version, and the two counts: tensors and metadata entries."""
        magic = self.data[:4]
        if magic != b"GGUF":
            raise CheckpointError(say("gguf.magic", path=self.path, seen=self.data[:16]))
        self.position = 4
        version = self.u32()
        if version & 0xFFFF == 0:  # 3 with its bytes turned round
            raise CheckpointError(say("gguf.big_endian", path=self.path))
        if version not in (2, 3):
            raise CheckpointError(say("gguf.version", path=self.path, version=version))
        num_tensors, num_entries = self.u64(), self.u64()
        self.need(num_tensors * _MIN_BYTES_OF_TENSOR + num_entries * _MIN_BYTES_OF_ENTRY)
        return num_tensors, num_entries

    def need(self, num_bytes: int) -> int:
        """Where the next `num_bytes` end. Raises CheckpointError if that is beyond the file, or beyond any header."""
        end = self.position + num_bytes
        if end > self.end:
            raise self.beyond(end)
        return end

    def beyond(self, end: int) -> CheckpointError:
        size = len(self.data)
        if end > size:
            return CheckpointError(say("gguf.header_cut", path=self.path, size=f"{size:,}", at=f"{self.position:,}"))
        return damaged(self.path, say("gguf.header_long", limit=human_bytes(MAX_HEADER_BYTES)))

    def u32(self) -> int:
        start, self.position = self.position, self.need(4)
        return int(_U32.unpack_from(self.data, start)[0])

    def u64(self) -> int:
        start, self.position = self.position, self.need(8)
        return int(_U64.unpack_from(self.data, start)[0])

    def string(self) -> str:
        return self.strings(1)[0]

    def name(self) -> str:
        """A key or a tensor's name: a string of limited length, so that errors can quote it."""
        length = _U64.unpack_from(self.data, self.need(8) - 8)[0]
        if length > MAX_NAME_BYTES:
            raise damaged(self.path, say("gguf.name_long", at=f"{self.position:,}", length=length))
        return self.string()

    def strings(self, count: int) -> list[str]:
        """The inner loop of opening: a vocabulary has 100,000 of them, hence the local names."""
        self.need(8 * count)
        data, last, position, unpack = self.data, self.end, self.position, _U64.unpack_from
        found: list[str] = []
        try:
            for _ in range(count):
                start = position + 8
                if start > last:
                    raise self.beyond(start)
                position = start + unpack(data, position)[0]
                if position > last:
                    raise self.beyond(position)
                found.append(data[start:position].decode())
        except UnicodeDecodeError as error:
            raise damaged(self.path, say("gguf.not_utf8", at=f"{start:,}")) from error
        self.position = position
        return found

    def value(self, key: str, kind: int, depth: int = 0) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY and depth < MAX_ARRAY_DEPTH:
            return self.array(key, self.u32(), self.u64(), depth + 1)
        return self.numbers(key, kind, 1)[0]

    def array(self, key: str, kind: int, count: int, depth: int) -> list[Any]:
        if kind == _STRING:
            return self.strings(count)
        if kind == _ARRAY:
            self.need(_MIN_BYTES_OF_ARRAY * count)
            return [self.value(key, kind, depth) for _ in range(count)]
        return self.numbers(key, kind, count)

    def numbers(self, key: str, kind: int, count: int) -> list[Any]:
        if kind == _BOOL:
            start, self.position = self.position, self.need(count)
            return [byte != 0 for byte in self.data[start : self.position]]
        if kind not in _NUMBERS:
            raise damaged(self.path, say("gguf.value_type", key=key, seen=kind, depth=MAX_ARRAY_DEPTH))
        dtype = np.dtype(f"<{_NUMBERS[kind]}")
        start, self.position = self.position, self.need(count * dtype.itemsize)
        found: list[Any] = np.frombuffer(self.data, dtype, count=count, offset=start).tolist()
        return found

    def entries(self, count: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        for _ in range(count):
            key = self.name()
            if key in metadata:
                raise damaged(self.path, say("gguf.duplicate_key", key=key))
            metadata[key] = self.value(key, self.u32())
        return metadata

    def tensor_descriptions(self, count: int) -> dict[str, TensorDescription]:
        found: dict[str, TensorDescription] = {}
        for _ in range(count):
            name, num_dimensions = self.name(), self.u32()
            if name in found:
                raise damaged(self.path, say("gguf.duplicate_tensor", name=name))
            if num_dimensions > MAX_DIMENSIONS:
                raise damaged(self.path, say("gguf.dimensions", name=name, seen=num_dimensions, most=MAX_DIMENSIONS))
            innermost_first = [self.u64() for _ in range(num_dimensions)]
            found[name] = TensorDescription(tuple(reversed(innermost_first)), self.u32(), self.u64())
        return found
