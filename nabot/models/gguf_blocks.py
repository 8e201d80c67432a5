"""GGUF's blocks of evenly spaced values → numbers. In: uint8 [blocks, bytes of a block], out: float32 [blocks, …].

A block is a few scales and the integers they scale. Each function below opens with the layout of its block, unpacks the
integers in the order of the weights, and scales them; multiplications and additions come in ggml's order, so that
results are equal to the last bit. The integers are unpacked eight at a time, as the bytes of an int64 ("words"): torch
has no faster way to shift bytes. The types whose integers point into a table are in `gguf_codebooks.py`.
Source: ggml/src/ggml-quants.c, dequantize_row_*; `gguf.quants` has the same in numpy.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

Unpack = Callable[[Tensor], Tensor]


def field(blocks: Tensor, start: int, length: int, dtype: torch.dtype) -> Tensor:
    """`length` bytes of every block from `start` on, read as numbers of `dtype`: [blocks, length / size of one]."""
    # copied, because a number may only begin at a multiple of its size, and blocks have 18, 110, 17 bytes
    return blocks[:, start : start + length].clone(memory_format=torch.contiguous_format).view(dtype)


def scale(blocks: Tensor, start: int) -> Tensor:
    """The float16 at byte `start` of every block, as float32 [blocks, 1]."""
    return field(blocks, start, 2, torch.float16).float()


@cache
def shifts(count: int, step: int) -> Tensor:
    """0, step, 2 · step, …: int32 [count], to shift packed bits by. Made once: it costs as much as using it."""
    return torch.arange(0, count * step, step, dtype=torch.int32)


def planes(blocks: Tensor, start: int, length: int, width: int, bits: int) -> Tensor:
    """Unpacks 8 / bits weights from each of `length` bytes: int64 words [blocks, weights / 8].

    Weights of one byte lie far apart: of every `width` bytes, the lowest bits are the first `width` weights, the next
    bits are the next `width`, and so on. `width` is a multiple of 8.
    """
    words = field(blocks, start, length, torch.int64).view(blocks.shape[0], -1, 1, width // 8)
    lowest_bits_of_each_byte = ((1 << bits) - 1) * 0x0101010101010101
    return ((words >> shifts(8 // bits, bits).unsqueeze(1)) & lowest_bits_of_each_byte).flatten(1)


def integers(words: Tensor, group: int) -> Tensor:
    """The bytes of the words as float32, in groups that share a scale: [blocks, groups, group]."""
    return words.view(torch.uint8).float().view(words.shape[0], -1, group)


def nibbles(packed: Tensor) -> Tensor:
    """Low nibble, high nibble of the first byte, low nibble of the second, …: uint8 [blocks, 2 · bytes]."""
    return torch.stack((packed & 15, packed >> 4), dim=-1).flatten(1)


def _q4_0(blocks: Tensor) -> Tensor:
    """scale f16 · 16 bytes of nibbles"""
    values = integers(planes(blocks, 2, 16, width=16, bits=4), 32)
    return values.sub_(8).mul_(scale(blocks, 0).unsqueeze(1))


def _q4_1(blocks: Tensor) -> Tensor:
    """scale f16 · minimum f16 · 16 bytes of nibbles"""
    values = integers(planes(blocks, 4, 16, width=16, bits=4), 32)
    return values.mul_(scale(blocks, 0).unsqueeze(1)).add_(scale(blocks, 2).unsqueeze(1))


@cache
def _bits_of_byte() -> Tensor:
    """Byte → word whose bytes are its eight bits, lowest first: int64 [256]."""
    bits = (torch.arange(256).unsqueeze(1) >> torch.arange(8)) & 1
    return bits.to(torch.uint8).view(torch.int64).squeeze(1)


def _five_bits(blocks: Tensor, start: int) -> Tensor:
    """4 bytes of fifth bits, one a weight in its order · 16 bytes of nibbles"""
    high = _bits_of_byte().index_select(0, field(blocks, start, 4, torch.uint8).view(-1).int()).view(-1, 4)
    return integers(planes(blocks, start + 4, 16, width=16, bits=4) | (high << 4), 32)


def _q5_0(blocks: Tensor) -> Tensor:
    """scale f16 · five bits a weight"""
    return _five_bits(blocks, 2).sub_(16).mul_(scale(blocks, 0).unsqueeze(1))


def _q5_1(blocks: Tensor) -> Tensor:
    """scale f16 · minimum f16 · five bits a weight"""
    return _five_bits(blocks, 4).mul_(scale(blocks, 0).unsqueeze(1)).add_(scale(blocks, 2).unsqueeze(1))


def _q8_0(blocks: Tensor) -> Tensor:
    """scale f16 · 32 signed bytes"""
    return blocks[:, 2:].view(torch.int8).float().mul_(scale(blocks, 0))


def _q2_k(blocks: Tensor) -> Tensor:
    """16 bytes (scale, minimum: a nibble each) · 64 bytes of quarters · scale of scales f16 · of minima f16"""
    scales = (blocks[:, :16] & 15) * scale(blocks, 80)
    minima = (blocks[:, :16] >> 4) * scale(blocks, 82)
    values = integers(planes(blocks, 16, 64, width=32, bits=2), 16)
    return values.mul_(scales.unsqueeze(2)).sub_(minima.unsqueeze(2))


def _q3_k(blocks: Tensor) -> Tensor:
    """32 bytes of third bits · 64 bytes of quarters · 16 scales: 8 bytes of nibbles, 4 of quarters · their scale f16"""
    low = planes(blocks, 96, 8, width=8, bits=4)
    high = (field(blocks, 104, 4, torch.int32) >> shifts(4, 2)) & 0x03030303
    scales = integers(low | (high.view(torch.int64) << 4), 16).squeeze(1).sub_(32).mul_(scale(blocks, 108))
    quarters = planes(blocks, 32, 64, width=32, bits=2)
    values = integers(quarters | (planes(blocks, 0, 32, width=32, bits=1) << 2), 16)
    return values.sub_(4).mul_(scales.unsqueeze(2))


def _scales_and_minima(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Scale of scales f16 · of minima f16 · 12 bytes with eight scales, eight minima, of six bits: [blocks, 8, 1] each.

    Four bytes: scales 0-3, and on top of each two bits of scales 4-7; four bytes: the minima likewise; four bytes: low
    nibbles are the rest of scales 4-7, high nibbles that of minima 4-7. Four bytes at a time here, as an int32.
    """
    words = field(blocks, 4, 12, torch.int32)
    both, rest = words[:, :2], words[:, 2:]
    last = ((rest >> shifts(2, 4)) & 0x0F0F0F0F) | ((both >> 2) & 0x30303030)
    steps = torch.stack((both & 0x3F3F3F3F, last), dim=-1).view(torch.uint8)
    scaled = steps * field(blocks, 0, 4, torch.float16).float().unsqueeze(2)
    return scaled[:, 0].unsqueeze(2), scaled[:, 1].unsqueeze(2)


def _q4_k(blocks: Tensor) -> Tensor:
    """scales and minima · 4 of 32 bytes of nibbles"""
    scales, minima = _scales_and_minima(blocks)
    return integers(planes(blocks, 16, 128, width=32, bits=4), 32).mul_(scales).sub_(minima)


def _q5_k(blocks: Tensor) -> Tensor:
    """scales and minima · 32 bytes of fifth bits · 4 of 32 bytes of nibbles"""
    scales, minima = _scales_and_minima(blocks)
    fifths = planes(blocks, 16, 32, width=32, bits=1)
    return integers(planes(blocks, 48, 128, width=32, bits=4) | (fifths << 4), 32).mul_(scales).sub_(minima)


def _q6_k(blocks: Tensor) -> Tensor:
    """2 of 64 bytes of nibbles · 2 of 32 bytes of quarters on top · 16 signed scales · their scale f16"""
    scales = blocks[:, 192:208].view(torch.int8) * scale(blocks, 208)
    quarters = planes(blocks, 128, 64, width=32, bits=2)
    values = integers(planes(blocks, 0, 128, width=64, bits=4) | (quarters << 4), 16)
    return values.sub_(32).mul_(scales.unsqueeze(2))


def _tq1_0(blocks: Tensor) -> Tensor:
    """48 bytes of five ternary digits, 4 bytes of four · scale f16. Digit i is 3 · (byte · 3^i modulo 256) / 256"""
    parts = []
    for start, stop, digits in ((0, 32, 5), (32, 48, 5), (48, 52, 4)):
        powers = torch.tensor([3**digit for digit in range(digits)], dtype=torch.uint8)
        parts.append((blocks[:, None, start:stop] * powers.unsqueeze(1)).flatten(1))
    digits_of_weights = torch.cat(parts, dim=1).to(torch.int16).mul_(3).bitwise_right_shift_(8)
    return digits_of_weights.float().sub_(1).mul_(scale(blocks, 52))


def _tq2_0(blocks: Tensor) -> Tensor:
    """2 of 32 bytes of quarters · scale f16"""
    values = integers(planes(blocks, 0, 64, width=32, bits=2), 256)
    return values.sub_(1).mul_(scale(blocks, 64).unsqueeze(1))


EVEN_KINDS: dict[str, Unpack] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "TQ1_0": _tq1_0,
    "TQ2_0": _tq2_0,
}
