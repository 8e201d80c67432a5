"""Attention over the documents of a batch. In: rotated queries and keys, values, a TokenBatch, out: [N, H, E].

Causal: every token attends to its own document up to itself (Vaswani et al. 2017, arXiv 1706.03762 §3.2), with grouped
queries (Ainslie et al. 2023, arXiv 2305.13245). There is never a mask over the whole run: documents of nearly one
length share a product, and right-padding is invisible to causal attention.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nabot.models import ops
from nabot.models.batch import Bucket, CachedKeys, TokenBatch
from nabot.models.kernels import kernels_for

_QUERIES_AT_ONCE = 256  # of a long document, where not all of it is seen


@dataclass(frozen=True)
class Sight:
    """How a layer looks back."""

    window: int = 0  # how many tokens each sees, itself included; 0: all
    soft_cap: float = 0.0  # scores stay within ± this: cap · tanh(score / cap); 0: they are as they are
    slopes: tuple[float, ...] = ()  # ALiBi: how much less a token scores for each step further back, by head


PLAIN = Sight()


def attention(
    q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, batch: TokenBatch, layer: int, sight: Sight = PLAIN
) -> Tensor:
    """[N, H, E]; softmax scale is E^-½. With a store, the documents' earlier tokens count too."""
    if batch.store is not None:
        return _attend_cached(q_NHE, batch.store.extend(layer, k_NKE, v_NKE), batch, sight)
    if batch.prefix:
        keys_PKE, values_PKE = (x.to(k_NKE.dtype) for x in batch.prefix[layer])
        q = F.pad(q_NHE, (0, 0, 0, 0, len(keys_PKE), 0))  # nobody reads what these would answer
        k, v = torch.cat([keys_PKE, k_NKE]), torch.cat([values_PKE, v_NKE])
        return attention(q, k, v, batch.prefix_as_tokens, layer, sight)[len(keys_PKE) :]
    compiled = kernels_for(q_NHE)
    if compiled is not None and _sees_all(sight, batch.longest):
        return _CompiledAttention.apply(q_NHE, k_NKE, v_NKE, compiled, batch.documents, sight.slopes)
    if batch.is_rectangular:
        rows = len(batch.lengths)
        q, k, v = (x.unflatten(0, (rows, -1)).transpose(1, 2) for x in (q_NHE, k_NKE, v_NKE))
        out = _causal(q, k, v, sight)
        return out.transpose(1, 2).flatten(0, 1)
    if q_NHE.device.type == "cpu" and _CPU_KERNEL is not None and _sees_all(sight, batch.longest):
        return _DocumentAttention.apply(q_NHE, k_NKE, v_NKE, batch, sight.slopes)
    return by_documents(q_NHE, k_NKE, v_NKE, batch, layer, sight)


def _is_plain(sight: Sight, seen: int) -> bool:
    """Whether every token sees all of `seen` before it, by scores as they are."""
    return sight is PLAIN or (_sees_all(sight, seen) and not sight.slopes)


def _sees_all(sight: Sight, seen: int) -> bool:
    """The same, or by scores to which something is added."""
    return not sight.soft_cap and not 0 < sight.window < seen


def by_documents(
    q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, batch: TokenBatch, layer: int, sight: Sight = PLAIN
) -> Tensor:
    """Bucket by bucket, differentiated by autograd: what `_DocumentAttention` must equal."""
    outputs, places = [], []
    for bucket, shared in _buckets(batch):
        q, k, v = _tensors(q_NHE, k_NKE, v_NKE, bucket, shared)
        outputs.append(_real(_causal(q, k, v, sight), bucket))
        places.append(bucket.targets_M)
    return torch.empty_like(q_NHE).index_copy(0, torch.cat(places), torch.cat(outputs))


# ---- the same, compiled


class _CompiledAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, compiled: Any, documents: Any, slopes: tuple[float, ...]
    ) -> Tensor:
        out_NHE, logs_HN = compiled.attend(q_NHE, k_NKE, v_NKE, documents, slopes)
        ctx.save_for_backward(q_NHE, k_NKE, v_NKE, out_NHE, logs_HN)
        ctx.attend_back, ctx.seen = compiled.attend_back, (documents, slopes)
        return out_NHE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NHE: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        return *ctx.attend_back(grad_NHE, *ctx.saved_tensors, *ctx.seen), None, None, None


# ---- the same by torch's kernels with a backward that goes bucket by bucket, too: no gradient of a slice or a gather is
# ---- ever made

_CPU_KERNEL = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)  # private: may go one day


class _DocumentAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, batch: TokenBatch, slopes: tuple[float, ...]
    ) -> Tensor:
        out_NHE = torch.empty_like(q_NHE, memory_format=torch.contiguous_format)
        logs = []
        for bucket, shared in _buckets(batch):
            q, k, v = _tensors(q_NHE, k_NKE, v_NKE, bucket, shared)
            mask = _mask(bucket, shared, k, slopes)
            kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
            out_BHTE, log = kernel(q, k, v, 0.0, not shared, attn_mask=mask)
            _put(out_NHE, out_BHTE, bucket)
            logs.append(log)
        ctx.batch, ctx.slopes = batch, slopes
        ctx.save_for_backward(q_NHE, k_NKE, v_NKE, out_NHE, *logs)
        return out_NHE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NHE: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q_NHE, k_NKE, v_NKE, out_NHE, *logs = ctx.saved_tensors
        dq, dk, dv = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q_NHE, k_NKE, v_NKE))
        for (bucket, shared), log in zip(_buckets(ctx.batch), logs, strict=True):
            q, k, v = _tensors(q_NHE, k_NKE, v_NKE, bucket, shared)
            mask = _mask(bucket, shared, k, ctx.slopes)
            kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
            out_BHTE, grad_BHTE = _padded(out_NHE, bucket), _padded_with_zeros(grad_NHE, bucket)
            dq_part, dk_part, dv_part = kernel(grad_BHTE, q, k, v, out_BHTE, log, 0.0, not shared, attn_mask=mask)
            _put(dq, dq_part, bucket)
            for whole, part in ((dk, dk_part), (dv, dv_part)):
                if shared:
                    whole[:shared] += part[:, :, :shared].sum(0).transpose(0, 1)
                _put(whole, part[:, :, shared:], bucket)
        return dq, dk, dv, None, None


def _mask(bucket: Bucket, shared: int, k_BKSE: Tensor, slopes: tuple[float, ...]) -> Tensor | None:
    """What is added to the scores; where nothing is shared, the kernel itself hides what comes later."""
    mask = bucket.mask(shared, k_BKSE.dtype) if shared else None
    if not slopes:
        return mask
    # To a softmax only differences matter, so that distances to the last key do as well as each query's own.
    bias_1H1S = _bias(slopes, torch.arange(1 - k_BKSE.shape[2], 1, device=k_BKSE.device), k_BKSE.dtype)
    return bias_1H1S if mask is None else bias_1H1S + mask


def _bias(slopes: tuple[float, ...], distances: Tensor, dtype: torch.dtype) -> Tensor:
    """What ALiBi adds to scores, [1, H, …]; float32 at least, because distances above 256 collide in bfloat16.

    Distances are 0 and below, counted in columns, so that a prefix or virtual tokens count as tokens do: as in
    transformers, where PEFT's prefix is a cache that is filled already.   Source: Press et al. 2022, arXiv 2108.12409 §3.
    """
    exact = torch.promote_types(dtype, torch.float32)
    return torch.tensor(slopes, dtype=exact, device=distances.device).view(1, -1, 1, 1) * distances


def _buckets(batch: TokenBatch) -> Iterator[tuple[Bucket, int]]:
    """What attends together, and how many shared tokens stand before each of its documents."""
    if batch.shared > batch.silent:
        yield batch.beginning, batch.silent
    for bucket in batch.buckets:
        if bucket.targets_M.numel():
            yield bucket, batch.shared


def _tensors(q_NHE: Tensor, k_NKE: Tensor, v_NKE: Tensor, bucket: Bucket, shared: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [B, H, T, E], keys and values [B, K, S, E] of a bucket; S = shared + T."""
    q, k, v = (_padded(x, bucket) for x in (q_NHE, k_NKE, v_NKE))
    if shared:
        k, v = (
            torch.cat([x_NKE[:shared].transpose(0, 1).expand(len(own), -1, -1, -1), own], 2)
            for x_NKE, own in ((k_NKE, k), (v_NKE, v))
        )
    return q, k, v


def _padded(x_NHE: Tensor, bucket: Bucket) -> Tensor:
    """[N, H, E] → [B, H, T, E]; behind its end a document repeats its last token."""
    if bucket.alone:
        return x_NHE[bucket.alone].transpose(0, 1).unsqueeze(0)
    x_MHE = x_NHE.index_select(0, bucket.tokens_BT.flatten())
    return x_MHE.unflatten(0, bucket.tokens_BT.shape).transpose(1, 2)


def _padded_with_zeros(x_NHE: Tensor, bucket: Bucket) -> Tensor:
    if bucket.alone:
        return _padded(x_NHE, bucket)
    x_MHE = x_NHE.new_zeros(bucket.tokens_BT.numel(), *x_NHE.shape[1:])
    x_MHE.index_copy_(0, bucket.real_M, x_NHE.index_select(0, bucket.targets_M))
    return x_MHE.unflatten(0, bucket.tokens_BT.shape).transpose(1, 2)


def _real(x_BHTE: Tensor, bucket: Bucket) -> Tensor:
    """[B, H, T, E] → [M, H, E], in the order of `targets_M`."""
    if bucket.alone:
        return x_BHTE.squeeze(0).transpose(0, 1)
    return x_BHTE.transpose(1, 2).flatten(0, 1).index_select(0, bucket.real_M)


def _put(whole_NHE: Tensor, part_BHTE: Tensor, bucket: Bucket) -> None:
    """Writes what is real of a bucket's part to where its tokens stand."""
    if bucket.alone:
        whole_NHE[bucket.alone] = _real(part_BHTE, bucket)
    else:
        whole_NHE.index_copy_(0, bucket.targets_M, _real(part_BHTE, bucket))


# ---- plain products, and those with a cache


def _causal(q_BHTE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, sight: Sight) -> Tensor:
    """Attention of the last T of S tokens to themselves and all before them: [B, H, T, E]."""
    grouped = q_BHTE.shape[1] != k_BKSE.shape[1]
    tokens, seen = q_BHTE.shape[2], k_BKSE.shape[2]
    if not _is_plain(sight, seen):
        return _some_at_a_time(q_BHTE, k_BKSE, v_BKSE, sight)
    mask = None
    if tokens not in (1, seen):  # the last query sees everything, the first all but tokens - 1
        mask = torch.ones(tokens, seen, dtype=torch.bool, device=q_BHTE.device).tril(seen - tokens)
    return F.scaled_dot_product_attention(
        q_BHTE, k_BKSE, v_BKSE, attn_mask=mask, is_causal=tokens == seen, enable_gqa=grouped
    )


def _some_at_a_time(q_BHTE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, sight: Sight) -> Tensor:
    """The same for some queries after the other, with the keys that they see: a window costs no more than it shows."""
    tokens, seen = q_BHTE.shape[2], k_BKSE.shape[2]
    window, outputs = sight.window or seen, []
    for start in range(0, tokens, _QUERIES_AT_ONCE):
        stop = min(start + _QUERIES_AT_ONCE, tokens)
        last = seen - tokens + stop
        first = max(last - (stop - start) - window + 1, 0)
        corner = (last - first) - (stop - start)  # how far the first of these queries stands behind the first key
        visible = torch.ones(stop - start, last - first, dtype=torch.bool, device=q_BHTE.device)
        visible = visible.tril_(corner).triu_(corner - window + 1)
        k, v = k_BKSE[:, :, first:last], v_BKSE[:, :, first:last]
        if sight.slopes:
            places_S = torch.arange(first, last, device=q_BHTE.device)
            distances_TS = places_S - places_S[corner : corner + stop - start, None]
            visible = _with_bias(visible, distances_TS, sight.slopes, q_BHTE.dtype)
        outputs.append(_masked(q_BHTE[:, :, start:stop], k, v, visible, sight.soft_cap))
    return torch.cat(outputs, 2)


def _with_bias(visible: Tensor | None, distances: Tensor, slopes: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    """What is added to scores, −∞ for what is not visible; in their dtype, as every kernel takes it. Each query's own
    distances are rounded in proportion, so that near ones stay exact."""
    bias = _bias(slopes, distances, dtype).to(dtype)
    return bias if visible is None else bias.masked_fill(~visible, -torch.inf)


def _masked(q_BHTE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, visible: Tensor | None, soft_cap: float) -> Tensor:
    """Attention to what is visible, which broadcasts to [B, H, T, S]; None: to everything. Without a soft cap, `visible`
    may be numbers to add to the scores."""
    if not soft_cap:
        grouped = q_BHTE.shape[1] != k_BKSE.shape[1]
        return F.scaled_dot_product_attention(q_BHTE, k_BKSE, v_BKSE, attn_mask=visible, enable_gqa=grouped)
    q_BKGTE = q_BHTE.unflatten(1, (k_BKSE.shape[1], -1))
    scores = ops.soft_cap(q_BKGTE @ k_BKSE.unsqueeze(2).transpose(-1, -2) * q_BHTE.shape[-1] ** -0.5, soft_cap)
    if visible is not None:
        scores = scores.masked_fill(~(visible if visible.ndim == 2 else visible.unsqueeze(2)), -torch.inf)
    shares = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)
    return (shares @ v_BKSE.unsqueeze(2)).flatten(1, 2)


def _attend_cached(q_NHE: Tensor, cached: CachedKeys, batch: TokenBatch, sight: Sight) -> Tensor:
    if batch.writes:
        return _attend_one_each(q_NHE, cached, sight)
    outputs = []
    for row, q_THE in enumerate(q_NHE.split(batch.lengths)):
        seen = cached.lengths[row]
        k_KSE, v_KSE = (x[row, :, :seen] for x in (cached.keys_BKSE, cached.values_BKSE))
        q, k, v = (x.unsqueeze(0) for x in (q_THE.transpose(0, 1), k_KSE, v_KSE))
        out_BHTE = _causal(q, k, v, sight)
        outputs.append(out_BHTE.squeeze(0).transpose(0, 1))
    return torch.cat(outputs)


def _attend_one_each(q_BHE: Tensor, cached: CachedKeys, sight: Sight) -> Tensor:
    # One new token a document. The query heads of a group stand where queries of a sequence would, so that the keys
    # are read once and never repeated.
    rows, heads, width = q_BHE.shape
    k_BKSE, v_BKSE = cached.keys_BKSE, cached.values_BKSE
    kv_heads, seen = k_BKSE.shape[1:3]
    shortest, first = min(cached.lengths), 0
    if 0 < sight.window < seen:
        first = max(shortest - sight.window, 0)
        k_BKSE, v_BKSE = k_BKSE[:, :, first:], v_BKSE[:, :, first:]
    visible = None
    if shortest < seen:
        visible = _visible(cached.lengths, first, seen, sight.window, q_BHE.device)
    if sight.slopes:
        last_B1 = torch.tensor(cached.lengths, device=q_BHE.device).unsqueeze(1) - 1
        distances_BS = torch.arange(first, k_BKSE.shape[2] + first, device=q_BHE.device) - last_B1
        bias_BH1S = _with_bias(visible, distances_BS.view(rows, 1, 1, -1), sight.slopes, q_BHE.dtype)
        visible = bias_BH1S.view(rows, kv_heads, heads // kv_heads, -1)
    q_BKGE = q_BHE.view(rows, kv_heads, heads // kv_heads, width)
    out = _masked(q_BKGE, k_BKSE, v_BKSE, visible, sight.soft_cap)
    return out.reshape(rows, heads, width)


@lru_cache(maxsize=4)  # every layer asks
def _visible(lengths: tuple[int, ...], first: int, seen: int, window: int, device: torch.device) -> Tensor:
    """[B, 1, 1, S]: which columns, from `first`, the last token of each document sees."""
    lengths_B1 = torch.tensor(lengths, device=device).unsqueeze(1)
    places_S = torch.arange(first, seen, device=device)
    visible_BS = places_S < lengths_B1
    if window:
        visible_BS &= places_S >= lengths_B1 - window
    return visible_BS.view(len(lengths), 1, 1, -1)
