"""Rows → the order in which they are learned, and the bins they share. In: counts and lengths, out: indices.

Everything here is a function of its arguments, with no state kept: a run that goes on needs to know only how many rows
it has taken over all epochs.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_SEED_BITS = (1 << 64) - 1


def order(num_rows: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """A permutation of range(num_rows), another one each epoch.

    Rows sorted by the raw words of a PCG64: numpy promises those for all its versions, but not its `permutation`.
    """
    words = np.random.PCG64(np.random.SeedSequence((seed & _SEED_BITS, epoch))).random_raw(num_rows)
    return np.argsort(words, kind="stable").astype(np.int64)


def row_at(position: int, num_rows: int, seed: int) -> int:
    """The row at a position counted over all epochs, from 0: all the state that a resumed run needs."""
    epoch, place = divmod(position, num_rows)
    return int(_order(num_rows, seed, epoch)[place])


@lru_cache(maxsize=2)  # the end of one epoch and the beginning of the next, side by side in one step
def _order(num_rows: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return order(num_rows, seed, epoch)


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Bins of indices by best-fit decreasing: each sums to at most `capacity` tokens; longer items stand alone.

    The longest item goes first, each into the fullest bin that still takes it. Every index occurs once, ascending in
    its bin; bins are in the order of their first index. O(n log n): bins with equal room left wait under one key.
    At worst 11/9 of the fewest possible bins and a constant (Johnson et al. 1974).
    """
    assert capacity > 0, f"capacity {capacity}"
    bins: list[list[int]] = []
    waiting: dict[int, list[int]] = {}  # room left → bins
    rooms: list[int] = []  # keys of `waiting`, ascending; at most `capacity` of them
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[index]
        at = bisect_left(rooms, length)
        if at < len(rooms):
            room = rooms[at]
            bin_number = waiting[room].pop()
            if not waiting[room]:
                del waiting[room], rooms[at]
        else:
            room, bin_number = capacity, len(bins)
            bins.append([])
        bins[bin_number].append(index)
        left = room - length
        if left < 0:  # longer than any bin: it has one of its own
            continue
        if left not in waiting:
            waiting[left] = []
            insort(rooms, left)
        waiting[left].append(bin_number)
    return sorted((sorted(members) for members in bins), key=lambda members: members[0])
