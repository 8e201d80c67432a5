"""Keys and values of running sequences, one contiguous slot each. In: new keys and values, out: all of a sequence's.

A slot remembers which tokens it holds, also after its sequence has ended: a new sequence that begins with the same
tokens copies their columns instead of computing them again.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nabot.models.batch import CachedKeys, KeysAndValues
from nabot.models.config import DecoderConfig

_FIRST_CAPACITY = 256  # tokens; doubled when a sequence outgrows it


class SlotCache:
    """Slots of equal capacity: for every layer keys and values [slots, K, S, E]. Grows in both directions.

    Every slot begins with the columns of `beginning`, [P, K, E] for each layer, which belong to no token.
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        dtype: torch.dtype,
        device: torch.device,
        beginning: Sequence[KeysAndValues] = (),
    ) -> None:
        self._config, self._dtype, self._device = config, dtype, device
        self._beginning = beginning
        self.before = len(beginning[0][0]) if beginning else 0
        self._capacity = 0  # columns, the beginning's included
        self.keys = self.values = torch.empty(0)  # [L, slots, K, S, E]
        self.tokens: list[list[int]] = []  # by slot: whose keys and values stand in its first columns

    def reserve(self, slots: int, length: int) -> None:
        """Makes room for `slots` sequences of `length` tokens; what is kept stays."""
        capacity = self.before + length
        if slots <= len(self.tokens) and capacity <= self._capacity:
            return
        capacity = max(self._capacity, capacity, min(_FIRST_CAPACITY, self._config.max_positions))
        slots = max(slots, len(self.tokens) if slots <= len(self.tokens) else 2 * len(self.tokens))
        config = self._config
        shape = (config.num_layers, slots, config.num_kv_heads, capacity, config.head_width)
        self.keys = self._grown(shape, self.keys, [keys for keys, _ in self._beginning])
        self.values = self._grown(shape, self.values, [values for _, values in self._beginning])
        self.tokens += [[] for _ in range(slots - len(self.tokens))]
        self._capacity = capacity

    def _grown(self, shape: tuple[int, ...], old: Tensor, beginning: list[Tensor]) -> Tensor:
        # Zeros, since columns that nobody has written are masked, and even a masked NaN would spread.
        new = torch.zeros(shape, dtype=self._dtype, device=self._device)
        if len(old):
            new[:, : old.shape[1], :, : old.shape[3]] = old
        for layer, columns_PKE in zip(new, beginning, strict=False):
            layer[:, :, : self.before] = columns_PKE.transpose(0, 1)
        return new

    def grow_for(self, length: int) -> None:
        """Room for a sequence of `length` tokens, doubled so that growing stays rare."""
        if self.before + length > self._capacity:
            doubled = max(2 * self._capacity - self.before, length)
            self.reserve(len(self.tokens), min(doubled, self._config.max_positions - self.before))

    def adopt(self, slot: int, prompt: Sequence[int]) -> int:
        """Fills `slot` with the longest beginning of `prompt` that some slot holds; returns its length.

        The last token is left out: its logits are wanted, so it has to be computed.
        """
        lengths = [common_prefix(held, prompt[:-1]) for held in self.tokens]
        source = max(range(len(lengths)), key=lambda s: (lengths[s], s == slot))
        length = lengths[source]
        if source != slot and length:
            self._copy(source, slot, length)
        self.tokens[slot] = list(prompt[:length])
        return length

    def move(self, source: int, target: int) -> None:
        """The sequence of `source` goes on in `target`."""
        self._copy(source, target, len(self.tokens[source]))
        self.tokens[target] = list(self.tokens[source])

    def _copy(self, source: int, target: int, length: int) -> None:
        for cache in (self.keys, self.values):
            cache[:, target, :, : self.before + length] = cache[:, source, :, : self.before + length]

    def starts(self, slots: Sequence[int]) -> list[int]:
        """The positions of the next tokens in `slots`."""
        return [self.before + len(self.tokens[slot]) for slot in slots]

    def writer(self, slots: Sequence[int], lengths: Sequence[int]) -> "SlotWriter":
        """The store for one pass over documents that go on in `slots`, with `lengths` new tokens each."""
        return SlotWriter(self.keys, self.values, slots, self.starts(slots), lengths)


class SlotWriter:
    """A `KeyValueStore` over some slots of the cache, for one pass."""

    def __init__(
        self,
        keys_LBKSE: Tensor,
        values_LBKSE: Tensor,
        slots: Sequence[int],
        starts: Sequence[int],
        lengths: Sequence[int],
    ) -> None:
        self._keys, self._values = (_Pass(cache, slots, starts, lengths) for cache in (keys_LBKSE, values_LBKSE))
        self._seen = tuple(s + n for s, n in zip(starts, lengths, strict=True))

    def extend(self, layer: int, keys_NKE: Tensor, values_NKE: Tensor) -> CachedKeys:
        """Writes in place and returns views of (or, for scattered slots, copies from) the cache."""
        return CachedKeys(self._keys.extend(layer, keys_NKE), self._values.extend(layer, values_NKE), self._seen)


class _Pass:
    """Keys, or values, as one pass writes and reads them. What differs by layer in nothing but the layer is cut out of
    the cache once: for one token, cutting would take longer than copying."""

    def __init__(
        self, cache_LBKSE: Tensor, slots: Sequence[int], starts: Sequence[int], lengths: Sequence[int]
    ) -> None:
        first, count = slots[0], len(slots)
        self._lengths = list(lengths)
        self._most = max(s + n for s, n in zip(starts, lengths, strict=True))
        self._layers = cache_LBKSE.unbind(0)
        self._rows_B = torch.tensor(slots, device=cache_LBKSE.device)
        self._columns_B = torch.tensor(starts, device=cache_LBKSE.device)
        self._several_of_one = max(lengths) == 1 < count
        self._places = (
            []
            if self._several_of_one
            else [
                cache_LBKSE[:, slot, :, start : start + length].transpose(1, 2).unbind(0)  # [T, K, E] of each layer
                for slot, start, length in zip(slots, starts, lengths, strict=True)
            ]
        )
        side_by_side = list(slots) == list(range(first, first + count))
        self._kept = cache_LBKSE[:, first : first + count, :, : self._most].unbind(0) if side_by_side else ()

    def extend(self, layer: int, new_NKE: Tensor) -> Tensor:
        """All that is kept, [B, K, S, E], the new included."""
        if self._several_of_one:
            self._layers[layer][self._rows_B, :, self._columns_B] = new_NKE
        else:
            pieces = new_NKE.split(self._lengths) if len(self._places) > 1 else [new_NKE]
            for place, piece_TKE in zip(self._places, pieces, strict=True):
                place[layer].copy_(piece_TKE)
        return self._kept[layer] if self._kept else self._layers[layer][self._rows_B, :, : self._most]


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    length = min(len(first), len(second))
    for i in range(length):
        if first[i] != second[i]:
            return i
    return length
