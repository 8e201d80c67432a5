"""One optimizer step, and the loss on what is held out. In: microbatches, out: numbers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from nabot.models.decoder import Decoder
from nabot.train.batches import Microbatch
from nabot.train.in_backward import InBackward
from nabot.train.loss import answer_loss


@dataclass(frozen=True)
class StepStats:
    """`loss` is the mean over the trained tokens of the person's rows, in nats; `num_targets` is their number.

    `drift`: how far the model is from its base at the tokens that are rehearsed, in nats each.
    `grad_norm` before clipping.
    """

    loss: float
    grad_norm: float
    num_targets: int
    num_tokens: int
    drift: float = 0.0


def alone(value: float) -> float:
    """The global sum of a process that is alone; many machines pass their own."""
    return value


def train_step(
    decoder: Decoder,
    parts: Sequence[Microbatch],
    optimizer: torch.optim.Optimizer,
    max_norm: float,
    global_sum: Callable[[float], float] = alone,
    in_backward: InBackward | None = None,
) -> StepStats:
    """Forward, backward, clip, step, forget. Leaves the weights alone if the loss or the gradient is not finite.

    With `in_backward` they have moved when the backward pass ends, finite or not, and nothing is clipped.
    """
    assert in_backward is None or len(parts) == 1, f"{len(parts)} passes, of which the first would move the weights"
    num_targets = global_sum(sum(part.num_targets for part in parts))  # over the *whole* step, so that
    own = loss = drift = shares = 0.0  # 4 passes of 2 rows give the gradient of 1 pass of 8
    for part in parts:
        losses_M = answer_loss(decoder, part)
        (losses_M.sum() / num_targets).backward()
        own += (~part.soft_M).sum().item()
        loss += losses_M[~part.soft_M].sum().item()
        drift += losses_M[part.soft_M].sum().item()
        shares += part.wanted.shares_MK[part.soft_M].sum().item()
    own, loss, drift, shares = (global_sum(x) for x in (own, loss, drift, shares))
    norm = in_backward.take_norm() if in_backward else _clip(optimizer, max_norm)
    num_tokens = sum(part.num_tokens for part in parts)
    stats = StepStats(loss / max(own, 1), norm, int(own), num_tokens, drift / shares if shares else 0.0)
    if in_backward is None and is_finite(stats):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return stats


def _clip(optimizer: torch.optim.Optimizer, max_norm: float) -> float:
    """Scales the gradients down to `max_norm` in all, unless it is 0; how long they were."""
    moved = [p for group in optimizer.param_groups for p in group["params"]]
    return float(clip_grad_norm_(moved, max_norm if max_norm > 0 else float("inf")))


def is_finite(stats: StepStats) -> bool:
    """Neither the loss nor the gradient has overflowed."""
    return all(math.isfinite(x) for x in (stats.loss, stats.drift, stats.grad_norm))


@torch.no_grad()
def mean_loss(decoder: Decoder, parts: Sequence[Microbatch]) -> float:
    """Mean −ln p of the trained tokens, in nats, without dropout."""
    was_training = decoder.training
    decoder.eval()
    total = sum(answer_loss(decoder, part).sum().item() for part in parts)
    decoder.train(was_training)
    return total / sum(part.num_targets for part in parts)


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """What learns, by name, in a fixed order."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}
