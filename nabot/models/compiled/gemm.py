"""Dense products of what fits a processor's cache, compiled. In and out: addresses of float32 or float64.

For attention, whose products are many and small: a library takes longer to prepare each than to compute it. C = A B, where
B stands in panels of PANEL columns, row after row, and A anywhere (each of its numbers is multiplied with whole rows of a
panel).   Source of the shape: Goto & van de Geijn 2008, doi 10.1145/1356052.1356053.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from nabot.models.compiled.machine import FEATURES, WITHIN

PANEL = 32  # columns; whoever packs fills up with zeros
_IS_WIDE = FEATURES.get("avx512f", False)  # 32 registers of 16 numbers; else 16 of 8
ROWS = 8 if _IS_WIDE else 4  # of C at once: with their sums, a row of B and one number of A they just fit the registers
_INT = ir.IntType(64)


def _tile(kind: ir.Type, size: int, lanes: int) -> Callable[..., None]:
    """(a, bytes from row to row, from column to column; b; c, bytes from row to row; depth; whether C is added to):
    ROWS rows and two vectors of columns of C."""

    def place(builder: Any, address: Any, vector: ir.Type) -> Any:
        return builder.inttoptr(address, vector.as_pointer())

    @intrinsic
    def tile(typing: Any, a: Any, a_row: Any, a_column: Any, b: Any, c: Any, c_row: Any, depth: Any, more: Any) -> Any:
        def code(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            a, a_row, a_column, b, c, c_row, depth, more = arguments
            vector = ir.VectorType(kind, lanes)
            nowhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            undefined, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0.0] * lanes)
            before = builder.block
            loop = builder.append_basic_block("depth")
            after = builder.append_basic_block("done")
            rows = [builder.mul(a_row, _INT(r)) for r in range(ROWS)]
            builder.branch(loop)
            builder.position_at_end(loop)
            k, at_a, at_b = (builder.phi(_INT) for _ in range(3))
            sums = [[builder.phi(vector) for _ in range(2)] for _ in range(ROWS)]
            for phi, start in ((k, _INT(0)), (at_a, a), (at_b, b)):
                phi.add_incoming(start, before)
            of_b = [
                builder.load(place(builder, builder.add(at_b, _INT(size * lanes * n)), vector), align=4) for n in (0, 1)
            ]
            for r in range(ROWS):
                number = builder.load(place(builder, builder.add(at_a, rows[r]), kind), align=4)
                all_of_it = builder.shuffle_vector(
                    builder.insert_element(undefined, number, ir.IntType(32)(0)), undefined, nowhere
                )
                for n in range(2):
                    product = builder.fmul(all_of_it, of_b[n], ("fast",))
                    total = builder.fadd(sums[r][n], product, ("fast",))
                    sums[r][n].add_incoming(zeros, before)
                    sums[r][n].add_incoming(total, loop)
                    sums[r][n] = (sums[r][n], total)
            next_k = builder.add(k, _INT(1))
            k.add_incoming(next_k, loop)
            at_a.add_incoming(builder.add(at_a, a_column), loop)
            at_b.add_incoming(builder.add(at_b, _INT(size * PANEL)), loop)
            builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, after)
            builder.position_at_end(after)
            is_more = builder.icmp_signed("!=", more, _INT(0))
            for r in range(ROWS):
                for n in range(2):
                    address = builder.add(builder.add(c, builder.mul(c_row, _INT(r))), _INT(size * lanes * n))
                    out = place(builder, address, vector)
                    total = sums[r][n][1]
                    with builder.if_else(is_more) as (then, otherwise):
                        with then:
                            builder.store(builder.fadd(total, builder.load(out, align=4), ("fast",)), out, align=4)
                        with otherwise:
                            builder.store(total, out, align=4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), code

    return tile


_LANES_32 = 16 if _IS_WIDE else 8
_LANES_64 = _LANES_32 // 2
_tile_32, _tile_64 = _tile(ir.FloatType(), 4, _LANES_32), _tile(ir.DoubleType(), 8, _LANES_64)


def _some(like: Any, a: int, a_row: int, a_column: int, b: int, c: int, c_row: int, depth: int, more: int) -> None:
    """ROWS rows of one panel; all in bytes."""
    raise NotImplementedError


@overload(_some, inline="always")
def _some_of(like, a, a_row, a_column, b, c, c_row, depth, more):  # type: ignore[no-untyped-def]
    wide, lanes = (_tile_64, _LANES_64) if like.dtype == types.float64 else (_tile_32, _LANES_32)
    step = 2 * lanes
    size = 8 if like.dtype == types.float64 else 4

    def code(like, a, a_row, a_column, b, c, c_row, depth, more):  # type: ignore[no-untyped-def]
        for column in range(0, PANEL, step):
            wide(a, a_row, a_column, b + size * column, c + size * column, c_row, depth, more)

    return code


@njit(**WITHIN)
def multiply(
    like: Any, a: int, a_row: int, a_column: int, b: int, panel: int, c: int, c_row: int,
    rows: int, columns: int, depth: int, more: int,
) -> None:  # fmt: skip
    """C [rows, columns] = A [rows, depth] B, or += with `more`. `like` is an array of the numbers' type, steps count
    numbers: `panel` from one panel of B to the next. rows are multiples of ROWS, columns of PANEL."""
    size = like.itemsize
    for n in range(0, columns, PANEL):
        for m in range(0, rows, ROWS):
            _some(
                like, a + size * m * a_row, size * a_row, size * a_column, b + size * (n // PANEL) * panel,
                c + size * (m * c_row + n), size * c_row, depth, more,
            )  # fmt: skip
