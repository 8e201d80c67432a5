"""What LoRA has learned becomes part of the weights, and is taken out again. In and out: the same module."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from nabot.adapters.lora import Place, lora_places
from nabot.errors import CheckpointError
from nabot.models.stored import StoredTensor
from nabot.text import say


def fuse(module: nn.Module) -> list[Place]:
    """Writes what LoRA computes into the frozen weights and takes it off; returns it, for `unfuse`.

    In bfloat16 this rounds; in float64 it is exact.
    """
    taken = list(lora_places(module))
    for owner, attribute, group in taken:
        group.write_into_base()
        setattr(owner, attribute, group.base)
    return taken


@torch.no_grad()
def unfuse(taken: list[Place], originals: Iterable[StoredTensor], origin: Path) -> None:
    """Puts back what `fuse` took off, on weights that are read again from `originals` (the base's file): bit for bit.

    Subtracting would only come near. Raises CheckpointError naming the first tensor that is not there.
    """
    slots = dict(slot for _, _, group in taken for slot in group.base.slots())
    waiting = dict.fromkeys(slots)
    for name, shape, write in originals:
        if name in slots and shape == slots[name].shape:
            write(slots[name])
            waiting.pop(name, None)
    if waiting:
        raise CheckpointError(say("models.missing_tensor", origin=origin, name=next(iter(waiting)), count=len(waiting)))
    for owner, attribute, group in taken:
        setattr(owner, attribute, group)
