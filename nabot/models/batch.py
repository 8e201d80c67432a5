"""What every linear group and every attention gets to know about the tokens before it. In: lengths, out: TokenBatch.

A decoder sees one flat run of N tokens: the documents of a batch end to end, no padding. Packing, cached decoding and
prefix tuning differ only in the `TokenBatch`, never in the decoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

BUCKET_STEP = 16  # documents whose lengths round up to the same multiple share one attention product


KeysAndValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class CachedKeys:
    """Keys and values of each document, new tokens included, padded on the right: [B, K, S, E]; B documents."""

    keys_BKSE: Tensor
    values_BKSE: Tensor
    lengths: tuple[int, ...]  # how much of S is real, by document


class KeyValueStore(Protocol):
    """Keeps keys and values of earlier tokens; may start non-empty (prefix tuning), may live in pages (serving)."""

    def extend(self, layer: int, keys_NKE: Tensor, values_NKE: Tensor) -> CachedKeys:
        """Appends the new tokens' keys and values (rotated already) and returns everything kept so far."""
        ...


class Recorder:
    """A `KeyValueStore` that keeps one document's keys and values, and begins with nothing."""

    def __init__(self) -> None:
        self.kept: list[KeysAndValues] = []

    def extend(self, layer: int, keys_NKE: Tensor, values_NKE: Tensor) -> CachedKeys:
        self.kept.append((keys_NKE, values_NKE))
        keys_BKSE, values_BKSE = (x.transpose(0, 1).unsqueeze(0) for x in (keys_NKE, values_NKE))
        return CachedKeys(keys_BKSE, values_BKSE, (len(keys_NKE),))


@dataclass(frozen=True)
class Bucket:
    """Documents of nearly one length. `tokens_BT` indexes the flat run; behind a document's end it repeats its last
    token, which causal attention never shows to a real one. `real_M` are the places of [B·T] that are real."""

    tokens_BT: Tensor
    real_M: Tensor
    targets_M: Tensor  # where the real ones stand in the flat run
    alone: slice | None  # where a single document stands: nothing has to be gathered for it

    @cached_property
    def _masks(self) -> dict[tuple[int, torch.dtype], Tensor]:
        return {}

    def mask(self, shared: int, dtype: torch.dtype) -> Tensor:
        """[T, shared + T], to add to the scores: 0 for what each of T tokens behind `shared` ones may see, else −∞."""
        key = (shared, dtype)
        if key not in self._masks:  # every layer asks
            tokens, device = self.tokens_BT.shape[1], self.tokens_BT.device
            hidden = torch.full((tokens, shared + tokens), -torch.inf, dtype=dtype, device=device)
            self._masks[key] = hidden.triu_(shared + 1)
        return self._masks[key]


@dataclass(frozen=True)
class TokenBatch:
    """Where each of N tokens stands: `positions_N` inside its document, `lengths` of the documents.

    The first `shared` tokens are the beginning of every document, computed once (a system prompt, virtual tokens); the
    documents that follow them go on where they end. N = shared + sum(lengths). Before all of them may stand a prefix
    that has no tokens: keys and values [P, K, E] for each layer, at positions 0 … P - 1. The first `silent` of the
    shared tokens are seen and see nothing themselves.
    """

    positions_N: Tensor
    lengths: tuple[int, ...]
    store: KeyValueStore | None = None
    shared: int = 0
    prefix: Sequence[KeysAndValues] = ()
    silent: int = 0

    @classmethod
    def of_documents(
        cls,
        lengths: Sequence[int],
        *,
        starts: Sequence[int] | None = None,
        store: KeyValueStore | None = None,
        shared: int = 0,
        prefix: Sequence[KeysAndValues] = (),
        device: torch.device | str = "cpu",
    ) -> "TokenBatch":
        """Documents of these lengths, end to end, behind `shared` tokens that all of them begin with.

        `starts` are the positions of their first own tokens (default: right behind the shared ones).
        """
        first = len(prefix[0][0]) if prefix else 0
        firsts = starts if starts is not None else [first + shared] * len(lengths)
        positions = [torch.arange(s, s + n) for s, n in zip(firsts, lengths, strict=True)]
        run = torch.cat([torch.arange(first, first + shared), *positions]).to(device)
        return cls(run, tuple(lengths), store, shared, prefix)

    def behind(self, tokens: int, prefix: Sequence[KeysAndValues] = ()) -> "TokenBatch":
        """The same documents with so many more tokens at the beginning of all, and a prefix before that."""
        shared = self.shared + tokens
        return self.of_documents(self.lengths, shared=shared, prefix=prefix, device=self.positions_N.device)

    @cached_property
    def prefix_as_tokens(self) -> "TokenBatch":
        """For attention, a prefix is like silent tokens at the beginning of all documents."""
        length = len(self.prefix[0][0])
        return replace(self.behind(length), silent=length)

    @cached_property
    def is_rectangular(self) -> bool:
        """All documents of one length, nothing shared: the flat run is a plain [B, T] rectangle."""
        return len(set(self.lengths)) == 1 and not self.shared

    @cached_property
    def writes(self) -> bool:
        """Every document has one new token, and a store has the others: answers go on."""
        return self.store is not None and max(self.lengths) == 1

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest document, with those that all begin with."""
        return self.shared + max(self.lengths, default=0)

    @cached_property
    def documents(self) -> tuple[tuple[int, int, int], ...]:
        """Of each that has tokens: its first token, how many, how many shared ones stand before it. The shared ones that
        see something are one, too."""
        starts = accumulate(self.lengths, initial=self.shared)
        own = [(start, length, self.shared) for start, length in zip(starts, self.lengths, strict=False) if length]
        if self.shared > self.silent:
            own.insert(0, (self.silent, self.shared - self.silent, self.silent))
        return tuple(own)

    @cached_property
    def beginning(self) -> Bucket:
        """The shared tokens that see something, as a document of their own."""
        return _bucket([(self.silent, self.shared - self.silent)], self.positions_N.device)

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """The documents grouped by length rounded up; computed once and used by every layer."""
        groups: dict[int, list[tuple[int, int]]] = {}
        start = self.shared
        for length in self.lengths:
            groups.setdefault(-(-length // BUCKET_STEP), []).append((start, length))
            start += length
        return tuple(_bucket(documents, self.positions_N.device) for _, documents in sorted(groups.items()))


def _bucket(documents: list[tuple[int, int]], device: torch.device) -> Bucket:
    starts_B1 = torch.tensor([s for s, _ in documents]).unsqueeze(1)
    lengths_B1 = torch.tensor([n for _, n in documents]).unsqueeze(1)
    steps_1T = torch.arange(int(lengths_B1.max())).unsqueeze(0)
    tokens_BT = starts_B1 + torch.minimum(steps_1T, lengths_B1 - 1)
    real_M = (steps_1T < lengths_B1).flatten().nonzero().squeeze(1)
    start, length = documents[0]
    return Bucket(
        tokens_BT.to(device),
        real_M.to(device),
        tokens_BT.flatten()[real_M].to(device),
        alone=slice(start, start + length) if len(documents) == 1 else None,
    )
