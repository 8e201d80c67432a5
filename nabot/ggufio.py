"""A GGUF file, opened. In: a path, out: its metadata, and its tensors as views of the memory-mapped file.

The header has its own parser: `gguf.GGUFReader` makes numpy objects for every token of the vocabulary, which takes 5 s
for a file of 98 MB (here 0.1 s), and importing `gguf` alone costs more than the parsing. Neither torch nor `gguf` is
imported here.   Source: docs/gguf.md in ggml-org/ggml.
"""

import mmap
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nabot.errors import CheckpointError
from nabot.ggufheader import GgufHeader, TensorDescription, damaged
from nabot.text import say, system_reason

# Number in the file → name, weights in a block, bytes of a block. 4, 5, 31-33 and 36-38 were withdrawn by ggml.
TENSOR_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}

DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True)
class GgufTensor:
    name: str
    shape: tuple[int, ...]  # outermost axis first, as torch has it; the file has the innermost first
    kind: str  # "Q4_1", "F32", …
    offset: int  # absolute, in bytes from the start of the file
    num_bytes: int


@dataclass(frozen=True)
class GgufFile:
    """An open GGUF file. It stays mapped for as long as this object or a view of its bytes is alive: Windows does not
    delete it in that time, and pages that were read count as memory of this process.
    """

    path: Path
    metadata: dict[str, Any] = field(repr=False)  # str, int, float, bool, or lists of them
    tensors: dict[str, GgufTensor] = field(repr=False)
    mapped: mmap.mmap = field(repr=False)

    def bytes_of(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """The tensor's bytes as they are in the file: uint8 [num_bytes], read-only, not copied.

        Raises CheckpointError if there is no such tensor.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            raise CheckpointError(say("gguf.no_tensor", path=self.path, name=name, count=len(self.tensors)))
        return np.frombuffer(self.mapped, np.uint8, count=tensor.num_bytes, offset=tensor.offset)


def open_gguf(path: Path) -> GgufFile:
    """Reads the header of a GGUF file (version 2 or 3, little endian) and maps the rest.

    Raises CheckpointError, which names the file, if it cannot be opened, is something else, is cut off or damaged.
    """
    mapped = _map(path)
    header = GgufHeader(path, mapped)
    num_tensors, num_entries = header.begin()
    metadata = header.entries(num_entries)
    descriptions = header.tensor_descriptions(num_tensors)
    data_start = _aligned(header.position, _alignment(path, metadata))
    tensors = {name: _placed(path, name, described, data_start) for name, described in descriptions.items()}
    _check_places(path, tensors, len(mapped))
    return GgufFile(path, metadata, tensors, mapped)


def _map(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        reason = system_reason(error) if isinstance(error, OSError) else say("gguf.empty")
        raise CheckpointError(say("gguf.unreadable", path=path, reason=reason)) from error


def _alignment(path: Path, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
        raise damaged(path, say("gguf.alignment", seen=alignment))
    return alignment


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _placed(path: Path, name: str, description: TensorDescription, data_start: int) -> GgufTensor:
    shape, number = description.shape, description.type_number
    if number not in TENSOR_TYPES:
        known = ", ".join(kind for kind, _, _ in TENSOR_TYPES.values())
        raise CheckpointError(say("gguf.tensor_type", path=path, name=name, seen=number, known=known))
    kind, block_size, block_bytes = TENSOR_TYPES[number]
    if 0 in shape or (shape[-1] if shape else 1) % block_size:
        raise damaged(path, say("gguf.shape", name=name, shape=shape, kind=kind, block_size=block_size))
    return GgufTensor(name, shape, kind, data_start + description.offset, prod(shape) // block_size * block_bytes)


def _check_places(path: Path, tensors: dict[str, GgufTensor], size: int) -> None:
    """Every tensor lies inside the file, and no two share bytes."""
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.offset, tensor.num_bytes)):
        if tensor.offset + tensor.num_bytes > size:
            there = max(0, size - tensor.offset)
            fields = {"expected": f"{tensor.num_bytes:,}", "there": f"{there:,}", "size": f"{size:,}"}
            raise CheckpointError(say("gguf.data_cut", path=path, name=tensor.name, **fields))
        if tensor.offset < end and tensor.num_bytes:
            raise damaged(path, say("gguf.overlap", name=tensor.name))
        end = tensor.offset + tensor.num_bytes
