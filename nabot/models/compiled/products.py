"""Products of a few rows with packed weights, compiled. In: addresses and rows, out: rows.

Weights stand in records of 16 outputs by 32 inputs, in the order in which they are read. A processor multiplies 16 pairs of
16 bits at once and adds neighbours (AVX2's pmaddwd; other processors have their like), so pairs of inputs stand side
by side, 8 outputs in a vector. Rows are rounded to 16 bits, 32 numbers sharing a scale: that costs as much as the 8 bits
of ggml's Q8_1 and loses 1/256 of what these lose. Vectors are written out because a compiler that has to find them
finds half.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from nabot.models.compiled.machine import FAST, FEATURES

BLOCK = 32  # inputs of a record
TILE = 16  # outputs
BYTES_4, BYTES_8 = 320, 544  # of a record: weights, a float16 step for each output, and of 4 bits its lowest weight
_MOST = np.float32(32767)
_f32, _i16, _i32 = np.float32, np.int16, np.int32

_HALF = ir.VectorType(ir.IntType(16), 16)  # 8 outputs, two inputs
_SUMS = ir.VectorType(ir.IntType(32), 8)
_FLOATS = ir.VectorType(ir.FloatType(), 8)
_HALVES = ir.VectorType(ir.HalfType(), 8)
_IS_X86 = binding.get_process_triple().startswith("x86_64")
_HAS_PMADDWD = _IS_X86 and FEATURES.get("avx2", False)
IS_SUPPORTED = not _IS_X86 or FEATURES.get("f16c", False)  # else float16 would need a function that nobody has loaded


@njit(**FAST)
def round_rows(x: Any, first: int, last: int, rounded: Any, scale: Any) -> None:
    """Blocks `first` … `last` of each row of x [R, D]: int16 [D / 32, R, 32] and float32 [D / 32, R, 2], in which stand
    the step and the sum of each block."""
    for g in range(first, last):
        for r in range(x.shape[0]):
            row, out = x[r, BLOCK * g : BLOCK * g + BLOCK], rounded[g, r]
            most = _f32(0)
            for j in range(BLOCK):
                most = max(most, abs(row[j]))
            step = most / _MOST
            inverse = _f32(1) / step if step > 0 else _f32(0)
            count = _i32(0)
            for j in range(BLOCK):
                q = _i32(np.rint(row[j] * inverse))
                count += q
                out[j] = _i16(q)
            scale[g, r, 0] = step
            scale[g, r, 1] = step * _f32(count)


class _Code:
    """Writes the instructions of one record."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder

    def at(self, address: Any, offset: int, kind: Any) -> Any:
        """Where something of this kind stands."""
        place = self.b.add(address, ir.Constant(ir.IntType(64), offset))
        return self.b.inttoptr(place, kind.as_pointer())

    def read(self, address: Any, offset: int, kind: Any) -> Any:
        return self.b.load(self.at(address, offset, kind), align=4)

    def floats(self, address: Any, offset: int) -> Any:
        """Eight numbers that are kept as float16."""
        return self.b.fpext(self.read(address, offset, _HALVES), _FLOATS)

    def all_of(self, number: Any, kind: Any) -> Any:
        """A vector that is one number everywhere."""
        first = self.b.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        nowhere = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        return self.b.shuffle_vector(first, ir.Constant(kind, ir.Undefined), nowhere)

    def pairs(self, weights: Any, x: Any) -> Any:
        """Products of 16 bits, neighbours added."""
        if _HAS_PMADDWD:
            kind = ir.FunctionType(_SUMS, [_HALF, _HALF])
            function = cgutils.get_or_insert_function(self.b.module, kind, "llvm.x86.avx2.pmadd.wd")
            return self.b.call(function, [weights, x])
        wide = ir.VectorType(ir.IntType(32), 16)
        products = self.b.mul(self.b.sext(weights, wide), self.b.sext(x, wide))
        even, odd = (
            self.b.shuffle_vector(products, products, ir.Constant(_SUMS, list(range(start, 16, 2)))) for start in (0, 1)
        )
        return self.b.add(even, odd)

    def keep_order(self, sums: Any) -> Any:
        """The same sums, of which LLVM knows nothing any more. Else it would sort additions into trees, row after row,
        and put into memory and fetch again what all rows have in common, which takes twice as long."""
        if not _HAS_PMADDWD:
            return sums
        return self.b.asm(ir.FunctionType(_SUMS, [_SUMS]), "", "=x,0", [sums], side_effect=True)

    def weights(self, record: Any, bits: int) -> Iterator[tuple[Any, Any]]:
        """Two more inputs at a time, of the first 8 outputs and the last 8."""
        if bits == 8:
            kind = ir.VectorType(ir.IntType(8), 16)
            for n in range(16):
                first, last = (self.b.sext(self.read(record, at + 16 * n, kind), _HALF) for at in (0, 256))
                yield first, last
            return
        mask = ir.Constant(_HALF, [15] * 16)
        for n in range(4):
            words = [self.read(record, at + 32 * n, _HALF) for at in (0, 128)]
            for shift in (0, 4, 8, 12):
                first, last = (self.b.lshr(w, ir.Constant(_HALF, [shift] * 16)) if shift else w for w in words)
                yield (self.b.and_(first, mask), self.b.and_(last, mask)) if shift < 12 else (first, last)


def _record(bits: int, rows: int) -> Callable[..., None]:
    """(record, x, scale, y, bytes from row to row of y): adds what one record gives to 16 numbers of each row of y."""

    @intrinsic
    def multiply(typing: Any, record: Any, x: Any, scale: Any, y: Any, stride: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            record, x, scale, y, stride = arguments
            c = _Code(builder)
            fast = ("fast",)
            steps_at = 256 if bits == 4 else 512
            # Both halves for one pair of inputs, so that it is fetched once and the sums of four rows just fit the
            # registers.
            sums: list[list[Any]] = [[None] * rows, [None] * rows]
            for n, halves in enumerate(c.weights(record, bits)):
                for r in range(rows):
                    pair = builder.bitcast(c.all_of(c.read(x, 64 * r + 4 * n, ir.IntType(32)), _SUMS), _HALF)
                    for half, weights in enumerate(halves):
                        products, before = c.pairs(weights, pair), sums[half][r]
                        sums[half][r] = products if before is None else c.keep_order(builder.add(before, products))
            for half in range(2):
                steps = c.floats(record, steps_at + 16 * half)
                for r in range(rows):
                    x_step = c.all_of(c.read(scale, 8 * r, ir.FloatType()), _FLOATS)
                    place = builder.add(y, builder.mul(stride, ir.Constant(ir.IntType(64), r)))
                    out = c.read(place, 32 * half, _FLOATS)
                    more = builder.fmul(builder.sitofp(sums[half][r], _FLOATS), builder.fmul(steps, x_step, fast), fast)
                    out = builder.fadd(out, more, fast)
                    if bits == 4:
                        lows = c.floats(record, steps_at + 32 + 16 * half)
                        x_sum = c.all_of(c.read(scale, 8 * r + 4, ir.FloatType()), _FLOATS)
                        out = builder.fadd(out, builder.fmul(lows, x_sum, fast), fast)
                    builder.store(out, c.at(place, 32 * half, _FLOATS), align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), code

    return multiply


_one_4, _two_4, _four_4 = (_record(4, rows) for rows in (1, 2, 4))
_one_8, _two_8, _four_8 = (_record(8, rows) for rows in (1, 2, 4))


@njit(**FAST)
def multiply(
    bits: int, weights: int, blocks: int, first: int, last: int, rows: int, x: int, scale: int, y: int, stride: int
) -> None:
    """Adds x Wᵀ to tiles `first` … `last` of `rows` rows of y, float32, `stride` bytes apart. weights: records
    [tiles, blocks]; x and scale as `round_rows` gives them."""
    size = BYTES_4 if bits == 4 else BYTES_8
    for t in range(first, last):
        for g in range(blocks):
            record = weights + size * (t * blocks + g)
            r = 0
            while r < rows:
                at, out = g * rows + r, y + stride * r + 4 * TILE * t
                r += _some(bits, rows - r, record, x + 2 * BLOCK * at, scale + 8 * at, out, stride)


@njit(inline="always")
def _some(bits: int, rows: int, record: int, x: int, scale: int, y: int, stride: int) -> int:
    """As many rows as one piece of code takes; returns how many."""
    if bits == 4:
        if rows >= 4:
            _four_4(record, x, scale, y, stride)
        elif rows >= 2:
            _two_4(record, x, scale, y, stride)
        else:
            _one_4(record, x, scale, y, stride)
    elif rows >= 4:
        _four_8(record, x, scale, y, stride)
    elif rows >= 2:
        _two_8(record, x, scale, y, stride)
    else:
        _one_8(record, x, scale, y, stride)
    return 4 if rows >= 4 else 2 if rows >= 2 else 1
