"""Tensors of a file → the places that wait for them. Whatever does not fit is an error that names it."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from nabot.errors import CheckpointError
from nabot.text import say


def fill(places: Mapping[str, Tensor], tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Copies each tensor to its place. Raises CheckpointError for one that is missing, extra, misshapen or not finite.

    Then nothing has been copied.
    """
    for name in sorted(places.keys() ^ tensors.keys()):
        text_id = "adapters.missing_tensor" if name in places else "adapters.extra_tensor"
        raise CheckpointError(say(text_id, origin=origin, name=name))
    for name, place in places.items():
        if place.shape != tensors[name].shape:
            seen, expected = list(tensors[name].shape), list(place.shape)
            raise CheckpointError(say("adapters.wrong_shape", origin=origin, name=name, seen=seen, expected=expected))
    check_finite(tensors, origin)
    for name, place in places.items():
        place.copy_(tensors[name])


def check_finite(tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Raises CheckpointError naming the first tensor that holds NaN or an infinity."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(say("adapters.not_finite", origin=origin, name=name))
