"""Weights into the records that `products` reads, compiled. In: numbers, out: bytes.

4 bits where that loses nothing, which is so for the files that store them like this (GGUF's Q4_0, Q4_1 and Q4_K): the
numbers of a block then lie on 16 evenly spaced levels at most. Else 8 bits, a scale for 32 weights, as GGUF's Q8_0.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from nabot.models.compiled.crew import crew
from nabot.models.compiled.machine import FAST, half_of_float, share
from nabot.models.compiled.products import BLOCK, BYTES_4, BYTES_8, TILE

_f32, _i32 = np.float32, np.int32
_OFF_LEVEL = np.float32(0.1)  # of a step: what bfloat16 makes of a level; weights on no grid are off by up to a half
_LARGEST = torch.finfo(torch.float16).max  # steps are float16
_SAMPLE = 16  # rows that show whether weights have levels at all
_ROWS_AT_ONCE = 1024  # of weights that are no float32


class Packed(NamedTuple):
    """One weight [outputs, 32 · blocks] in records; `tiles` may reach beyond the last output."""

    bits: int
    records: Tensor  # uint8 [tiles, blocks, bytes]
    outputs: int

    @property
    def blocks(self) -> int:
        return self.records.shape[1]

    @property
    def tiles(self) -> int:
        return self.records.shape[0]


def pack(weight_OD: Tensor) -> Packed | None:
    """None if the rows are no whole blocks, or the numbers too large."""
    outputs, inputs = weight_OD.shape
    if inputs % BLOCK or not float(weight_OD.detach().abs().amax()) < _LARGEST:  # nor those that are no numbers
        return None
    for bits in (4, 8):
        if bits == 8 or _filled(weight_OD[:_SAMPLE], 4) is not None:
            records = _filled(weight_OD, bits)
            if records is not None:
                return Packed(bits, records, outputs)
    return None


def _filled(weight_OD: Tensor, bits: int) -> Tensor | None:
    outputs, inputs = weight_OD.shape
    tiles, blocks = -(-outputs // TILE), inputs // BLOCK
    records = torch.zeros(tiles, blocks, BYTES_4 if bits == 4 else BYTES_8, dtype=torch.uint8)
    fits = np.ones(crew().size, np.bool_)
    for first in range(0, outputs, _ROWS_AT_ONCE):
        rows = weight_OD[first : first + _ROWS_AT_ONCE].detach().float().contiguous()
        place = records[first // TILE : -(-(first + len(rows)) // TILE)]
        crew().run(_pack, bits, rows.numpy(), place.numpy(), place.view(torch.uint16).numpy(), fits)
        if not fits.all():
            return None
    return records


@njit(**FAST)
def _pack(me: int, size: int, barrier: int, bits: int, weight: Any, records: Any, halves: Any, fits: Any) -> None:
    """The rows [O, D] into records [tiles, blocks, bytes], which `halves` shows by 16 bits."""
    first, last = share(weight.shape[0], me, size)
    for o in range(first, last):
        for g in range(records.shape[1]):
            row = weight[o, BLOCK * g : BLOCK * g + BLOCK]
            if bits == 8:
                _pack_8(row, records[o // TILE, g], halves[o // TILE, g], o % TILE)
            elif not _pack_4(row, records[o // TILE, g], halves[o // TILE, g], o % TILE):
                fits[me] = False
                return


@njit(**FAST)
def _pack_8(row: Any, record: Any, halves: Any, output: int) -> None:
    most = _f32(0)
    for j in range(BLOCK):
        most = max(most, abs(row[j]))
    inverse = _f32(127) / most if most > 0 else _f32(0)
    at = 256 * (output // 8) + 2 * (output % 8)
    for j in range(BLOCK):
        record[at + 16 * (j // 2) + j % 2] = np.uint8(_i32(np.rint(row[j] * inverse)) & 255)
    halves[256 + output] = half_of_float(most / _f32(127))


@njit(**FAST)
def _pack_4(row: Any, record: Any, halves: Any, output: int) -> bool:
    """False if the numbers lie on no 16 levels."""
    low = high = row[0]
    for j in range(BLOCK):
        low, high = min(low, row[j]), max(high, row[j])
    span = high - low
    levels = 15
    while levels and span > 0:  # a block need not use both of its outermost levels
        inverse, off = _f32(levels) / span, _f32(0)
        for j in range(BLOCK):
            place = (row[j] - low) * inverse
            off = max(off, abs(place - np.rint(place)))
        if off <= _OFF_LEVEL:
            break
        levels -= 1
    if not levels:
        return False
    inverse = _f32(levels) / span if span > 0 else _f32(0)
    at = 128 * (output // 8) + 4 * (output % 8)  # in bytes: 8 outputs, two inputs each, of 16 bits
    for v in range(4):
        for two in range(2):
            word = _i32(0)
            for n in range(4):
                word |= _i32(np.rint((row[8 * v + 2 * n + two] - low) * inverse)) << (4 * n)
            record[at + 32 * v + 2 * two] = word & 255
            record[at + 32 * v + 2 * two + 1] = word >> 8
    halves[128 + output] = half_of_float(span / _f32(levels))
    halves[144 + output] = half_of_float(low)
    return True
