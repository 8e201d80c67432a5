"""What LoRA has learned becomes part of the weights, and is taken out again. In and out: the same decoder."""

from collections.abc import Iterable
from pathlib import Path

import torch

from nabot.adapters.ends import is_tied, learn_as_one, learned_ends
from nabot.adapters.methods import Place, places
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder
from nabot.models.stored import StoredTensor
from nabot.text import say


def fuse(decoder: Decoder) -> list[Place]:
    """Writes what LoRA computes into the frozen weights and takes it off; returns it, for `unfuse`.

    In bfloat16 this rounds; in float64 it is exact. Raises ConfigError, and leaves all as it is, where the weights have no
    room for it.
    """
    if is_tied(decoder) and learned_ends(decoder) and not learn_as_one(decoder):
        raise ConfigError(say("adapters.untied"))
    taken = places(decoder)
    for owner, attribute, part in taken:
        part.write_into_base()
        setattr(owner, attribute, part.base)
    return taken


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
        setattr(owner, attribute, part)
