"""A weight in a file that has not been read yet. In: a model file's reader, out: what a loader needs."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class StoredTensor(NamedTuple):
    """`write` puts the weight into its place, contiguous and of this shape, of any dtype and on any device."""

    name: str  # as Hugging Face calls it
    shape: tuple[int, ...]
    write: Callable[[Tensor], object]
