"""Rows that nearly repeat another one. In: the texts of rows, out: for each such row the earlier one that it repeats.

Two rows are near duplicates if they have the same number of texts, and each text of one shares at least 0.8 of its runs of
characters (of 5; of 3 in Hangul, kana and ideographs, which hold more) with its partner: Jaccard, without regard to case,
punctuation and spaces. Texts with other numbers in them are never alike: "room 12" is not "room 13".

Candidates come from MinHash and bands (Broder 1997; Leskovec et al., "Mining of Massive Datasets", 3.4), and each is then
compared exactly, so a hash can hide a pair (2 in 10,000 of those just above the limit) but never invent one. Questions and
answers have hashes of their own, because many rows share a long instruction and differ in the rest.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

LIMIT = 0.8
_LONG_RUN, _SHORT_RUN = 5, 3  # characters
_HASHES = 32  # of the questions, and as many of the answer
_BAND = 2  # of them on either side; 16 bands find (1 - (1 - 0.8⁴)¹⁶) of what is just alike enough
_LIKELY = 17  # equal hashes of 32 that a pair needs to be compared: at 0.8 hardly one in 100,000 has fewer
_BATCH = 2048
_NEIGHBOURS = (
    32  # in one band; what thousands share is a template, and sorting has put the likeliest next to each other
)
_SEED = 20_231

_DENSE = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff가-힣]")
_PUNCTUATION = re.compile(r"[\s.,!?;:'\"…~·“”‘’。、，！？]+")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
# Endings that leave a word what it is. None that says who does what to whom (을, 에게; hired, hiring): exchanged, they turn a sentence round.
_ENDING = re.compile(r"(?<=..)(?:은|는|이|가|들|요)\Z|(?<=[a-z]{3})s\Z")

Texts = tuple[str, ...]  # of one row: what hardly tells rows apart (a system prompt), questions and all, the answer
Progress = Callable[[int, int], None]
Hashes = np.ndarray[tuple[int, ...], np.dtype[np.uint32]]
Pairs = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def near_duplicates(rows: Sequence[Texts], on_progress: Progress = lambda _done, _total: None) -> dict[int, int]:
    """Place of each near duplicate → place of the first row that it repeats and that is none itself.

    Raises ImportError without rensa. Memory: 0.3 KB a row beside the texts.
    """
    if len(rows) < 2:
        return {}
    pairs = _candidates(_hashes(rows, on_progress))
    found: dict[int, int] = {}
    for later, earlier in pairs.tolist():  # ordered, so whether `earlier` stays is known by now
        first = found.get(earlier, earlier)  # of many that are alike only neighbours are candidates
        if later not in found and alike(rows[later], rows[first]):
            found[later] = first
    return found


def near_pairs(rows: Sequence[Texts]) -> Iterator[tuple[int, int]]:
    """(earlier, later) of rows that are near duplicates. Raises ImportError without rensa."""
    if len(rows) < 2:
        return
    for later, earlier in _candidates(_hashes(rows, lambda _done, _total: None)).tolist():
        if alike(rows[later], rows[earlier]):
            yield earlier, later


def alike(a: Texts, b: Texts) -> bool:
    """Whether one is a near duplicate of the other, exactly."""
    if len(a) != len(b):
        return False
    pairs = [(s, t) for s, t in zip(a, b, strict=True) if s != t]
    return all(_NUMBER.findall(s) == _NUMBER.findall(t) for s, t in pairs) and all(
        similarity(*p) >= LIMIT for p in pairs
    )


def forms(texts: Texts) -> tuple[Texts, Texts]:
    """What two rows that differ in form alone share, either the one or the other: their letters, without regard to case,
    punctuation and spaces, or their words without endings. Numbers as they are are part of both."""
    numbers = tuple(" ".join(_NUMBER.findall(text)) for text in texts)
    words = [_PUNCTUATION.sub(" ", text.casefold()).split() for text in texts]
    letters, stems = (
        ("".join(some) for some in words),
        (" ".join(_ENDING.sub("", one) for one in some) for some in words),
    )
    return (*letters, *numbers), (*stems, *numbers)


def similarity(a: str, b: str) -> float:
    """The Jaccard index of their runs of characters, from 0 to 1."""
    runs_a, runs_b = _runs(a), _runs(b)
    if min(len(runs_a), len(runs_b)) < LIMIT * max(len(runs_a), len(runs_b)):
        return 0.0  # whatever they share is below the limit
    shared = len(runs_a & runs_b)
    return shared / (len(runs_a) + len(runs_b) - shared)


def _runs(text: str, tag: str = "") -> set[str]:
    """All runs of a text's characters; the whole of a text that is shorter than one."""
    plain = _PUNCTUATION.sub(" ", text.casefold()).strip() or text
    length = _SHORT_RUN if _DENSE.search(plain) else _LONG_RUN
    return {tag + plain[i : i + length] for i in range(max(1, len(plain) - length + 1))}


@dataclass(frozen=True)
class _Sides:
    """The hashes of all rows, a line each."""

    questions: Hashes
    answers: Hashes


def _hashes(rows: Sequence[Texts], on_progress: Progress) -> _Sides:
    from rensa import RMinHash

    def digests(sets: list[set[str]]) -> Hashes:
        matrix = RMinHash.digest_matrix_from_token_sets(sets, num_perm=_HASHES, seed=_SEED)
        return np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(sets), _HASHES)

    questions, answers = (np.empty((len(rows), _HASHES), np.uint32) for _ in range(2))
    for start in range(0, len(rows), _BATCH):
        batch = slice(start, start + _BATCH)
        questions[batch] = digests([_tagged(row[1:-1]) for row in rows[batch]])
        answers[batch] = digests([_runs(row[-1]) for row in rows[batch]])
        on_progress(min(start + _BATCH, len(rows)), len(rows))
    return _Sides(questions, answers)


def _tagged(texts: Texts) -> set[str]:
    """Runs of several texts, told apart by their text: then the whole is at least as alike as its least alike part."""
    return set().union(*(_runs(text, str(i) if i else "") for i, text in enumerate(texts))) if texts else {""}


def _candidates(sides: _Sides) -> Pairs:
    """(later, earlier) of rows that share a band and enough hashes, ordered."""
    keys = [_band_key(sides, start) for start in range(0, _HASHES, _BAND)]
    found = [np.empty((0, 2), np.int64)]
    for n, key in enumerate(keys):
        order = np.lexsort((keys[(n + 1) % len(keys)], key))
        for distance in range(1, min(_NEIGHBOURS + 1, len(key))):
            a, b = order[:-distance], order[distance:]
            same = key[a] == key[b]
            if not same.any():
                break
            a, b = a[same], b[same]
            likely = _enough(sides.questions, a, b) & _enough(sides.answers, a, b)
            found.append(np.stack([np.maximum(a, b)[likely], np.minimum(a, b)[likely]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _enough(hashes: Hashes, a: Pairs, b: Pairs) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which pairs have enough hashes in common."""
    enough = np.empty(len(a), np.bool_)
    for some in _slices(len(a)):
        enough[some] = (hashes[a[some]] == hashes[b[some]]).sum(axis=1) >= _LIKELY
    return enough


def _slices(length: int) -> Iterator[slice]:
    step = 1 << 17  # 16 MB of hashes on either side
    return (slice(start, start + step) for start in range(0, length, step))


def _band_key(sides: _Sides, start: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """One number for a band of both sides; two bands that differ share it once in 2⁶⁴."""
    key = np.zeros(len(sides.questions), np.uint64)
    for side in (sides.questions, sides.answers):
        for column in range(start, start + _BAND):
            key = (key ^ side[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
    return key
