"""The operators of a decoder, each with the backward it deserves. In: tensors, out: tensors.

Every hand-written Function runs in float64 too, passes `gradcheck`, and saves little: what is cheap is computed again.
Inside, statistics are taken in float32 at least (`_accurate`), because in bfloat16 a mean of squares loses its digits.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nabot.models.config import RopeConfig
from nabot.models.kernels import kernels_for


def _accurate(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()  # for nothing, it would still take a call


class _NothingKept:
    """Where no gradient is wanted: what a Function would save is forgotten."""

    compiled: Any = None

    def save_for_backward(self, *_: Tensor) -> None:
        pass


_NOTHING_KEPT = _NothingKept()


def _run(function: type[torch.autograd.Function], x: Tensor, *others: Any) -> Tensor:
    """The Function's output, by what is compiled for x. Without gradients its forward alone, since autograd's bookkeeping
    takes longer than one row's arithmetic."""
    if torch.is_grad_enabled():
        result: Tensor = function.apply(x, *others, kernels_for(x))
    else:
        result = function.forward(_NOTHING_KEPT, x, *others, None)
    return result


@cache
def _constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Made once: as a Python number it would cost more, row by row, than what is done with it.
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype, device=device)


# ---- RMSNorm: Zhang & Sennrich 2019, arXiv 1910.07467


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, weight_D: Tensor, eps: float, compiled: Any) -> Tensor:
        ctx.compiled = compiled
        if compiled is not None:
            out_ND, scale_N1 = compiled.norm(x_ND, weight_D, eps)
            ctx.save_for_backward(x_ND, weight_D, scale_N1)
            return out_ND
        x = _accurate(x_ND)
        norm_N1 = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale_N1 = torch.addcmul(_constant(eps, x.dtype, x.device), norm_N1, norm_N1, value=1 / x.shape[-1]).rsqrt_()
        ctx.save_for_backward(x_ND, weight_D, scale_N1)
        normal = x * scale_N1
        return (normal if x is x_ND else normal.to(x_ND.dtype)).mul_(weight_D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x_ND, weight_D, scale_N1 = ctx.saved_tensors
        if ctx.compiled is not None and not ctx.needs_input_grad[1]:
            return ctx.compiled.norm_back(grad_ND, x_ND, weight_D, scale_N1), None, None, None
        normal = _accurate(x_ND) * scale_N1
        grad = _accurate(grad_ND)
        dx = dw = None
        if ctx.needs_input_grad[1]:
            dw = (grad * normal).sum(0).to(weight_D.dtype)
        if ctx.needs_input_grad[0]:
            grad = grad * weight_D
            overlap_N1 = (grad * normal).mean(-1, keepdim=True)
            dx = grad.sub_(normal.mul_(overlap_N1)).mul_(scale_N1).to(x_ND.dtype)
        return dx, dw, None, None


def rms_norm(x_ND: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """x / √(mean(x²) + eps) · weight over the last axis; the weight may be another for each head. The result has x's dtype.   Source: arXiv 1910.07467, eq. 4."""
    return _run(_RmsNorm, x_ND, weight_D, eps)


# ---- rotary position embedding: Su et al. 2021, arXiv 2104.09864


@cache
@torch.inference_mode(False)
def rope_frequencies(rope: RopeConfig, head_width: int) -> Tensor:
    """Turning speed of each feature pair, in radians a position: theta^(-2i / head_width), stretched as configured.

    float32 [head_width / 2].   Source: arXiv 2104.09864 §3.2.2; "llama3": Llama 3.1 release, `apply_scaling`.
    """
    exponents = torch.arange(0, head_width, 2, dtype=torch.int64).float() / head_width
    frequencies = 1.0 / (rope.theta**exponents)
    if rope.divisors:
        return frequencies / torch.tensor(rope.divisors, dtype=torch.float32)
    if rope.kind == "linear":
        return frequencies / rope.factor
    if rope.kind == "yarn":
        keep = _kept_by_yarn(rope, head_width)
        return frequencies / rope.factor * (1 - keep) + frequencies * keep
    if rope.kind == "llama3":
        turns = rope.original_positions * frequencies / (2 * torch.pi)  # whole turns inside the trained length
        keep = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
        keep = keep.clamp(0, 1)
        return frequencies / rope.factor * (1 - keep) + frequencies * keep
    return frequencies


def _kept_by_yarn(rope: RopeConfig, head_width: int) -> Tensor:
    """1 for pairs that turn `beta_fast` times and more inside the trained length, 0 for `beta_slow` and less."""

    def pair_that_turns(times: float) -> float:
        wavelength = rope.original_positions / (2 * math.pi * times)
        return head_width * math.log(wavelength) / (2 * math.log(rope.theta))

    low = max(math.floor(pair_that_turns(rope.beta_fast)), 0)
    high = min(math.ceil(pair_that_turns(rope.beta_slow)), head_width - 1)
    pairs = torch.arange(head_width // 2, dtype=torch.float32)
    return 1 - ((pairs - low) / (high - low or 0.001)).clamp(0, 1)


def rope_table(
    positions_N: Tensor, frequencies: Tensor, dtype: torch.dtype, length: float = 1.0
) -> tuple[Tensor, Tensor]:
    """cos and sin of each position's angles, both [N, 1, E]: for both halves of a head, sin negative in the first.

    Angles are float32: in bfloat16 positions above 256 collide. What is turned becomes `length` times as long.
    """
    angles = positions_N.float().view(-1, 1, 1) * frequencies
    cos, sin = angles.cos(), angles.sin()
    if length != 1:
        cos, sin = cos * length, sin * length
    cos, sin = cos.to(dtype), sin.to(dtype)
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def _rotated(x_NHE: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.addcmul(x_NHE * cos, x_NHE.roll(x_NHE.shape[-1] // 2, -1), sin)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NHE: Tensor, cos: Tensor, sin: Tensor, compiled: Any) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.compiled = compiled
        return _rotated(x_NHE, cos, sin) if compiled is None else compiled.turn(x_NHE, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NHE: Tensor) -> tuple[Tensor, None, None, None]:
        cos, sin = ctx.saved_tensors  # the inverse of a rotation is its transpose
        back = _rotated(grad_NHE, cos, -sin) if ctx.compiled is None else ctx.compiled.turn(grad_NHE, cos, sin, -1)
        return back, None, None, None


def rotate(x_NHE: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turns the pairs (i, i + E/2) of each head by its token's angles: the Hugging Face layout of rotary embeddings."""
    return _run(_Rotate, x_NHE, *table)


# ---- ALiBi: Press et al. 2022, arXiv 2108.12409


def alibi_slopes(num_heads: int, most: float) -> tuple[float, ...]:
    """How fast the scores of each head fall with distance: 2^(-most · i / n), i = 1 … n.

    n is the next power of two; of more slopes than heads, every second is taken first.
    Source: arXiv 2108.12409 §3; the order is that of MPT (mosaicml/llm-foundry, `gen_slopes`).
    """
    count = 1 << (num_heads - 1).bit_length()
    slopes = [2.0 ** (-most * i / count) for i in range(1, count + 1)]
    return tuple(slopes if count == num_heads else (slopes[1::2] + slopes[::2])[:num_heads])


# ---- SwiGLU and GeGLU: Shazeer 2020, arXiv 2002.05202


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up_NG: Tensor, activation: "_Activation", compiled: Any) -> Tensor:
        ctx.save_for_backward(gate_up_NG)
        ctx.activation, ctx.compiled = activation, compiled
        if compiled is not None:
            return compiled.gate(gate_up_NG, activation is _GELU_TANH)
        gate, up = gate_up_NG.chunk(2, -1)
        return activation.of(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NF: Tensor) -> tuple[Tensor, None, None]:
        (gate_up_NG,) = ctx.saved_tensors
        if ctx.compiled is not None:
            return ctx.compiled.gate_back(grad_NF, gate_up_NG, ctx.activation is _GELU_TANH), None, None
        gate, up = gate_up_NG.chunk(2, -1)
        out = torch.empty_like(gate_up_NG)
        d_gate, d_up = out.chunk(2, -1)
        torch.mul(grad_NF, ctx.activation.of(gate), out=d_up)
        ctx.activation.backward(grad_NF * up, gate, grad_input=d_gate)
        return out, None, None


class _Activation(NamedTuple):
    of: Callable[[Tensor], Tensor]  # a new tensor
    backward: Callable[..., Tensor]  # (gradient, input, grad_input=its place)


_SILU = _Activation(F.silu, torch.ops.aten.silu_backward)
_GELU_TANH = _Activation(partial(F.gelu, approximate="tanh"), partial(torch.ops.aten.gelu_backward, approximate="tanh"))


def swiglu(gate_up_NG: Tensor) -> Tensor:
    """silu(gate) · up, where gate and up are the two halves of the last axis: [N, 2F] → [N, F]."""
    return _run(_Gated, gate_up_NG, _SILU)


def geglu(gate_up_NG: Tensor) -> Tensor:
    """The same with GELU, in its approximation by tanh (Hendrycks & Gimpel 2016, arXiv 1606.08415 §2)."""
    return _run(_Gated, gate_up_NG, _GELU_TANH)


# ---- soft caps: Gemma 2, arXiv 2408.00118 §2


def soft_cap(x: Tensor, cap: float) -> Tensor:
    """cap · tanh(x / cap)."""
    return torch.tanh(x / cap) * cap
