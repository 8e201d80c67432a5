"""Merges learned on top of a vocabulary. In: words as pieces, and how often each occurs; out: pairs to join, in order.

Byte-pair encoding (Sennrich et al. 2016, §3.2), but it begins with the pieces that the old merges leave, where a trainer
of a new vocabulary begins with letters, and it joins only what `allowed` allows. Joined behind the old merges, in this
order, they give for each word exactly the pieces that were counted here.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

Pair = tuple[str, str]

_FEWEST = 2  # times a pair occurs; what occurs once teaches nothing about another text


class _Words:
    """Words as they are just now, and where each pair stands in them."""

    def __init__(self, counts: Mapping[tuple[str, ...], int]) -> None:
        self.words = list(counts)
        self._times = list(counts.values())
        self.pairs: defaultdict[Pair, int] = defaultdict(int)
        self._places: defaultdict[Pair, set[int]] = defaultdict(set)
        for place in range(len(self.words)):
            self._count(place, +1)

    def join(self, pair: Pair) -> set[Pair]:
        """Joins the pair in every word; the pairs whose number may have grown."""
        grown: set[Pair] = set()
        for place in self._places.pop(pair):
            self._count(place, -1)
            self.words[place] = _joined(self.words[place], pair)
            grown |= self._count(place, +1)
        return grown

    def _count(self, place: int, sign: int) -> set[Pair]:
        word, times = self.words[place], sign * self._times[place]
        found = list(pairwise(word))
        for pair in found:
            self.pairs[pair] += times
            if sign > 0:
                self._places[pair].add(place)
        return set(found)


def learn_merges(
    counts: Mapping[tuple[str, ...], int], known: Collection[str], count: int, allowed: Callable[[str], bool]
) -> list[Pair]:
    """At most `count` pairs, each with the most occurrences when it is its turn; of equals the first by text.

    No pair gives a token that is there: old merges would go on from it, and the pieces would be others than counted.
    """
    words, taken, merges = _Words(counts), set(known), list[Pair]()
    heap = [(-times, pair) for pair, times in words.pairs.items() if allowed("".join(pair))]
    heapq.heapify(heap)
    while heap and len(merges) < count:
        times, pair = heapq.heappop(heap)
        now = words.pairs[pair]
        if now < _FEWEST or "".join(pair) in taken:
            continue
        if now != -times:  # fewer than when it was put here; growing pairs are put here again
            heapq.heappush(heap, (-now, pair))
            continue
        merges.append(pair)
        taken.add("".join(pair))
        for other in words.join(pair):
            if "".join(other) not in taken and allowed("".join(other)):
                heapq.heappush(heap, (-words.pairs[other], other))
    return merges


def _joined(word: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    """Every occurrence, from the left."""
    pieces: list[str] = []
    rest = iter(range(len(word)))
    for place in rest:
        if word[place : place + 2] == pair:
            pieces.append("".join(pair))
            next(rest)
        else:
            pieces.append(word[place])
    return tuple(pieces)
