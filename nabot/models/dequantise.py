"""Quantised GGUF tensors → torch tensors. In: a tensor's bytes, its type and shape; out: the weights in any dtype.

Arithmetic is in float32, equal to that of `gguf.quants.dequantize` to the last bit; then it is rounded once.
"""

from math import prod

import torch
from torch import Tensor

from nabot.errors import CheckpointError
from nabot.ggufio import TENSOR_TYPES
from nabot.models.gguf_blocks import EVEN_KINDS, Unpack
from nabot.models.gguf_codebooks import CODEBOOK_KINDS
from nabot.text import say

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

    Needs little memory beyond the result. Raises CheckpointError if the type is not in KNOWN_KINDS or the number of
    bytes does not fit the shape.
    """
    if kind not in KNOWN_KINDS:
        raise CheckpointError(say("dequantise.kind", kind=kind, known=", ".join(KNOWN_KINDS)))
    block_size, block_bytes = _SIZES[kind]
    blocks_fit = prod(shape) % block_size == 0
    expected = prod(shape) // block_size * block_bytes
    if not blocks_fit or data.numel() != expected:
        raise CheckpointError(say("dequantise.size", kind=kind, shape=shape, expected=expected, seen=data.numel()))
    out = torch.empty(shape, dtype=dtype)
    if kind in _PLAIN_KINDS:
        return out.copy_(_aligned(data).view(_PLAIN_KINDS[kind]).view(shape))
    if out.numel():
        _unpack_into(out.view(-1, block_size), data.view(-1, block_bytes), _PACKED_KINDS[kind])
    return out


def _unpack_into(weights: Tensor, blocks: Tensor, unpack: Unpack) -> None:
    blocks_at_a_time = _CHUNK_WEIGHTS // weights.shape[1]
    for part, source in zip(torch.split(weights, blocks_at_a_time), torch.split(blocks, blocks_at_a_time), strict=True):
        part.copy_(unpack(source).view(part.shape))


def _aligned(data: Tensor) -> Tensor:
    """`data` itself, or a copy where it begins inside a number: torch reads numbers only at multiples of their size."""
    return data.clone() if data.storage_offset() % 8 else data
