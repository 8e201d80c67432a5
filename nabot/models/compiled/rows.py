"""What a decoder does to each row between its products, and its gradients, compiled. In and out: tensors.

Torch's operators read and write a tensor for each step of a norm or a gate, and bfloat16 goes to float32 and back by
copies of its own. Here a row is read once and written once, computed in float32, or float64 for float64.
What is computed is what `nabot.models.ops` says.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import carray, njit
from torch import Tensor

from nabot.models.compiled.machine import ALL, WITHIN, alike, draw, exp, narrowed, widened
from nabot.models.compiled.team import TYPES, address_of, run

_NUMBERS_AT_ONCE = 1 << 14  # of an item: enough to be worth drawing, few enough that threads end together

# What a call says, int64 each; what X to OUT are, each function says. Steps count numbers, from row to row.
# KINDS: how many weights take turns, heads of a row, 1 for GELU, or tokens that are wanted.
WHAT, DRAWN, ITEMS, ROWS, WIDTH, KINDS = range(6)
X, Y, Z, WEIGHT, SCALE, OUT, X_ROW, Y_ROW, OUT_ROW = range(6, 15)
X_PART, OUT_PART, NUMBER, AT_ONCE = range(15, 19)
CALL_FIELDS = 19
NORM, NORM_BACK, TURN, GATE, GATE_BACK, SOFTMAX = range(6)


@njit(**WITHIN)
def _norm(call: Any, first: int, last: int, one: Any, wide: Any) -> None:
    """Row n, normed with weight n mod KINDS; SCALE gets 1 / √(mean of squares + eps)."""
    width, kinds, scales = call[WIDTH], call[KINDS], alike(call[SCALE], ALL, wide)
    eps = alike(call[NUMBER], 1, wide)[0]
    for n in range(first, last):
        x, y = _row(call, X, X_ROW, n, one), _row(call, OUT, OUT_ROW, n, one)
        w, squares = alike(call[WEIGHT] + one.itemsize * (n % kinds) * width, width, one), wide.dtype.type(0)
        for i in range(width):
            number = widened(x[i])
            squares += number * number
        scale = wide.dtype.type(1) / np.sqrt(squares / wide.dtype.type(width) + eps)
        scales[n] = scale
        for i in range(width):
            y[i] = narrowed(widened(x[i]) * scale * widened(w[i]), y)


@njit(**WITHIN)
def _norm_back(call: Any, first: int, last: int, one: Any, wide: Any) -> None:
    """OUT = (g - x̂ · mean(g · x̂)) · scale, g = Y · weight and x̂ = X · scale."""
    width, kinds, scales = call[WIDTH], call[KINDS], alike(call[SCALE], ALL, wide)
    for n in range(first, last):
        x, y, out = _row(call, X, X_ROW, n, one), _row(call, Y, Y_ROW, n, one), _row(call, OUT, OUT_ROW, n, one)
        w = alike(call[WEIGHT] + one.itemsize * (n % kinds) * width, width, one)
        scale, overlap = scales[n], wide.dtype.type(0)
        for i in range(width):
            overlap += widened(y[i]) * widened(w[i]) * widened(x[i])
        overlap *= scale * scale / wide.dtype.type(width)
        for i in range(width):
            out[i] = narrowed((widened(y[i]) * widened(w[i]) - widened(x[i]) * overlap) * scale, out)


@njit(**WITHIN)
def _turn(call: Any, first: int, last: int, one: Any, wide: Any) -> None:
    """The pairs (i, i + WIDTH / 2) of each of KINDS heads, by cosines Y and sines Z of the row; NUMBER is -1 for back."""
    width, heads, sign = call[WIDTH], call[KINDS], alike(call[NUMBER], 1, wide)[0]
    half = width // 2
    for n in range(first, last):
        cos, sin = _row(call, Y, Y_ROW, n, one), _row(call, Z, Y_ROW, n, one)
        for head in range(heads):
            x = alike(call[X] + one.itemsize * (n * call[X_ROW] + head * call[X_PART]), width, one)
            out = alike(call[OUT] + one.itemsize * (n * call[OUT_ROW] + head * call[OUT_PART]), width, one)
            for i in range(half):
                a, b = widened(x[i]), widened(x[i + half])
                out[i] = narrowed(a * widened(cos[i]) + sign * b * widened(sin[i]), out)
                out[i + half] = narrowed(b * widened(cos[i + half]) + sign * a * widened(sin[i + half]), out)


@njit(**WITHIN)
def _gate(call: Any, first: int, last: int, one: Any, wide: Any) -> None:
    """OUT = x · σ(x) · up for the halves x and up of X, or x · σ(2 u(x)) · up: GELU by tanh."""
    width, is_gelu = call[WIDTH], call[KINDS] != 0
    for n in range(first, last):
        x, out = _row(call, X, X_ROW, n, one), _row(call, OUT, OUT_ROW, n, one)
        up = x[width:]
        for i in range(width):
            gate = widened(x[i])
            out[i] = narrowed(gate * _sigmoid(_inside(gate, is_gelu, wide), wide) * widened(up[i]), out)


@njit(**WITHIN)
def _gate_back(call: Any, first: int, last: int, one: Any, wide: Any) -> None:
    """The gradients of both halves, from Y, that of the product."""
    width, is_gelu, whole = call[WIDTH], call[KINDS] != 0, wide.dtype.type(1)
    for n in range(first, last):
        x, y, out = _row(call, X, X_ROW, n, one), _row(call, Y, Y_ROW, n, one), _row(call, OUT, OUT_ROW, n, one)
        up, out_up = x[width:], out[width:]
        for i in range(width):
            gate, grad = widened(x[i]), widened(y[i])
            share = _sigmoid(_inside(gate, is_gelu, wide), wide)
            slope = whole
            if is_gelu:
                slope = wide.dtype.type(_TWICE_ROOT) * (whole + wide.dtype.type(3 * 0.044715) * gate * gate)
            out[i] = narrowed(grad * widened(up[i]) * share * (whole + gate * (whole - share) * slope), out)
            out_up[i] = narrowed(grad * gate * share, out)


@njit(**WITHIN)
def _softmax(call: Any, first: int, last: int, one: Any, wide: Any) -> None:
    """Row n of X, logits, becomes weight · softmax - shares, of KINDS wanted tokens Y and their shares Z that add up to
    the weight; SCALE gets the logarithm of the sum, OUT the logits of the wanted."""
    width, wanted = call[WIDTH], call[KINDS]
    logs, all_tokens = alike(call[SCALE], ALL, wide), alike(call[Y], ALL, call)
    for n in range(first, last):
        x, tokens = _row(call, X, X_ROW, n, one), all_tokens[n * wanted : (n + 1) * wanted]
        shares = alike(call[Z] + wide.itemsize * n * wanted, wanted, wide)
        kept = alike(call[OUT] + wide.itemsize * n * wanted, wanted, wide)
        most, total, weight = widened(x[0]), wide.dtype.type(0), wide.dtype.type(0)
        for i in range(width):
            most = max(most, widened(x[i]))
        for i in range(width):
            total += exp(widened(x[i]) - most)
        logs[n] = most + np.log(total)
        for k in range(wanted):
            weight += shares[k]
            kept[k] = widened(x[tokens[k]])
        scale = weight / total
        for i in range(width):
            x[i] = narrowed(exp(widened(x[i]) - most) * scale, x)
        for k in range(wanted):
            own = wide.dtype.type(0)
            for other in range(wanted):  # a token may be wanted twice
                if tokens[other] == tokens[k]:
                    own += shares[other]
            x[tokens[k]] = narrowed(exp(kept[k] - most) * scale - own, x)


_TWICE_ROOT = 2 * (2 / np.pi) ** 0.5


@njit(inline="always")
def _inside(gate: Any, is_gelu: bool, wide: Any) -> Any:
    if is_gelu:
        return wide.dtype.type(_TWICE_ROOT) * (gate + wide.dtype.type(0.044715) * gate * gate * gate)
    return gate


@njit(inline="always")
def _sigmoid(x: Any, wide: Any) -> Any:
    return wide.dtype.type(1) / (wide.dtype.type(1) + exp(-x))


@njit(inline="always")
def _row(call: Any, what: int, step: int, n: int, one: Any) -> Any:
    return alike(call[what] + one.itemsize * n * call[step], ALL, one)


def _entry(held: Any, computed: Any) -> Callable[..., None]:
    """What all threads run, for tensors that hold one type and are computed in another."""

    def work(pointer):  # type: ignore[no-untyped-def]
        call = carray(pointer, (CALL_FIELDS,), np.int64)
        one, wide = np.empty(0, held), np.empty(0, computed)
        item = draw(call, DRAWN)
        while item < call[ITEMS]:
            first, last = call[AT_ONCE] * item, min(call[AT_ONCE] * (item + 1), call[ROWS])
            if call[WHAT] == NORM:
                _norm(call, first, last, one, wide)
            elif call[WHAT] == NORM_BACK:
                _norm_back(call, first, last, one, wide)
            elif call[WHAT] == TURN:
                _turn(call, first, last, one, wide)
            elif call[WHAT] == GATE:
                _gate(call, first, last, one, wide)
            elif call[WHAT] == GATE_BACK:
                _gate_back(call, first, last, one, wide)
            else:
                _softmax(call, first, last, one, wide)
            item = draw(call, DRAWN)

    return work


def prepare(dtype: torch.dtype) -> None:
    """Compiles for tensors of this dtype."""
    address_of(_entry, dtype)


# ---- what torch calls


def norm(x_ND: Tensor, weight_KD: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """RMSNorm over the last axis, and 1 / √(mean of squares + eps) of each row; weights as in `ops.rms_norm`."""
    x = _dense(x_ND)
    out, scale = torch.empty_like(x), x.new_empty(*x.shape[:-1], 1, dtype=torch.promote_types(x.dtype, torch.float32))
    weight = weight_KD.to(x.dtype).contiguous()
    _run(NORM, x, {X: x, OUT: out, WEIGHT: weight, SCALE: scale}, weight.numel() // x.shape[-1], eps)
    return out, scale


def norm_back(grad_ND: Tensor, x_ND: Tensor, weight_KD: Tensor, scale_N1: Tensor) -> Tensor:
    """Its gradient with respect to x."""
    x, grad, weight = _dense(x_ND), _dense(grad_ND), weight_KD.to(x_ND.dtype).contiguous()
    out = torch.empty_like(x)
    tensors = {X: x, Y: grad, OUT: out, WEIGHT: weight, SCALE: scale_N1}
    _run(NORM_BACK, x, tensors, weight.numel() // x.shape[-1])
    return out


def turn(x_NHE: Tensor, cos_N1E: Tensor, sin_N1E: Tensor, sign: int = 1) -> Tensor:
    """Turns pairs as `ops.rotate` does; back with sign -1."""
    rows, heads, width = x_NHE.shape
    x = x_NHE if x_NHE.stride(2) == 1 else x_NHE.contiguous()
    cos, sin = (_dense(t.to(x.dtype).expand(rows, 1, width)) for t in (cos_N1E, sin_N1E))
    out = torch.empty(x.shape, dtype=x.dtype)
    steps = {X_ROW: x.stride(0), X_PART: x.stride(1), OUT_ROW: heads * width, OUT_PART: width, Y_ROW: width}
    _call(TURN, x, {X: x, Y: cos, Z: sin, OUT: out}, steps, rows, width, heads, sign)
    return out


def gate(gate_up_NG: Tensor, is_gelu: bool) -> Tensor:
    """silu(gate) · up or gelu(gate) · up of the two halves."""
    x = _dense(gate_up_NG)
    out = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
    _run(GATE, out, {X: x, OUT: out}, int(is_gelu))
    return out


def gate_back(grad_NF: Tensor, gate_up_NG: Tensor, is_gelu: bool) -> Tensor:
    """Its gradient."""
    x, grad = _dense(gate_up_NG), _dense(grad_NF)
    out = torch.empty_like(x)
    _run(GATE_BACK, grad, {X: x, Y: grad, OUT: out}, int(is_gelu))
    return out


def softmax_to_gradient(logits_MV: Tensor, tokens_MK: Tensor, shares_MK: Tensor) -> Tensor:
    """Log-probabilities of the wanted tokens [M, K]. The logits become their own gradient: of Σ share · -log-probability."""
    shares, tokens = _dense(shares_MK), _dense(tokens_MK.long())
    wanted, logs = torch.empty_like(shares), shares.new_empty(len(shares), 1)
    tensors = {X: logits_MV, Y: tokens, Z: shares, SCALE: logs, OUT: wanted}
    rows, width = logits_MV.shape
    _call(SOFTMAX, logits_MV, tensors, {X_ROW: logits_MV.stride(0)}, rows, width, tokens.shape[1], 0)
    return wanted - logs


def _dense(x: Tensor) -> Tensor:
    return x if x.is_contiguous() else x.contiguous()


def _run(what: int, like: Tensor, tensors: dict[int, Tensor], kinds: int, number: float = 0) -> None:
    """For rows as `like` has them; of the others each is as wide as it is."""
    steps = {step: tensors[x].shape[-1] for x, step in ((X, X_ROW), (Y, Y_ROW), (OUT, OUT_ROW)) if x in tensors}
    width = like.shape[-1]
    _call(what, like, tensors, steps, like.numel() // width if width else 0, width, kinds, number)


def _call(
    what: int, like: Tensor, tensors: dict[int, Tensor], steps: dict[int, int], rows: int, width: int, kinds: int,
    number: float,
) -> None:  # fmt: skip
    call = np.zeros(CALL_FIELDS, np.int64)
    given, at_once = np.array([number], TYPES[like.dtype][1]), max(_NUMBERS_AT_ONCE // max(width, 1), 1)
    call[[WHAT, ITEMS, ROWS, AT_ONCE]] = what, -(-rows // at_once), rows, at_once
    call[[WIDTH, KINDS, NUMBER]] = width, kinds, given.ctypes.data
    for place, tensor in tensors.items():
        call[place] = tensor.data_ptr()
    for place, step in steps.items():
        call[place] = step
    run(address_of(_entry, like.dtype), call)
