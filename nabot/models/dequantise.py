"""Quantised GGUF tensors → torch tensors. In: a tensor's bytes, its type, and the place of its weights, of any dtype.

Arithmetic is in float32, equal to that of `gguf.quants.dequantize` to the last bit; then it is rounded once. Weights are
unpacked, part by part, into the place where they stay: half of the time of a large file went into pages of memory that
a whole tensor beside its place had touched for nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from nabot.errors import CheckpointError
from nabot.ggufio import TENSOR_TYPES
from nabot.models.gguf_blocks import EVEN_KINDS, Unpack
from nabot.models.gguf_codebooks import CODEBOOK_KINDS
from nabot.text import say

Read = Callable[[int], Tensor]  # a number → that many next bytes, uint8; they may change with the next call


class RowOrder(NamedTuple):
    """Rows that a file keeps in another order: `arranged` puts every `period` of them right, [n, period, D] at once."""

    period: int
    arranged: Callable[[Tensor], Tensor]


_PLAIN_KINDS = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}
_PACKED_KINDS: dict[str, Unpack] = {**EVEN_KINDS, **CODEBOOK_KINDS}
KNOWN_KINDS = (*_PLAIN_KINDS, *_PACKED_KINDS)

# Weights unpacked at a time. Bounds the temporaries (under 30 MB). Measured on two cores, idle and busy: much smaller
# chunks pay for the calls (a dozen a chunk, and threads that wait for each other in every one), larger ones for memory.
_CHUNK_WEIGHTS = 1 << 20
_SIZES = {kind: (block_size, block_bytes) for kind, block_size, block_bytes in TENSOR_TYPES.values()}


def dequantise(data: Tensor, kind: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor that `data`, uint8 [num_bytes] in main memory, stands for: a new one of `shape` and `dtype`.

    Raises CheckpointError if the type is not in KNOWN_KINDS or the number of bytes does not fit the shape.
    """
    place = torch.empty(shape, dtype=dtype)
    dequantise_into(place, reader(data), kind, data.numel())
    return place


def reader(data: Tensor) -> Read:
    """Gives the bytes of `data` from first to last."""
    rest = data

    def read(num_bytes: int) -> Tensor:
        nonlocal rest
        part, rest = rest[:num_bytes], rest[num_bytes:]
        return part

    return read


def dequantise_into(place: Tensor, read: Read, kind: str, num_bytes: int, order: RowOrder | None = None) -> None:
    """Writes the weights whose `num_bytes` bytes `read` gives into the contiguous `place`. Raises as `dequantise` does."""
    if kind not in KNOWN_KINDS:
        raise CheckpointError(say("dequantise.kind", kind=kind, known=", ".join(KNOWN_KINDS)))
    block_size, block_bytes = _SIZES[kind]
    together = order.period * place.shape[1] if order else block_size  # weights that must not be torn apart
    expected = place.numel() // block_size * block_bytes
    if num_bytes != expected or place.numel() % together or together % block_size:
        shape = tuple(place.shape)
        raise CheckpointError(say("dequantise.size", kind=kind, shape=shape, expected=expected, seen=num_bytes))
    for part in place.view(-1).split(max(_CHUNK_WEIGHTS // together, 1) * together):
        if part.numel():
            weights = _unpacked(read(part.numel() // block_size * block_bytes), kind)
            part.copy_(_in_order(weights, order, place.shape[-1]) if order else weights)


def _unpacked(data: Tensor, kind: str) -> Tensor:
    if kind in _PLAIN_KINDS:
        # torch reads numbers only at multiples of their size
        return (data.clone() if data.storage_offset() % 8 else data).view(_PLAIN_KINDS[kind])
    return _PACKED_KINDS[kind](data.view(-1, _SIZES[kind][1])).view(-1)


def _in_order(weights: Tensor, order: RowOrder, width: int) -> Tensor:
    return order.arranged(weights.view(-1, order.period, width)).reshape(-1)
