"""One token of each of a few answers through a whole decoder, compiled. In: embeddings and a cache, out: logits.

The same function runs on every thread of a crew; each does its share of every part, and they meet between the parts.
Calling torch operator by operator takes longer than a small model's arithmetic: 50 operators a layer at three
microseconds each. What a layer computes is what `nabot.models.decoder.Block`, `GemmaBlock` and `BlockWithNormsAfter` do.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from nabot.models.compiled.machine import (
    FAST,
    alike,
    exp,
    float_of_half,
    floats,
    halves,
    meet,
    narrowed,
    share,
    widened,
)
from nabot.models.compiled.products import BLOCK, TILE, multiply, round_rows

_f32 = np.float32

# What a row of `groups` says of one linear group; addresses are 0 where there is nothing.
BITS, WEIGHTS, BLOCKS, TILES, BIAS = range(5)
RANK, DOWN, PAIRS, PAIR = range(5, 9)  # low rank, in float16: A as [rank, inputs], then `PAIRS` pieces of B
RANK_FIRST, RANK_LAST, OUT_FIRST, OUT_LAST, UP = range(5)  # a piece: its ranks, its outputs, B as [ranks, outputs]
MOST_PAIRS = 3  # members of a group
PIECE_FIELDS = 5
GROUP_FIELDS = PAIR + MOST_PAIRS * PIECE_FIELDS
QKV, OUT, GATE_UP, MLP_DOWN = range(4)  # the groups of a layer, in this order; behind the last layer the head

# What a row of `layers` says: norms by the address of their weights, 0 where there is none
BEFORE_ATTENTION, AFTER_ATTENTION, BEFORE_MLP, AFTER_MLP, Q_NORM, K_NORM, ROPE, WINDOW = range(8)
LAYER_FIELDS = 8


class Shape(NamedTuple):
    """The numbers of a decoder."""

    width: int
    heads: int
    kv_heads: int
    head_width: int
    mlp_width: int
    is_gelu: bool
    heads_normed_together: bool  # all queries share a mean of squares, and all keys
    eps: float
    query_scale: float  # E^-½ included
    score_cap: float
    last_norm: int  # address


class Room(NamedTuple):
    """Places for what is computed on the way; R rows."""

    normed: Any  # float32 [R, width]
    qkv: Any  # [R, ≥ (heads + 2 · kv_heads) · head_width]
    queries: Any  # [R, heads · head_width]
    attended: Any  # [R, heads · head_width]
    gate_up: Any  # [R, ≥ 2 · mlp_width]
    gated: Any  # [R, mlp_width]
    added: Any  # [R, ≥ width]: what attention or the MLP gives
    low: Any  # [R, highest rank]
    rounded: Any  # int16 [widest input / 32, R, 32]
    scale: Any  # float32 [widest input / 32, R, 2]
    scores: Any  # float32 [threads, longest]


@njit(**FAST)
def run(
    me: int, crew: int, barrier: int, shape: Any, groups: Any, layers: Any, cos: Any, sin: Any,
    keys: Any, values: Any, slots: Any, starts: Any, x: Any, room: Any, logits: Any,
) -> None:  # fmt: skip
    """Logits [R, ≥ V] after the embeddings x [R, width], which become what the last layer gives.

    cos, sin: [ropes, R, E]; keys, values: [L, slots, K, S, E], where row r goes on in `slots[r]` at column `starts[r]`.
    """
    for n in range(layers.shape[0]):
        layer = layers[n]
        first = 4 * n
        _norm(layer[BEFORE_ATTENTION], shape, x, room.normed, me, crew)
        meet(barrier, crew)
        _project(groups[first + QKV], room.normed, room.qkv, room, me, crew, barrier)
        _turn(layer, shape, room.qkv, room.queries, cos, sin, keys[n], values[n], slots, starts, me, crew)
        meet(barrier, crew)
        _attend(layer, shape, room, keys[n], values[n], slots, starts, me, crew)
        meet(barrier, crew)
        _project(groups[first + OUT], room.attended, room.added, room, me, crew, barrier)
        _add(layer[AFTER_ATTENTION], shape, room.added, x, me, crew)
        meet(barrier, crew)
        _norm(layer[BEFORE_MLP], shape, x, room.normed, me, crew)
        meet(barrier, crew)
        _project(groups[first + GATE_UP], room.normed, room.gate_up, room, me, crew, barrier)
        _gate(shape, room.gate_up, room.gated, me, crew)
        meet(barrier, crew)
        _project(groups[first + MLP_DOWN], room.gated, room.added, room, me, crew, barrier)
        _add(layer[AFTER_MLP], shape, room.added, x, me, crew)
        meet(barrier, crew)
    _norm(shape.last_norm, shape, x, room.normed, me, crew)
    meet(barrier, crew)
    _project(groups[4 * layers.shape[0]], room.normed, logits, room, me, crew, barrier)


@njit(**FAST)
def _project(group: Any, x: Any, y: Any, room: Any, me: int, crew: int, barrier: int) -> None:
    """y = x Wᵀ + b + B A x."""
    blocks = group[BLOCKS]
    first, last = share(blocks, me, crew)
    round_rows(x, first, last, room.rounded, room.scale)
    first, last = share(group[RANK], me, crew)
    _go_down(group, x, room.low, first, last)
    meet(barrier, crew)
    first, last = share(group[TILES], me, crew)
    _begin(group, y, TILE * first, TILE * last)
    multiply(
        group[BITS], group[WEIGHTS], blocks, first, last, x.shape[0],
        room.rounded.ctypes.data, room.scale.ctypes.data, y.ctypes.data, y.strides[0],
    )  # fmt: skip
    _go_up(group, room.low, y, TILE * first, TILE * last)
    meet(barrier, crew)


@njit(**FAST)
def _begin(group: Any, y: Any, first: int, last: int) -> None:
    """Outputs `first` … `last` are the bias, or nothing yet."""
    for r in range(y.shape[0]):
        out = y[r, first:last]
        if group[BIAS]:
            bias = floats(group[BIAS] + 4 * first, last - first)
            for i in range(last - first):
                out[i] = bias[i]
        else:
            for i in range(last - first):
                out[i] = _f32(0)


@njit(**FAST)
def _go_down(group: Any, x: Any, low: Any, first: int, last: int) -> None:
    """Ranks `first` … `last` of A x."""
    inputs = group[BLOCKS] * BLOCK
    for k in range(first, last):
        down = halves(group[DOWN] + 2 * inputs * k, inputs)
        for r in range(x.shape[0]):
            row, total = x[r], _f32(0)
            for i in range(inputs):
                total += row[i] * float_of_half(down[i])
            low[r, k] = total


@njit(**FAST)
def _go_up(group: Any, low: Any, y: Any, first: int, last: int) -> None:
    """Adds B A x to outputs `first` … `last`."""
    for pair in range(group[PAIRS]):
        piece = group[PAIR + PIECE_FIELDS * pair :]
        begin, end = max(piece[OUT_FIRST], first), min(piece[OUT_LAST], last)
        outputs = piece[OUT_LAST] - piece[OUT_FIRST]
        for k in range(piece[RANK_FIRST], piece[RANK_LAST]):
            up = halves(piece[UP] + 2 * (outputs * (k - piece[RANK_FIRST]) + begin - piece[OUT_FIRST]), end - begin)
            for r in range(y.shape[0]):
                out, some = y[r, begin:end], low[r, k]
                for i in range(end - begin):
                    out[i] += some * float_of_half(up[i])


@njit(**FAST)
def _norm(weight: int, shape: Any, x: Any, y: Any, me: int, crew: int) -> None:
    """y = RMSNorm(x), or x where there is no norm."""
    first, last = share(shape.width, me, crew)
    for r in range(x.shape[0]):
        inverse = _inverse(x[r], 0, shape.width, shape.eps) if weight else _f32(1)
        row, out = x[r, first:last], y[r, first:last]
        if weight:
            w = floats(weight + 4 * first, last - first)
            for i in range(last - first):
                out[i] = row[i] * inverse * w[i]
        else:
            for i in range(last - first):
                out[i] = row[i]


@njit(**FAST)
def _add(weight: int, shape: Any, added: Any, x: Any, me: int, crew: int) -> None:
    """x += RMSNorm(added), or += added."""
    first, last = share(shape.width, me, crew)
    for r in range(x.shape[0]):
        inverse = _inverse(added[r], 0, shape.width, shape.eps) if weight else _f32(1)
        row, out = added[r, first:last], x[r, first:last]
        if weight:
            w = floats(weight + 4 * first, last - first)
            for i in range(last - first):
                out[i] += row[i] * inverse * w[i]
        else:
            for i in range(last - first):
                out[i] += row[i]


@njit(**FAST)
def _inverse(row: Any, first: int, last: int, eps: float) -> Any:
    """1 / √(mean of squares + eps)."""
    some, total = row[first:last], _f32(0)
    for i in range(last - first):
        total += some[i] * some[i]
    return _f32(1) / np.sqrt(total / _f32(last - first) + _f32(eps))


@njit(**FAST)
def _turn(
    layer: Any, shape: Any, qkv: Any, queries: Any, cos: Any, sin: Any, keys: Any, values: Any, slots: Any, starts: Any,
    me: int, crew: int,
) -> None:  # fmt: skip
    """Norms and turns queries and keys; keys and values go to the cache."""
    width, heads, kv_heads, rope = shape.head_width, shape.heads, shape.kv_heads, layer[ROPE]
    all_heads = heads + 2 * kv_heads
    first, last = share(qkv.shape[0] * all_heads, me, crew)
    turned = np.empty(width, _f32)
    for place in range(first, last):
        r, head = place // all_heads, place % all_heads
        if head >= heads + kv_heads:
            _keep(qkv[r, head * width : (head + 1) * width], values[slots[r], head - heads - kv_heads, starts[r]])
            continue
        _norm_head(layer, shape, qkv[r], head, turned)
        if rope >= 0:
            _rotate(turned, cos[rope, r], sin[rope, r])
        if head >= heads:
            _keep(turned, keys[slots[r], head - heads, starts[r]])
        else:
            query = queries[r, head * width : (head + 1) * width]
            for i in range(width):
                query[i] = turned[i] * _f32(shape.query_scale)


@njit(**FAST)
def _keep(x: Any, place: Any) -> None:
    for i in range(len(x)):
        place[i] = narrowed(x[i], place)


@njit(**FAST)
def _norm_head(layer: Any, shape: Any, row: Any, head: int, out: Any) -> None:
    """A query's or a key's head, normed if the layer does that, alone or with the others of its kind."""
    width, queries = shape.head_width, shape.heads * shape.head_width
    is_key = head >= shape.heads
    weight = layer[K_NORM] if is_key else layer[Q_NORM]
    own = row[head * width : (head + 1) * width]
    for i in range(width):
        out[i] = own[i]
    if not weight:
        return
    if shape.heads_normed_together:
        begin, end = (queries, queries + shape.kv_heads * width) if is_key else (0, queries)
        weight += 4 * (head * width - begin)
    else:
        begin, end = head * width, (head + 1) * width
    inverse, w = _inverse(row, begin, end, shape.eps), floats(weight, width)
    for i in range(width):
        out[i] *= inverse * w[i]


@njit(**FAST)
def _rotate(x: Any, cos: Any, sin: Any) -> None:
    """Turns the pairs (i, i + E / 2), in place; the sines of the first half are negative."""
    half = len(x) // 2
    for i in range(half):
        first, last = x[i], x[i + half]
        x[i] = first * cos[i] + last * sin[i]
        x[i + half] = last * cos[i + half] + first * sin[i + half]


@njit(**FAST)
def _attend(
    layer: Any, shape: Any, room: Any, keys: Any, values: Any, slots: Any, starts: Any, me: int, crew: int
) -> None:
    """Softmax of each query's scores over what it sees, times the values."""
    width, heads, group = shape.head_width, shape.heads, shape.heads // shape.kv_heads
    scores, window = room.scores[me], layer[WINDOW]
    begin, end = share(room.qkv.shape[0] * heads, me, crew)
    for place in range(begin, end):
        r, head = place // heads, place % heads
        query = room.queries[r, head * width : head * width + width]
        out = room.attended[r, head * width : head * width + width]
        last = starts[r] + 1
        first = max(last - window, 0) if window else 0
        seen = last - first
        # By address, or the compiler would not know that the numbers of a position stand side by side.
        at = keys.itemsize * width * ((slots[r] * keys.shape[1] + head // group) * keys.shape[2] + first)
        k, v = alike(keys.ctypes.data + at, seen * width, keys), alike(values.ctypes.data + at, seen * width, values)
        whole = seen - seen % 4
        for i in range(0, whole, 4):
            a, b, c, d = k[i * width :], k[(i + 1) * width :], k[(i + 2) * width :], k[(i + 3) * width :]
            s_0 = s_1 = s_2 = s_3 = _f32(0)
            for e in range(width):
                s_0 += query[e] * widened(a[e])
                s_1 += query[e] * widened(b[e])
                s_2 += query[e] * widened(c[e])
                s_3 += query[e] * widened(d[e])
            scores[i], scores[i + 1], scores[i + 2], scores[i + 3] = s_0, s_1, s_2, s_3
        for i in range(whole, seen):
            a, s_0 = k[i * width :], _f32(0)
            for e in range(width):
                s_0 += query[e] * widened(a[e])
            scores[i] = s_0
        total = _softmax(scores[:seen], _f32(shape.score_cap))
        for e in range(width):
            out[e] = _f32(0)
        for i in range(0, whole, 4):  # four at a time, since each pass over `out` reads and writes it
            a, b, c, d = v[i * width :], v[(i + 1) * width :], v[(i + 2) * width :], v[(i + 3) * width :]
            s_0, s_1, s_2, s_3 = scores[i], scores[i + 1], scores[i + 2], scores[i + 3]
            for e in range(width):
                out[e] += s_0 * widened(a[e]) + s_1 * widened(b[e]) + s_2 * widened(c[e]) + s_3 * widened(d[e])
        for i in range(whole, seen):
            a, s_0 = v[i * width :], scores[i]
            for e in range(width):
                out[e] += s_0 * widened(a[e])
        for e in range(width):
            out[e] /= total


@njit(**FAST)
def _softmax(scores: Any, cap: Any) -> Any:
    """Makes scores into shares that are still to be divided by what is returned."""
    if cap > 0:
        for i in range(len(scores)):
            scores[i] = cap * _tanh(scores[i] / cap)
    most, total = scores[0], _f32(0)
    for i in range(len(scores)):
        most = max(most, scores[i])
    for i in range(len(scores)):
        scores[i] = exp(scores[i] - most)
        total += scores[i]
    return total


@njit(**FAST)
def _gate(shape: Any, gate_up: Any, gated: Any, me: int, crew: int) -> None:
    """silu(gate) · up, or GELU by tanh in its place; both are gate · sigmoid of something."""
    first, last = share(shape.mlp_width, me, crew)
    for r in range(gate_up.shape[0]):
        gate = gate_up[r, first:last]
        up = gate_up[r, shape.mlp_width + first : shape.mlp_width + last]
        out = gated[r, first:last]
        if shape.is_gelu:
            for i in range(last - first):
                x = gate[i]
                out[i] = x * up[i] / (_f32(1) + exp(_f32(-1.5957691216) * (x + _f32(0.044715) * x * x * x)))
        else:
            for i in range(last - first):
                out[i] = gate[i] * up[i] / (_f32(1) + exp(-gate[i]))


@njit(inline="always")
def _tanh(x: Any) -> Any:
    return _f32(1) - _f32(2) / (exp(_f32(2) * x) + _f32(1))


@njit(**FAST)
def multiply_alone(
    me: int, crew: int, barrier: int, bits: int, weights: int, blocks: int, tiles: int,
    x: Any, rounded: Any, scale: Any, y: Any,
) -> None:  # fmt: skip
    """Adds x Wᵀ to y [R, 16 · tiles]."""
    first, last = share(blocks, me, crew)
    round_rows(x, first, last, rounded, scale)
    meet(barrier, crew)
    first, last = share(tiles, me, crew)
    multiply(
        bits, weights, blocks, first, last, x.shape[0],
        rounded.ctypes.data, scale.ctypes.data, y.ctypes.data, y.strides[0],
    )  # fmt: skip
