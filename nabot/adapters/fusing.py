"""What LoRA has learned becomes part of the weights, and is taken out again. In and out: the same decoder."""

from collections.abc import Iterable
from pathlib import Path

import torch

from nabot.adapters.ends import is_tied, learn_as_one, learned_ends
from nabot.adapters.lora import LoraGroup
from nabot.adapters.methods import Place, places
from nabot.adapters.virtual import virtual_tokens
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder
from nabot.models.packed import PackedGroup
from nabot.models.stored import StoredTensor
from nabot.text import say

_MEASURED_ROWS = 256  # of one weight: enough to say how much its form would round


def fuse(decoder: Decoder) -> list[Place]:
    """Writes what LoRA computes into the frozen weights and takes it off; returns it, for `unfuse`.

    In bfloat16 this rounds; in float64 it is exact. Raises ConfigError, and leaves all as it is, where the weights have no
    room for it.
    """
    if virtual_tokens(decoder) is not None:
        raise ConfigError(say("adapters.fuse_virtual"))
    if is_tied(decoder) and learned_ends(decoder) and not learn_as_one(decoder):
        raise ConfigError(say("adapters.untied"))
    taken = places(decoder)
    _refuse_packed(taken)
    for owner, attribute, part in taken:
        part.write_into_base()
        setattr(owner, attribute, part.base)
    return taken


@torch.no_grad()
def _refuse_packed(taken: Iterable[Place]) -> None:
    """Raises ConfigError if weights are held in few bits, with what their rounding would make of what was learned."""
    for _, _, part in taken:
        if not isinstance(part, LoraGroup) or not isinstance(part.base, PackedGroup):
            continue
        for name, weight in part.fused():
            wanted, before = weight[:_MEASURED_ROWS], part.base.member(name)[:_MEASURED_ROWS].to(weight)
            rounded = part.base.rounded(name, wanted)
            reason = say("adapters.not_written")
            if rounded is not None:
                off, learned = (float(torch.linalg.vector_norm(x - wanted)) for x in (rounded, before))
                reason = say("adapters.rounded_away", share=off / learned if learned else 0.0)
            raise ConfigError(say("adapters.fuse_packed", name=part.base.full_name(name, "weight"), reason=reason))


@torch.no_grad()
def unfuse(taken: list[Place], originals: Iterable[StoredTensor], origin: Path) -> None:
    """Puts back what `fuse` took off, on weights that are read again from `originals` (the base's file): bit for bit.

    Subtracting would only come near. Raises CheckpointError naming the first tensor that is not there.
    """
    slots = dict(slot for _, _, part in taken for slot in part.base_slots())
    waiting = dict.fromkeys(slots)
    for name, shape, write in originals:
        if name in slots and shape == slots[name].shape:
            write(slots[name])
            waiting.pop(name, None)
    if waiting:
        raise CheckpointError(say("models.missing_tensor", origin=origin, name=next(iter(waiting)), count=len(waiting)))
    for owner, attribute, part in taken:
        if part.base is not None:
            part.base.note_change()
        setattr(owner, attribute, part)
