"""How far the head is from what should come next. In: hidden states and targets, out: nats, one number a place.

Kullback-Leibler divergence of the wanted shares from the head's probabilities: −ln p where one token is wanted.

The head is asked at trained places only, chunk by chunk, and a dense head's gradient is computed in the forward pass:
the logits [M, V] never exist as a whole.   Source of the idea: Liger Kernel, arXiv 2410.10989 §3.2.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from nabot.models.decoder import Decoder, DenseHead
from nabot.models.kernels import kernels_for
from nabot.train.batches import Microbatch, SoftTargets

CHUNK = 256  # places whose logits exist at one time


class _DenseHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_MD: Tensor,
        learned: Tensor | None,
        weight_VD: Tensor,
        tokens_MK: Tensor,
        shares_MK: Tensor,
        compiled: Any,
    ) -> Tensor:
        kind = torch.promote_types(hidden_MD.dtype, torch.float32)
        rows = None if learned is None or not learned.requires_grad else torch.zeros_like(learned)
        needs_grad = hidden_MD.requires_grad or rows is not None
        losses, grads = [], []

        def keep(grad: Tensor, hidden: Tensor) -> None:
            """The gradient of a chunk's logits goes on to what they were made of."""
            if rows is not None:
                rows.add_(grad[:, -len(rows) :].t() @ hidden)
            grads.append(grad @ weight_VD)

        chunks = zip(hidden_MD.split(CHUNK), tokens_MK.split(CHUNK), shares_MK.to(kind).split(CHUNK), strict=True)
        for hidden, tokens, shares in chunks:
            logits = F.linear(hidden, weight_VD)
            weight_C1 = shares.sum(-1, keepdim=True)
            if compiled is not None and needs_grad:
                losses.append(divergence(shares, weight_C1, compiled.softmax_to_gradient(logits, tokens, shares)))
                keep(logits, hidden)  # which are their gradient by now
                continue
            logits = logits.to(kind)
            wanted = logits.gather(-1, tokens)
            most_C1 = logits.amax(-1, keepdim=True)
            total_C1 = logits.sub_(most_C1).exp_().sum(-1, keepdim=True)  # from here on the logits are gone
            losses.append(divergence(shares, weight_C1, wanted - most_C1 - total_C1.log()))
            if needs_grad:
                grad = logits.mul_(weight_C1 / total_C1)
                grad.scatter_add_(1, tokens, -shares)
                keep(grad.to(hidden.dtype), hidden)
        if needs_grad:
            ctx.save_for_backward(torch.cat(grads), rows)
        return torch.cat(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_M: Tensor) -> tuple[Tensor | None, ...]:
        grad_MD, rows = ctx.saved_tensors
        if rows is not None:  # added up over all places before it was known what each counts
            assert upstream_M.min() == upstream_M.max(), "where rows of the head learn, every place counts the same"
            rows = rows * upstream_M[0]
        return grad_MD * upstream_M.to(grad_MD.dtype).unsqueeze(1), rows, None, None, None, None


def dense_head_loss(hidden_MD: Tensor, head: DenseHead, wanted: SoftTargets) -> Tensor:
    """The divergence at each place, [M] nats; a gradient reaches `hidden_MD` and the head's rows that learn.

    Where there are such, every place has to count the same in what is made of the losses. Raises IndexError for a wanted
    token that the head does not have.
    """
    tokens, weight_VD = wanted.tokens_MK, head.weight_VD
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < len(weight_VD):
        raise IndexError(f"tokens {int(tokens.min())} to {int(tokens.max())} wanted of a head of {len(weight_VD)}")
    compiled = kernels_for(hidden_MD)
    return _DenseHeadLoss.apply(hidden_MD, head.learned, weight_VD, tokens, wanted.shares_MK, compiled)


def answer_loss(decoder: Decoder, microbatch: Microbatch) -> Tensor:
    """The divergence at each trained place of the microbatch, [M] nats; their gradients are those of a sum."""
    hidden_ND = decoder.hidden(decoder.embed(microbatch.tokens_N), microbatch.batch)
    hidden_MD = hidden_ND[microbatch.places_M]
    wanted, head = microbatch.wanted, decoder.dense_head
    if head is not None and len(hidden_MD):
        return dense_head_loss(hidden_MD, head, wanted)
    # Any other head (packed, capped, with LoRA, of a model that learns as a whole): autograd, which makes the logits of
    # a chunk again in the backward pass.
    chunks = zip(hidden_MD.split(CHUNK), wanted.tokens_MK.split(CHUNK), wanted.shares_MK.split(CHUNK), strict=True)
    losses = [checkpoint(_chunk_loss, decoder, *chunk, use_reentrant=False) for chunk in chunks]
    return torch.cat(losses) if losses else hidden_MD.sum(-1)


def _chunk_loss(decoder: Decoder, hidden_CD: Tensor, tokens_CK: Tensor, shares_CK: Tensor) -> Tensor:
    logits = decoder.head(hidden_CD)
    kind = torch.promote_types(logits.dtype, torch.float32)
    logs_CK = logits.to(kind).log_softmax(-1).gather(-1, tokens_CK)
    shares_CK = shares_CK.to(kind)
    return divergence(shares_CK, shares_CK.sum(-1, keepdim=True), logs_CK)


def divergence(shares_MK: Tensor, weight_M1: Tensor, logs_MK: Tensor) -> Tensor:
    """Σ share · (ln(share / weight) − ln p) at each place, [M]: shares that add up to `weight` count that many times."""
    return (torch.xlogy(shares_MK, shares_MK / weight_M1) - shares_MK * logs_MK).sum(-1)
