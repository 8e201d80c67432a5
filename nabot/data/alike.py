"""Which texts have been there before, or nearly so. In: texts one after the other, out: whether each is new.

Two texts are nearly the same if of all runs of five words that either has, nine of ten are in both (Jaccard). What is kept
of a text is the smallest hashes of its runs, which are a fair sample of them (Broder 1997, "min-wise", bottom-k).
"""

import re
import zlib
from array import array
from collections import deque

_RUN_WORDS = 5
_SAME_SHARE = 0.9
_SAMPLED = 64  # hashes: the share is known within 4 %
_KEYS = 4  # of them by which a text is found: one is shared by 99.99 % of what is that alike
_REMEMBERED = 50_000  # texts, about 50 MB; beyond that the oldest are forgotten
_WORD = re.compile(r"\w+")


class Seen:
    """The texts of one run, as samples."""

    def __init__(self) -> None:
        self._by_key: dict[int, array[int]] = {}
        self._keys: deque[int] = deque()  # in order of their coming

    def is_new(self, text: str) -> bool:
        """Whether no text before was nearly this one; from now on this one is among them. Differences of case,
        punctuation and spaces do not count."""
        sample = _sample(text)
        if not sample:
            return True
        keys = sample[:_KEYS]
        if any(_share(sample, self._by_key[key]) >= _SAME_SHARE for key in keys if key in self._by_key):
            return False
        for key in keys:
            if key not in self._by_key:
                self._keys.append(key)
            self._by_key[key] = sample
        while len(self._keys) > _KEYS * _REMEMBERED:
            del self._by_key[self._keys.popleft()]
        return True


def _sample(text: str) -> "array[int]":
    """The smallest hashes of its runs of words, in order; nothing for a text without words."""
    words = _WORD.findall(text.casefold())
    runs = {" ".join(words[i : i + _RUN_WORDS]) for i in range(max(1, len(words) - _RUN_WORDS + 1))} - {""}
    return array(
        "I", sorted(zlib.crc32(run.encode(errors="replace")) for run in runs)[:_SAMPLED]
    )  # hash() differs by process


def _share(a: "array[int]", b: "array[int]") -> float:
    """The Jaccard index, estimated from the smallest hashes of both together."""
    both = set(a) & set(b)
    smallest = sorted({*a, *b})[:_SAMPLED]
    return sum(value in both for value in smallest) / len(smallest)
