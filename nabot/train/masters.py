"""float32 masters of weights that compute in fewer bits. In: the weights that learn, out: what the optimizer moves.

A bfloat16 has 8 significant bits: a change of less than 1/512 of a weight rounds away, which at a rate of 2e-5 is
nearly every change. So the optimizer moves a float32 copy, and the weight is its rounding.   Source: Micikevicius et
al. 2018, arXiv 1710.03740 §3.1.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class Masters:
    """`moved`: what the optimizer moves, by name: a float32 copy of a weight in fewer bits, any other weight itself.

    Copies are the truth: they are what checkpoints hold. A gradient goes on to them as soon as it is there, so that
    those of several passes add up in float32.
    """

    def __init__(self, learning: Mapping[str, nn.Parameter]) -> None:
        self.moved = {name: _master(weight) for name, weight in learning.items()}
        self._pairs = [(w, self.moved[name]) for name, w in learning.items() if w is not self.moved[name]]
        self._hooks = [w.register_post_accumulate_grad_hook(partial(_pass_on, master)) for w, master in self._pairs]

    def release(self) -> None:
        """The weights' gradients stay with them again: what learned has learned."""
        for hook in self._hooks:
            hook.remove()

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """From now on the weights are rounded anew whenever this optimizer has moved their masters."""
        optimizer.register_step_post_hook(self._round_moved)

    @torch.no_grad()
    def round(self) -> None:
        """Makes every weight the rounding of its master, which has been set from elsewhere."""
        for weight, master in self._pairs:
            weight.copy_(master)

    @torch.no_grad()
    def _round_moved(self, *_: Any) -> None:
        for weight, master in self._pairs:
            if master.grad is not None:
                weight.copy_(master)


def _master(weight: nn.Parameter) -> nn.Parameter:
    if weight.dtype.itemsize >= torch.float32.itemsize:
        return weight
    return nn.Parameter(weight.detach().float())


def _pass_on(master: nn.Parameter, weight: Tensor) -> None:
    assert weight.grad is not None
    master.grad = weight.grad.float() if master.grad is None else master.grad.add_(weight.grad)
    weight.grad = None
