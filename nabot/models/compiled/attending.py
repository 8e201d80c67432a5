"""Attention of whole documents and its gradients, compiled. In: queries, keys and values as tensors hold them, out: the same.

One thread takes one head of one document after the other; its scores stand in its cache, 32 queries at a time with the
keys that they see, so that half of the square is never computed. Whatever the tensors hold, it computes in float32, or
float64 for float64.   Source: Dao et al. 2022, arXiv 2205.14135 §3 (what is kept, and the backward); nothing is computed
piece by piece along the keys, since a row of scores is small here.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numba import carray, njit
from torch import Tensor

from nabot.models.compiled.gemm import PANEL, multiply
from nabot.models.compiled.machine import ALL, WITHIN, alike, draw, exp, narrowed, widened
from nabot.models.compiled.team import address_of, run

QUERIES = 32  # at a time
_TOKENS_AT_ONCE = 16

# What a call says, int64 each
WHAT, DRAWN, ITEMS, ROOMS, ROOM, ROOM_SIZE = range(6)
HEADS, KV_HEADS, WIDTH, DOCUMENTS, TABLE, FACTORS, TOKENS = range(6, 13)
Q, K, V, OUT, LOGS, Q_ROW, K_ROW, V_ROW = range(13, 21)
GRAD, DQ, DK, DV, DK_PARTS, DV_PARTS, GRAD_ROW = range(21, 28)
CALL_FIELDS = 28
FORWARD, BACKWARD, GATHER = range(3)
# A document: its first token, how many, how many of the first tokens of all it sees before itself, its first row of keys
START, LENGTH, BEFORE, ROW = range(4)
DOCUMENT_FIELDS = 4


def room_of(longest: int, width: int) -> int:
    """Numbers that a thread needs for documents of so many keys."""
    keys, wide = whole_panels(longest), whole_panels(width)
    return 5 * keys * wide + 2 * QUERIES * keys + 5 * QUERIES * wide  # what `_attend_back` lays out


def whole_panels(count: int) -> int:
    return -(-count // PANEL) * PANEL


@njit(inline="always")
def _padded(count: int) -> int:
    return (count + PANEL - 1) // PANEL * PANEL


@njit(**WITHIN)
def _pack(
    source: Any, at: int, row: int, first: int, count: int, width: int, factor: Any, place: Any, rows: int
) -> None:
    """`count` rows of `width` numbers as panels of columns, from row `first` on; the rest of `rows` is zeros."""
    wide = _padded(width)
    for panel in range(wide // PANEL):
        columns = min(PANEL, width - panel * PANEL)
        for i in range(count):
            own = source[at + i * row + panel * PANEL :]
            out = place[(panel * rows + first + i) * PANEL :]
            for j in range(columns):
                out[j] = widened(own[j]) * factor
            for j in range(columns, PANEL):
                out[j] = 0
        for i in range(first + count, rows):
            out = place[(panel * rows + i) * PANEL :]
            for j in range(PANEL):
                out[j] = 0


@njit(**WITHIN)
def _pack_across(source: Any, at: int, row: int, first: int, count: int, width: int, place: Any) -> None:
    """Rows `first` … `first + count` as columns of panels, each [width, PANEL]."""
    wide = _padded(width)
    for i in range(count):
        own = source[at + i * row :]
        out = place[(first + i) // PANEL * wide * PANEL + (first + i) % PANEL :]
        for e in range(width):
            out[e * PANEL] = widened(own[e])


@njit(**WITHIN)
def _as_columns(source: Any, head: int, row: int, start: int, length: int, before: int, width: int, place: Any) -> None:
    """Keys of a document, those before it included, as the columns of panels."""
    wide, keys = _padded(width), _padded(before + length)
    place[: wide * keys] = 0
    _pack_across(source, head * width, row, 0, before, width, place)
    _pack_across(source, start * row + head * width, row, before, length, width, place)


@njit(**WITHIN)
def _as_rows(source: Any, head: int, row: int, start: int, length: int, before: int, width: int, place: Any) -> None:
    """The same as rows."""
    keys, one = _padded(before + length), place.dtype.type(1)
    _pack(source, head * width, row, 0, before, width, one, place, keys)
    _pack(source, start * row + head * width, row, before, length, width, one, place, keys)


@njit(**WITHIN)
def _scores(q: Any, keys: Any, scores: Any, seen: int, first: int, count: int, wide: int, slope: Any) -> int:
    """Scores of `count` queries, of which the first sees `first` keys; returns how many columns they fill."""
    columns = min(_padded(first + count - 1), seen)
    multiply(
        q,
        q.ctypes.data,
        wide,
        1,
        keys.ctypes.data,
        wide * PANEL,
        scores.ctypes.data,
        columns,
        QUERIES,
        columns,
        wide,
        0,
    )
    if slope != 0:
        for i in range(count):
            row = scores[i * columns :]
            for j in range(columns):
                row[j] += slope * scores.dtype.type(j)
    return columns


@njit(**WITHIN)
def _rows_of_queries(source: Any, at: int, row: int, count: int, width: int, factor: Any, place: Any) -> None:
    """[QUERIES, width] row after row; behind `count` zeros."""
    wide = _padded(width)
    place[: QUERIES * wide] = 0
    for i in range(count):
        own, out = source[at + i * row :], place[i * wide :]
        for e in range(width):
            out[e] = widened(own[e]) * factor


@njit(**WITHIN)
def _attend(call: Any, item: int, one: Any, wide_one: Any, room: Any) -> None:
    q, k, v, out, logs, factors = _tensors(call, one, wide_one)
    heads, width, tokens = call[HEADS], call[WIDTH], call[TOKENS]
    document, head = item // heads, item % heads
    start, length, before, _ = _document(call, document)
    kv_head, wide, seen = head // (heads // call[KV_HEADS]), _padded(width), _padded(before + length)
    keys, rest = room[: wide * seen], room[wide * seen :]
    values, rest = rest[: wide * seen], rest[wide * seen :]
    scores, rest = rest[: QUERIES * seen], rest[QUERIES * seen :]
    queries, answers = rest[: QUERIES * wide], rest[QUERIES * wide : 2 * QUERIES * wide]
    _as_columns(k, kv_head, call[K_ROW], start, length, before, width, keys)
    _as_rows(v, kv_head, call[V_ROW], start, length, before, width, values)
    for i0 in range(0, length, QUERIES):
        count, first = min(QUERIES, length - i0), before + i0 + 1
        at = (start + i0) * call[Q_ROW] + head * width
        _rows_of_queries(q, at, call[Q_ROW], count, width, factors[0], queries)
        columns = _scores(queries, keys, scores, seen, first, count, wide, factors[1 + head])
        for i in range(count):
            row, own = scores[i * columns : (i + 1) * columns], first + i
            most, total = row[0], room.dtype.type(0)
            for j in range(own):
                most = max(most, row[j])
            for j in range(own):
                row[j] = exp(row[j] - most)
                total += row[j]
            for j in range(own, columns):
                row[j] = 0
            logs[head * tokens + start + i0 + i] = most + np.log(total)
            inverse = room.dtype.type(1) / total
            for j in range(own):
                row[j] *= inverse
        multiply(
            scores, scores.ctypes.data, columns, 1, values.ctypes.data, seen * PANEL,
            answers.ctypes.data, wide, QUERIES, wide, columns, 0,
        )  # fmt: skip
        for i in range(count):
            own, place = answers[i * wide :], out[((start + i0 + i) * heads + head) * width :]
            for e in range(width):
                place[e] = narrowed(own[e], place)


@njit(**WITHIN)
def _document(call: Any, number: int) -> Any:
    at = call[TABLE] + 8 * DOCUMENT_FIELDS * number
    table = alike(at, DOCUMENT_FIELDS, call)
    return table[START], table[LENGTH], table[BEFORE], table[ROW]


@njit(inline="always")
def _tensors(call: Any, one: Any, wide: Any) -> Any:
    q, k, v = alike(call[Q], ALL, one), alike(call[K], ALL, one), alike(call[V], ALL, one)
    return q, k, v, alike(call[OUT], ALL, one), alike(call[LOGS], ALL, wide), alike(call[FACTORS], ALL, wide)


@njit(**WITHIN)
def _attend_back(call: Any, item: int, one: Any, wide_one: Any, room: Any) -> None:
    q, k, v, out, logs, factors = _tensors(call, one, wide_one)
    grad, dq = alike(call[GRAD], ALL, one), alike(call[DQ], ALL, one)
    dk_parts, dv_parts = alike(call[DK_PARTS], ALL, wide_one), alike(call[DV_PARTS], ALL, wide_one)
    heads, width, tokens = call[HEADS], call[WIDTH], call[TOKENS]
    document, head = item // heads, item % heads
    start, length, before, first_row = _document(call, document)
    kv_head, wide, seen = head // (heads // call[KV_HEADS]), _padded(width), _padded(before + length)
    size, block = wide * seen, QUERIES * wide
    key_columns, key_rows, value_columns = room[:size], room[size : 2 * size], room[2 * size : 3 * size]
    d_keys, d_values, rest = room[3 * size : 4 * size], room[4 * size : 5 * size], room[5 * size :]
    shares, d_scores, rest = (
        rest[: QUERIES * seen],
        rest[QUERIES * seen : 2 * QUERIES * seen],
        rest[2 * QUERIES * seen :],
    )
    queries, query_panels, grads = rest[:block], rest[block : 2 * block], rest[2 * block : 3 * block]
    grad_panels, d_queries = rest[3 * block : 4 * block], rest[4 * block : 5 * block]
    scale = factors[0]
    _as_columns(k, kv_head, call[K_ROW], start, length, before, width, key_columns)
    _as_rows(k, kv_head, call[K_ROW], start, length, before, width, key_rows)
    _as_columns(v, kv_head, call[V_ROW], start, length, before, width, value_columns)
    d_keys[:] = 0
    d_values[:] = 0
    for i0 in range(0, length, QUERIES):
        count, first, token = min(QUERIES, length - i0), before + i0 + 1, start + i0
        at, at_out = token * call[Q_ROW] + head * width, (token * heads + head) * width
        _rows_of_queries(q, at, call[Q_ROW], count, width, scale, queries)
        _pack(q, at, call[Q_ROW], 0, count, width, scale, query_panels, QUERIES)
        at_grad = token * call[GRAD_ROW] + head * width
        _rows_of_queries(grad, at_grad, call[GRAD_ROW], count, width, wide_one.dtype.type(1), grads)
        _pack(grad, at_grad, call[GRAD_ROW], 0, count, width, wide_one.dtype.type(1), grad_panels, QUERIES)
        columns = _scores(queries, key_columns, shares, seen, first, count, wide, factors[1 + head])
        multiply(
            grads, grads.ctypes.data, wide, 1, value_columns.ctypes.data, wide * PANEL,
            d_scores.ctypes.data, columns, QUERIES, columns, wide, 0,
        )  # fmt: skip
        for i in range(QUERIES):
            row, d_row = shares[i * columns : (i + 1) * columns], d_scores[i * columns : (i + 1) * columns]
            own = first + i if i < count else 0
            if own:
                log, overlap = logs[head * tokens + token + i], room.dtype.type(0)
                answer = out[at_out + i * heads * width :]
                g = grads[i * wide :]
                for e in range(width):
                    overlap += g[e] * widened(answer[e])
                for j in range(own):
                    row[j] = exp(row[j] - log)
                    d_row[j] = row[j] * (d_row[j] - overlap)
            for j in range(own, columns):
                row[j] = 0
                d_row[j] = 0
        multiply(
            d_scores, d_scores.ctypes.data, columns, 1, key_rows.ctypes.data, seen * PANEL,
            d_queries.ctypes.data, wide, QUERIES, wide, columns, 0,
        )  # fmt: skip
        multiply(
            d_scores, d_scores.ctypes.data, 1, columns, query_panels.ctypes.data, QUERIES * PANEL,
            d_keys.ctypes.data, wide, columns, wide, QUERIES, 1,
        )  # fmt: skip
        multiply(
            shares, shares.ctypes.data, 1, columns, grad_panels.ctypes.data, QUERIES * PANEL,
            d_values.ctypes.data, wide, columns, wide, QUERIES, 1,
        )  # fmt: skip
        for i in range(count):
            own, place = d_queries[i * wide :], dq[at_out + i * heads * width :]
            for e in range(width):
                place[e] = narrowed(own[e] * scale, place)
    for i in range(before + length):
        at = ((first_row + i) * heads + head) * width
        for e in range(width):
            dk_parts[at + e] = d_keys[i * wide + e]
            dv_parts[at + e] = d_values[i * wide + e]


@njit(**WITHIN)
def _gather(call: Any, item: int, one: Any, wide: Any) -> None:
    dk, dv = alike(call[DK], ALL, one), alike(call[DV], ALL, one)
    dk_parts, dv_parts = alike(call[DK_PARTS], ALL, wide), alike(call[DV_PARTS], ALL, wide)
    for token in range(_TOKENS_AT_ONCE * item, min(_TOKENS_AT_ONCE * (item + 1), call[TOKENS])):
        _add_up(call, token, dk_parts, dk)
        _add_up(call, token, dv_parts, dv)


@njit(**WITHIN)
def _add_up(call: Any, token: int, parts: Any, out: Any) -> None:
    """A token's gradient: what each query head of its group and each document that sees it gave."""
    heads, kv_heads, width = call[HEADS], call[KV_HEADS], call[WIDTH]
    group = heads // kv_heads
    sums = np.zeros(kv_heads * width, parts.dtype)
    for document in range(call[DOCUMENTS]):
        start, length, before, row = _document(call, document)
        if token < before:
            row += token
        elif start <= token < start + length:
            row += before + token - start
        else:
            continue
        for head in range(heads):
            own, total = parts[(row * heads + head) * width :], sums[head // group * width :]
            for e in range(width):
                total[e] += own[e]
    place = out[token * kv_heads * width :]
    for e in range(kv_heads * width):
        place[e] = narrowed(sums[e], place)


def _entry(held: Any, computed: Any) -> Callable[..., None]:
    """What all threads run, for tensors that hold one type and are computed in another."""

    def work(pointer):  # type: ignore[no-untyped-def]
        call = carray(pointer, (CALL_FIELDS,), np.int64)
        one, wide = np.empty(0, held), np.empty(0, computed)
        room = alike(call[ROOM] + wide.itemsize * call[ROOM_SIZE] * draw(call, ROOMS), call[ROOM_SIZE], wide)
        item = draw(call, DRAWN)
        while item < call[ITEMS]:
            if call[WHAT] == FORWARD:
                _attend(call, item, one, wide, room)
            elif call[WHAT] == BACKWARD:
                _attend_back(call, item, one, wide, room)
            else:
                _gather(call, item, one, wide)
            item = draw(call, DRAWN)

    return work


def prepare(dtype: torch.dtype) -> None:
    """Compiles for tensors of this dtype."""
    address_of(_entry, dtype)


# ---- what torch calls


def attend(
    q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, documents: tuple[tuple[int, int, int], ...], slopes: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """Answers [N, H, E], and the logarithms of every softmax's sum [H, N]. A document is its first token, how many it
    has, and how many of the first tokens of all it sees before itself; softmax scale is E^-½."""
    out_NHE, logs_HN = torch.ops.nabot.attend(q_NHE, k_NKE, v_NKE, [n for d in documents for n in d], list(slopes))
    return out_NHE, logs_HN


def _attend_as_operator(
    q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, documents: list[int], slopes: list[float]
) -> tuple[Tensor, Tensor]:
    call = _Call(
        q_NHE, k_NKE, v_NKE, tuple(zip(documents[::3], documents[1::3], documents[2::3], strict=True)), tuple(slopes)
    )
    out_NHE = torch.zeros(q_NHE.shape, dtype=q_NHE.dtype)  # silent tokens ask nothing
    logs_HN = torch.empty(q_NHE.shape[1], len(q_NHE), dtype=call.computed)
    call.run(FORWARD, call.items, [OUT, LOGS], [out_NHE, logs_HN])
    return out_NHE, logs_HN


# As an operator of torch's, so that checkpointing can tell it from others and keep what it gave.
_LIBRARY = torch.library.Library("nabot", "FRAGMENT")
_LIBRARY.define("attend(Tensor q, Tensor k, Tensor v, int[] documents, float[] slopes) -> (Tensor, Tensor)")
_LIBRARY.impl("attend", _attend_as_operator, "CPU")


def attend_back(
    grad_NHE: Tensor, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, out_NHE: Tensor, logs_HN: Tensor,
    documents: tuple[tuple[int, int, int], ...], slopes: tuple[float, ...],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of queries, keys and values."""
    call = _Call(q_NHE, k_NKE, v_NKE, documents, slopes)
    grad_NHE = _side_by_side(grad_NHE)
    call.numbers[GRAD_ROW] = grad_NHE.stride(0)
    dq = torch.zeros(q_NHE.shape, dtype=q_NHE.dtype)  # silent tokens ask nothing
    dk, dv = (torch.empty(x.shape, dtype=x.dtype) for x in (k_NKE, v_NKE))
    dk_parts, dv_parts = (torch.empty(call.rows, *q_NHE.shape[1:], dtype=call.computed) for _ in range(2))
    names = [OUT, LOGS, GRAD, DQ, DK_PARTS, DV_PARTS]
    call.run(BACKWARD, call.items, names, [out_NHE, logs_HN, grad_NHE, dq, dk_parts, dv_parts])
    call.run(GATHER, -(-len(q_NHE) // _TOKENS_AT_ONCE), [DK, DV], [dk, dv])
    return dq, dk, dv


class _Call:
    """The numbers of a call, and what they point to."""

    def __init__(
        self, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, documents: tuple[tuple[int, int, int], ...],
        slopes: tuple[float, ...],
    ) -> None:  # fmt: skip
        tokens, heads, width = q_NHE.shape
        assert k_NKE.shape == v_NKE.shape == (tokens, k_NKE.shape[1], width)
        assert q_NHE.dtype == k_NKE.dtype == v_NKE.dtype
        assert heads % k_NKE.shape[1] == 0, f"{heads} heads for {k_NKE.shape[1]} of keys"
        self.computed = torch.promote_types(q_NHE.dtype, torch.float32)
        self._function = address_of(_entry, q_NHE.dtype)
        self.numbers = numbers = np.zeros(CALL_FIELDS, np.int64)
        lengths = [length + before for _, length, before in documents]
        self.rows = sum(lengths)
        firsts = [0, *accumulate(lengths)]
        longest_first = sorted(range(len(documents)), key=lambda n: -lengths[n])  # or one thread would be late
        table = np.array([(*documents[n], firsts[n]) for n in longest_first], np.int64).reshape(-1, DOCUMENT_FIELDS)
        size = room_of(max(lengths, default=0), width)
        rooms = torch.empty(torch.get_num_threads(), size, dtype=self.computed)
        factors = torch.tensor([width**-0.5, *(slopes or [0.0] * heads)], dtype=self.computed)
        inputs = [_side_by_side(x) for x in (q_NHE, k_NKE, v_NKE)]
        numbers[[HEADS, KV_HEADS, WIDTH, TOKENS]] = heads, k_NKE.shape[1], width, tokens
        numbers[[DOCUMENTS, TABLE, FACTORS]] = len(documents), table.ctypes.data, factors.data_ptr()
        numbers[[ROOM, ROOM_SIZE]] = rooms.data_ptr(), size
        numbers[[Q, K, V]] = [x.data_ptr() for x in inputs]
        numbers[[Q_ROW, K_ROW, V_ROW]] = [x.stride(0) for x in inputs]
        self.items = len(documents) * heads
        self._kept = table, rooms, factors, inputs

    def run(self, what: int, items: int, names: list[int], tensors: list[Tensor]) -> None:
        self.numbers[names] = [x.data_ptr() for x in tensors]
        self.numbers[[WHAT, DRAWN, ROOMS, ITEMS]] = what, 0, 0, items
        run(self._function, self.numbers)


def _side_by_side(x_NHE: Tensor) -> Tensor:
    """With the numbers of a token one behind the other, as a part of a wider product has them."""
    return x_NHE if x_NHE.stride()[1:] == (x_NHE.shape[2], 1) else x_NHE.contiguous()
