"""Is this instruction nearly there already? In: texts one by one, out: the one that each is a near copy of.

Self-instruct compares every new instruction with all before it: quadratic, and most of a run's time. Here words alone
rule nearly every pair out. F > 0.7 needs a common subsequence of at least 0.35 (m + n) words of two texts of m and n,
so at least as many shared words, counted with repetition. Put both texts' words in one fixed order, rare ones first:
two texts that share r words share one among the first m - r + 1 of the one and n - r + 1 of the other (the prefix filter
of set joins). An index of those first words gives few texts; counting what they share leaves hardly any; the rest is
compared in full. Nothing is approximate. Appending costs as much as the text is long.

The fixed order is that of first appearance, latest first: a word that a growing pool saw late is rare, and places never
change, so that nothing is ever sorted again.   Source of the filter: Bayardo et al. 2007, "Scaling up all pairs similarity search".
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nabot.synth.rouge import LIMIT, common_words, f_measure, require_rapidfuzz, words

_ROUNDING = 1e-9  # of a bound, which is computed in another order than what it bounds
Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class Near:
    """A text of the pool, by its place in it from 0, and its ROUGE-L F-measure with the text that was asked about."""

    place: int
    score: float


@dataclass(frozen=True)
class Nearest:
    """What Alpaca stores with an instruction: the most similar texts, nearest first, and the mean over the whole pool."""

    texts: tuple[Near, ...]
    mean: float


class Pool:
    """Texts that are there already. Memory: about 30 bytes for each word of them."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Raises ConfigError if rapidfuzz is not installed."""
        require_rapidfuzz()
        self._ids: dict[tuple[str, int], int] = {}  # (word, how often before in its text), numbered as they appear
        self._index: list[
            array[int]
        ] = []  # by id, three numbers for each text that has it in front: place, length, reach
        self._shared: array[int] = array("q")  # ids of all texts, end to end
        self._starts: array[int] = array("q")  # where each text begins in _shared
        self._words: list[list[int]] = []  # of each text in its own order; equal words are equal numbers
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._words)

    def add(self, text: str) -> None:
        """Appends `text`; what it is compared with is no matter of this."""
        place, found = len(self), words(text)
        ids = [self._ids.setdefault(word, len(self._ids)) for word in _numbered(found)]
        self._index.extend(array("q") for _ in range(len(self._ids) - len(self._index)))
        self._starts.append(len(self._shared))
        self._shared.extend(ids)
        self._words.append([self._ids[word, 0] for word in found])
        for number, reach in _in_front(ids, len(ids)):
            self._index[number].extend((place, len(ids), reach))

    def near_copy(self, text: str) -> Near | None:
        """The first text of the pool whose F-measure with `text` exceeds 0.7; None if `text` is new."""
        found = words(text)
        ours = self._known(found)
        for place in self._sharing_enough(found, self._sharing_a_rare_word(found)):
            theirs = self._words[place]
            score = f_measure(common_words(ours, theirs), len(ours), len(theirs))
            if score > LIMIT:
                return Near(place, score)
        return None

    def nearest(self, text: str) -> Near | None:
        """What `most_similar` puts first, without a look at most of the pool; None if the pool is empty.

        The words that two texts share, in whatever order, are a bound of what they have in common in order. So texts are
        compared from the highest bound downwards, until none that is left can be nearer than what was found.
        """
        if not len(self):
            return None
        found = words(text)
        ours, bounds = self._known(found), self._bounds(found)
        best = Near(0, 0.0)
        promising = np.flatnonzero(bounds)
        for place in promising[np.argsort(-bounds[promising], kind="stable")].tolist():
            if bounds[place] < best.score - _ROUNDING:
                break
            theirs = self._words[place]
            score = f_measure(common_words(ours, theirs), len(ours), len(theirs))
            if score > best.score or (score == best.score and place < best.place):
                best = Near(place, score)
        return best

    def _bounds(self, found: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """For each text the F-measure that it could have with `found` if the words that both have stood in one order."""
        ours = np.zeros(len(self._ids), np.int64)
        ours[self._numbers(found)] = 1
        starts = np.frombuffer(self._starts, np.int64)
        ends = np.append(starts[1:], len(self._shared))
        counted = np.append(0, np.cumsum(ours[np.frombuffer(self._shared, np.int64)]))
        return 2 * (counted[ends] - counted[starts]) / np.maximum(1, len(found) + ends - starts)

    def most_similar(self, text: str, count: int = 10) -> Nearest:
        """Compares `text` with everything: in proportion to the pool, where `near_copy` is not."""
        from rapidfuzz.distance import LCSseq
        from rapidfuzz.process import cdist

        if not len(self):
            return Nearest((), 0.0)
        ours = self._known(words(text))
        common = cdist([ours], self._words, scorer=LCSseq.similarity)[0].tolist()
        scores = np.array([f_measure(c, len(ours), len(t)) for c, t in zip(common, self._words, strict=True)])
        nearest = np.argsort(-scores, kind="stable")[:count]
        return Nearest(tuple(Near(int(i), float(scores[i])) for i in nearest), float(scores.mean()))

    def _known(self, found: Sequence[str]) -> list[int]:
        """`found` as the numbers of `_words`, and -1 where no text has the word."""
        return [self._ids.get((word, 0), -1) for word in found]

    def _sharing_a_rare_word(self, found: Sequence[str]) -> Ints:
        """Places of the texts that pass the prefix filter, in order."""
        length, places = len(found), [np.empty(0, np.int64)]
        for number, reach in _in_front(self._numbers(found), length):
            entries = np.frombuffer(self._index[number], np.int64).reshape(-1, 3)
            places.append(entries[(entries[:, 2] >= 7 * length) & (7 * entries[:, 1] <= reach), 0])
        return np.unique(np.concatenate(places))

    def _sharing_enough(self, found: Sequence[str], places: Ints) -> list[int]:
        """Those of `places` whose texts share enough words with `found`, in whatever order."""
        if not len(places):
            return []
        ours = np.zeros(len(self._ids), np.int64)
        ours[self._numbers(found)] = 1
        shared, starts = np.frombuffer(self._shared, np.int64), np.frombuffer(self._starts, np.int64)
        lengths = np.diff(starts, append=len(shared))[places]
        ends = np.cumsum(lengths)
        inside = np.arange(ends[-1]) + np.repeat(starts[places] - (ends - lengths), lengths)
        common = np.add.reduceat(ours[shared[inside]], ends - lengths)
        return places[20 * common >= 7 * (len(found) + lengths)].tolist()

    def _numbers(self, found: Sequence[str]) -> list[int]:
        """The ids of those of `found` that the pool knows."""
        return [self._ids[word] for word in _numbered(found) if word in self._ids]


def _numbered(found: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Each word with how often it stood before, which makes the words that two texts share a plain set."""
    seen: dict[str, int] = {}
    for word in found:
        before = seen.get(word, 0)
        seen[word] = before + 1
        yield word, before


def _in_front(ids: Sequence[int], length: int) -> Iterator[tuple[int, int]]:
    """(id, reach) of the words in front of a text of `length` words in the fixed order, unknown words standing first.

    Two texts of m and n words share r ≥ 7 (m + n) / 20 of them, so their first common word has m - r words of the one
    before it at most: 7 n ≤ 13 m - 20 rank, which is the reach, and the same the other way round. The other text has at
    least 7/13 of the words of this one, since no more can be shared than it has; a shorter reach serves nobody.
    """
    for rank, number in enumerate(sorted(ids, reverse=True), length - len(ids)):
        reach = 13 * length - 20 * rank
        if 13 * reach < 49 * length:
            return
        yield number, reach
