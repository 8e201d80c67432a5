"""Questions that are nearly the same. In: texts, out: pairs that are, enough to lead to all that is connected.

MinHash proposes pairs, and each is verified by its exact Jaccard index, so that what is called near is near; of the pairs
right at the limit one in twenty thousand is missed, of those further above it none that anybody would see.
Source: Broder 1997, "On the resemblance and containment of documents"; bands as in Leskovec et al., "Mining of Massive
Datasets", section 3.4.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from nabot.data.groups import Groups
from nabot.errors import ConfigError
from nabot.text import say

ALIKE = 0.8  # Jaccard index from which two texts are nearly the same
_RUN_CHARACTERS = 5  # a shingle; not words, because Korean ones carry their particles
_BANDS, _HASHES = 25, 5  # a pair that is 0.8 alike shares one of 25 bands of 5 hashes with 1 - (1 - 0.8^5)^25
_CHUNK = 5_000  # texts whose shingles are in memory at once

_MULTIPLIERS = np.array([0x9E3779B97F4A7C15 * (2 * i + 1) % 2**64 for i in range(_HASHES)], np.uint64)

Hashes = np.ndarray[tuple[int, ...], np.dtype[np.uint32]]
Places = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def near_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places (i, j), i < j, of texts whose shingles have a Jaccard index of at least `ALIKE`: as many pairs as it takes
    to lead from each text to all that it is connected with, not those that others say already.

    Memory: 500 bytes a text beside the texts. Raises ConfigError if rensa is not installed.
    """
    first_of: dict[str, int] = {}
    for place, text in enumerate(texts):
        first = first_of.setdefault(text, place)
        if first != place:
            yield first, place
    places = np.fromiter(first_of.values(), np.int64, len(first_of))
    together = Groups(len(texts))
    for members in _buckets(_sketches([texts[place] for place in places]), places):
        if len({together.first(place) for place in members}) == 1:
            continue
        for i, j in combinations(members, 2):
            if together.first(i) != together.first(j) and jaccard(texts[i], texts[j]) >= ALIKE:
                together.join(i, j)
                yield i, j


def shingles(text: str) -> set[str]:
    """Runs of characters; the text itself where it is no longer than one."""
    return {text[i : i + _RUN_CHARACTERS] for i in range(max(1, len(text) - _RUN_CHARACTERS + 1))}


def jaccard(text: str, other: str) -> float:
    """Of the shingles that either has, the share that both have."""
    ours, theirs = shingles(text), shingles(other)
    if min(len(ours), len(theirs)) < ALIKE * max(len(ours), len(theirs)):
        return 0.0  # however many they share
    return len(ours & theirs) / len(ours | theirs)


def _buckets(sketches: Hashes, places: Places) -> Iterator[list[int]]:
    """Places whose texts have all hashes of a band in common, ascending; at least two, and often the same again."""
    for band in range(_BANDS):
        hashes = sketches[:, band * _HASHES : (band + 1) * _HASHES]
        keys = (
            hashes.astype(np.uint64) @ _MULTIPLIERS
        )  # one number for five: if two are equal by chance, no harm is done
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order][:1] + np.uint64(1)))
        ends = np.append(starts[1:], len(order))
        for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
            yield places[order[start:end]].tolist()


def _sketches(texts: Sequence[str]) -> Hashes:
    """For each text the smallest hashes of its shingles, one for each of the permutations."""
    try:
        from rensa import RMinHash
    except ImportError as error:
        raise ConfigError(say("data.no_rensa")) from error
    found = np.empty((len(texts), _BANDS * _HASHES), np.uint32)
    for start in range(0, len(texts), _CHUNK):
        chunk = [sorted(shingles(text)) for text in texts[start : start + _CHUNK]]
        found[start : start + len(chunk)] = RMinHash.digests_from_token_sets(chunk, _BANDS * _HASHES, 0)
    return found
