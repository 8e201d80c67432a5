"""Cross-entropy of the trained tokens, as a sum. In: hidden states and targets, out: nats.

The head is asked at trained places only, chunk by chunk, and a frozen head's gradient is computed in the forward pass:
the logits [M, V] never exist as a whole.   Source of the idea: Liger Kernel, arXiv 2410.10989 §3.2.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nabot.models.decoder import Decoder
from nabot.train.batches import Microbatch

CHUNK = 256  # places whose logits exist at one time


class _FrozenHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_MD: Tensor, weight_VD: Tensor, targets_M: Tensor) -> Tensor:
        kind = torch.promote_types(hidden_MD.dtype, torch.float32)
        loss = hidden_MD.new_zeros((), dtype=kind)
        needs_grad = hidden_MD.requires_grad
        grads = []
        for hidden, targets in zip(hidden_MD.split(CHUNK), targets_M.split(CHUNK), strict=True):
            logits = F.linear(hidden, weight_VD).to(kind)
            log_total_C = torch.logsumexp(logits, -1)
            picked_C = logits.gather(-1, targets.unsqueeze(1)).squeeze(1)
            loss += (log_total_C - picked_C).sum()
            if needs_grad:
                grad = logits.sub_(log_total_C.unsqueeze(1)).exp_()  # softmax, in place of the logits
                grad.scatter_add_(1, targets.unsqueeze(1), grad.new_full((len(targets), 1), -1.0))
                grads.append(grad.to(hidden.dtype) @ weight_VD)
        if needs_grad:
            ctx.save_for_backward(torch.cat(grads))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (grad_MD,) = ctx.saved_tensors
        return grad_MD * upstream.to(grad_MD.dtype), None, None


def frozen_head_loss(hidden_MD: Tensor, weight_VD: Tensor, targets_M: Tensor) -> Tensor:
    """Σ −ln p(target) in nats, of logits = hidden · weightᵀ; a gradient reaches `hidden_MD` alone."""
    return _FrozenHeadLoss.apply(hidden_MD, weight_VD, targets_M)


def answer_loss(decoder: Decoder, microbatch: Microbatch) -> Tensor:
    """Σ −ln p over the trained tokens of the microbatch, in nats; divide by their number in the whole step."""
    hidden_ND = decoder.hidden(decoder.embed(microbatch.tokens_N), microbatch.batch)
    hidden_MD = hidden_ND[microbatch.places_M]
    weight = decoder.frozen_head
    if weight is not None:
        return frozen_head_loss(hidden_MD, weight, microbatch.targets_M)
    logits = decoder.head(hidden_MD)
    kind = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits.to(kind), microbatch.targets_M, reduction="sum")
