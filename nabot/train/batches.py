"""Rendered conversations → what one pass through the decoder needs. In: examples, out: Microbatch.

The documents of a microbatch lie end to end in one flat run. A document ends before its last trained token: nothing
behind that is ever asked for, so nothing behind it is computed. What should come next is one token, or several with the
share of probability that each should get (what another model would say).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from nabot.data.packing import pack
from nabot.models.batch import TokenBatch

_WORTH_SHARING = 4  # tokens; fewer are computed again sooner than shared


@dataclass(frozen=True)
class SoftTargets:
    """The tokens that should come next at each of M places, and the share of probability for each; both [M, K]."""

    tokens_MK: Tensor
    shares_MK: Tensor


@dataclass(frozen=True)
class Example:
    """One document: `inputs` go through the decoder; at each of `places` the next token is a trained one, `targets`.

    With `soft`, several tokens share the place of each target.
    """

    inputs: tuple[int, ...]
    places: tuple[int, ...]
    targets: tuple[int, ...]
    soft: SoftTargets | None = field(default=None, compare=False)

    @classmethod
    def of(cls, ids: Sequence[int], trained: Sequence[bool]) -> "Example":
        """From token ids and their mask; the first token has nothing before it and is never a target."""
        targets = [i for i in range(1, len(ids)) if trained[i]]
        end = targets[-1] if targets else 0
        return cls(tuple(ids[:end]), tuple(i - 1 for i in targets), tuple(ids[i] for i in targets))

    def wanted(self) -> SoftTargets:
        """What should come next, as shares of probability."""
        tokens = torch.tensor(self.targets, dtype=torch.long).unsqueeze(1)
        return self.soft or SoftTargets(tokens, torch.ones(tokens.shape))


@dataclass(frozen=True)
class Microbatch:
    """One pass: `tokens_N`, where they stand, at which M of them the loss is taken, and what should come next there."""

    tokens_N: Tensor
    batch: TokenBatch
    places_M: Tensor
    wanted: SoftTargets
    soft_M: Tensor  # bool: where shares are wanted instead of one token

    @property
    def num_targets(self) -> int:
        return self.places_M.numel()

    @property
    def num_tokens(self) -> int:
        return self.tokens_N.numel()


def microbatches(examples: Sequence[Example], row_tokens: int, device: torch.device | str = "cpu") -> list[Microbatch]:
    """The examples of a step, best-fit packed into passes of at most `row_tokens` tokens each."""
    rows = pack([len(e.inputs) for e in examples], row_tokens)
    return [collate([examples[i] for i in row], device) for row in rows]


def collate(examples: Sequence[Example], device: torch.device | str = "cpu") -> Microbatch:
    """The examples end to end; what all of them begin with (a system prompt) stands there once."""
    shared = _shared_beginning(examples)
    tokens = list(examples[0].inputs[:shared])
    places: list[int] = []
    for example in examples:
        places.extend(len(tokens) + p - shared for p in example.places)
        tokens.extend(example.inputs[shared:])
    return Microbatch(
        tokens_N=torch.tensor(tokens, device=device),
        batch=TokenBatch.of_documents([len(e.inputs) - shared for e in examples], shared=shared, device=device),
        places_M=torch.tensor(places, device=device),
        wanted=_side_by_side([e.wanted() for e in examples], device),
        soft_M=torch.tensor([e.soft is not None for e in examples for _ in e.places], device=device),
    )


def _side_by_side(parts: Sequence[SoftTargets], device: torch.device | str) -> SoftTargets:
    """All places in order; those with fewer tokens than others get some that have no share."""
    most = max(part.tokens_MK.shape[1] for part in parts)

    def wide(x_MK: Tensor) -> Tensor:
        return F.pad(x_MK, (0, most - x_MK.shape[1]))

    return SoftTargets(
        torch.cat([wide(part.tokens_MK) for part in parts]).to(device),
        torch.cat([wide(part.shares_MK) for part in parts]).to(device),
    )


def _shared_beginning(examples: Sequence[Example]) -> int:
    """How many tokens all examples begin with, short of the first place where one is asked what comes next."""
    first = examples[0].inputs
    most = 0 if len(examples) == 1 else min(e.places[0] if e.places else 0 for e in examples)
    shared = next((i for i in range(most) if any(e.inputs[i] != first[i] for e in examples)), most)
    return shared if shared >= _WORTH_SHARING else 0
