"""Rendered conversations → what one pass through the decoder needs. In: examples, out: Microbatch.

The documents of a microbatch lie end to end in one flat run. A document ends before its last trained token: nothing
behind that is ever asked for, so nothing behind it is computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nabot.data.packing import pack
from nabot.models.batch import TokenBatch


@dataclass(frozen=True)
class Example:
    """One document: `inputs` go through the decoder; at each of `places` the next token is a trained one, `targets`."""

    inputs: tuple[int, ...]
    places: tuple[int, ...]
    targets: tuple[int, ...]

    @classmethod
    def of(cls, ids: Sequence[int], trained: Sequence[bool]) -> "Example":
        """From token ids and their mask; the first token has nothing before it and is never a target."""
        targets = [i for i in range(1, len(ids)) if trained[i]]
        end = targets[-1] if targets else 0
        return cls(tuple(ids[:end]), tuple(i - 1 for i in targets), tuple(ids[i] for i in targets))


@dataclass(frozen=True)
class Microbatch:
    """One pass: `tokens_N`, where they stand, at which M of them the loss is taken, and what comes next there."""

    tokens_N: Tensor
    batch: TokenBatch
    places_M: Tensor
    targets_M: Tensor

    @property
    def num_targets(self) -> int:
        return self.targets_M.numel()

    @property
    def num_tokens(self) -> int:
        return self.tokens_N.numel()


def microbatches(examples: Sequence[Example], row_tokens: int, device: torch.device | str = "cpu") -> list[Microbatch]:
    """The examples of a step, best-fit packed into passes of at most `row_tokens` tokens each."""
    rows = pack([len(e.inputs) for e in examples], row_tokens)
    return [collate([examples[i] for i in row], device) for row in rows]


def collate(examples: Sequence[Example], device: torch.device | str = "cpu") -> Microbatch:
    """The examples end to end."""
    places: list[int] = []
    start = 0
    for example in examples:
        places.extend(start + p for p in example.places)
        start += len(example.inputs)
    return Microbatch(
        tokens_N=torch.tensor([t for e in examples for t in e.inputs], device=device),
        batch=TokenBatch.of_documents([len(e.inputs) for e in examples], device=device),
        places_M=torch.tensor(places, device=device),
        targets_M=torch.tensor([t for e in examples for t in e.targets], device=device),
    )
