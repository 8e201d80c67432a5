"""The optimizer in the backward pass: all gradients never exist at once. In: weights that learn, out: the same, moved.

Each weight moves as soon as its gradient is there, which is then forgotten. So there is one pass a step, since nothing
may be added to a gradient later, and no clipping by the norm of all, which is known when the last has gone.
Source: Lv et al. 2023, arXiv 2306.09782 §3.1.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nabot.data.packing import pack
from nabot.errors import ConfigError
from nabot.text import say
from nabot.train.batches import Example
from nabot.train.config import TrainConfig


class InBackward:
    """Steps `optimizer` weight by weight; `moved` has, by name, what it moves for each: `Masters.moved`."""

    def __init__(
        self,
        learning: Mapping[str, nn.Parameter],
        moved: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._optimizer = optimizer
        self._norms: list[Tensor] = []
        self._hooks = [  # after the hook of a master, which hands the gradient on
            weight.register_post_accumulate_grad_hook(partial(self._move, moved[name]))
            for name, weight in learning.items()
        ]

    def release(self) -> None:
        """No weight moves any more when it gets a gradient."""
        for hook in self._hooks:
            hook.remove()

    def take_norm(self) -> float:
        """The length of the whole gradient of the backward pass that has ended."""
        norms, self._norms = self._norms, []
        return float(torch.linalg.vector_norm(torch.stack(norms)))

    def _move(self, parameter: nn.Parameter, _: Tensor) -> None:
        assert parameter.grad is not None
        self._norms.append(torch.linalg.vector_norm(parameter.grad))
        self._optimizer.step()  # the only gradient that there is, so nothing else moves
        parameter.grad = None


def refuse_two_passes(config: TrainConfig, examples: Sequence[Example], longest_rehearsed: int) -> None:
    """Raises ConfigError if a step of the longest rows would not fit into one pass, whatever steps the run comes to."""
    own = [max(len(example.inputs) for example in examples)] * config.batch_size
    beside = [longest_rehearsed] * math.ceil(config.rehearsal_ratio * config.batch_size)
    if len(pack(own + beside, config.row_tokens)) > 1:
        tokens = sum(own + beside)
        raise ConfigError(
            say("train.two_passes", tokens=tokens, row_tokens=config.row_tokens, batch_size=config.batch_size)
        )
