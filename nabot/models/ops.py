"""The operators of a decoder, each with the backward it deserves. In: tensors, out: tensors.

Every hand-written Function runs in float64 too, passes `gradcheck`, and saves little: what is cheap is computed again.
Inside, statistics are taken in float32 at least (`_accurate`), because in bfloat16 a mean of squares loses its digits.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nabot.models.batch import CachedKeys, TokenBatch
from nabot.models.config import RopeConfig


def _accurate(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


# ---- RMSNorm: Zhang & Sennrich 2019, arXiv 1910.07467


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, weight_D: Tensor, eps: float) -> Tensor:
        x = _accurate(x_ND)
        scale_N1 = torch.rsqrt(x.square().mean(-1, keepdim=True).add_(eps))
        ctx.save_for_backward(x_ND, weight_D, scale_N1)
        return (x * scale_N1).to(x_ND.dtype) * weight_D

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_ND, weight_D, scale_N1 = ctx.saved_tensors
        normal = _accurate(x_ND) * scale_N1
        grad = _accurate(grad_ND)
        dx = dw = None
        if ctx.needs_input_grad[1]:
            dw = (grad * normal).sum(0).to(weight_D.dtype)
        if ctx.needs_input_grad[0]:
            grad = grad * weight_D
            overlap_N1 = (grad * normal).mean(-1, keepdim=True)
            dx = grad.sub_(normal.mul_(overlap_N1)).mul_(scale_N1).to(x_ND.dtype)
        return dx, dw, None


def rms_norm(x_ND: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """x / √(mean(x²) + eps) · weight over the last axis; the result has x's dtype.   Source: arXiv 1910.07467, eq. 4."""
    return _RmsNorm.apply(x_ND, weight_D, eps)


# ---- rotary position embedding: Su et al. 2021, arXiv 2104.09864


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
    if rope.kind == "llama3":
        turns = rope.original_positions * frequencies / (2 * torch.pi)  # whole turns inside the trained length
        keep = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
        keep = keep.clamp(0, 1)
        return frequencies / rope.factor * (1 - keep) + frequencies * keep
    return frequencies


def rope_table(positions_N: Tensor, frequencies: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin of each position's angles, [N, 1, E/2]. Angles are float32: in bfloat16 positions above 256 collide."""
    angles = positions_N.float().unsqueeze(-1) * frequencies
    return angles.cos().to(dtype).unsqueeze(1), angles.sin().to(dtype).unsqueeze(1)


def _rotated(x_NHE: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x_NHE.chunk(2, -1)
    out = torch.empty_like(x_NHE, memory_format=torch.contiguous_format)
    half = x_NHE.shape[-1] // 2
    torch.addcmul(first * cos, second, sin, value=-1, out=out[..., :half])
    torch.addcmul(second * cos, first, sin, out=out[..., half:])
    return out


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NHE: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x_NHE, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NHE: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(grad_NHE, cos, -sin), None, None  # the inverse of a rotation is its transpose


def rotate(x_NHE: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turns the pairs (i, i + E/2) of each head by its token's angles: the Hugging Face layout of rotary embeddings."""
    return _Rotate.apply(x_NHE, *table)


# ---- SwiGLU: Shazeer 2020, arXiv 2002.05202


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up_NG: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up_NG)
        gate, up = gate_up_NG.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NF: Tensor) -> Tensor:
        (gate_up_NG,) = ctx.saved_tensors
        gate, up = gate_up_NG.chunk(2, -1)
        out = torch.empty_like(gate_up_NG)
        d_gate, d_up = out.chunk(2, -1)
        torch.mul(grad_NF, F.silu(gate), out=d_up)
        d_gate.copy_(torch.ops.aten.silu_backward(grad_NF * up, gate))
        return out


def swiglu(gate_up_NG: Tensor) -> Tensor:
    """silu(gate) · up, where gate and up are the two halves of the last axis: [N, 2F] → [N, F]."""
    return _SwiGlu.apply(gate_up_NG)


# ---- attention: Vaswani et al. 2017; grouped queries: Ainslie et al. 2023, arXiv 2305.13245


def attention(q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, batch: TokenBatch, layer: int) -> Tensor:
    """Causal attention of every token to its own document up to itself: [N, H, E]. Softmax scale is E^-½.

    With a store, the document's earlier tokens count too. There is never a mask over the whole run: documents of nearly
    one length share a product, and right-padding is invisible to causal attention.
    """
    if batch.store is not None:
        return _attend_cached(q_NHE, batch.store.extend(layer, k_NKE, v_NKE), batch)
    if batch.is_rectangular:
        rows = len(batch.lengths)
        out = _causal(*(x.unflatten(0, (rows, -1)) for x in (q_NHE, k_NKE, v_NKE)))
        return out.flatten(0, 1)
    outputs, places = [], []
    if batch.shared:
        outputs.append(_causal(*(x[: batch.shared].unsqueeze(0) for x in (q_NHE, k_NKE, v_NKE))).squeeze(0))
        places.append(torch.arange(batch.shared, device=q_NHE.device))
    for bucket in batch.buckets:
        k, v = (_behind(x[: batch.shared], x[bucket.tokens_BT]) for x in (k_NKE, v_NKE))
        outputs.append(_causal(q_NHE[bucket.tokens_BT], k, v).flatten(0, 1)[bucket.real_M])
        places.append(bucket.targets_M)
    return torch.empty_like(q_NHE).index_copy(0, torch.cat(places), torch.cat(outputs))


def _behind(shared_PKE: Tensor, own_BTKE: Tensor) -> Tensor:
    """Each document's own keys (or values) behind those that all of them share."""
    if not len(shared_PKE):
        return own_BTKE
    return torch.cat([shared_PKE.expand(len(own_BTKE), -1, -1, -1), own_BTKE], 1)


def _causal(q_BTHE: Tensor, k_BSKE: Tensor, v_BSKE: Tensor) -> Tensor:
    """Attention of the last T of S tokens to themselves and all before them."""
    q, k, v = (x.transpose(1, 2) for x in (q_BTHE, k_BSKE, v_BSKE))
    grouped = q.shape[1] != k.shape[1]
    tokens, seen = q.shape[2], k.shape[2]
    mask = None
    if tokens not in (1, seen):  # the last query sees everything, the first all but tokens - 1
        mask = torch.ones(tokens, seen, dtype=torch.bool, device=q.device).tril(seen - tokens)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=tokens == seen, enable_gqa=grouped)
    return out.transpose(1, 2)


def _attend_cached(q_NHE: Tensor, cached: CachedKeys, batch: TokenBatch) -> Tensor:
    if max(batch.lengths) == 1:
        return _attend_one_each(q_NHE, cached)
    outputs = []
    for row, q_THE in enumerate(q_NHE.split(batch.lengths)):
        seen = cached.lengths[row]
        k_SKE, v_SKE = (x[row, :, :seen].transpose(0, 1) for x in (cached.keys_BKSE, cached.values_BKSE))
        outputs.append(_causal(*(x.unsqueeze(0) for x in (q_THE, k_SKE, v_SKE))).squeeze(0))
    return torch.cat(outputs)


def _attend_one_each(q_BHE: Tensor, cached: CachedKeys) -> Tensor:
    # One new token a document. The query heads of a group stand where queries of a sequence would, so that the keys
    # are read once and never repeated.
    rows, heads, width = q_BHE.shape
    kv_heads, seen = cached.keys_BKSE.shape[1:3]
    mask = None
    if min(cached.lengths) < seen:
        lengths = torch.tensor(cached.lengths, device=q_BHE.device)
        mask = (torch.arange(seen, device=q_BHE.device) < lengths.unsqueeze(1)).view(rows, 1, 1, seen)
    q_BKGE = q_BHE.view(rows, kv_heads, heads // kv_heads, width)
    out = F.scaled_dot_product_attention(q_BKGE, cached.keys_BKSE, cached.values_BKSE, attn_mask=mask)
    return out.reshape(rows, heads, width)
