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
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self.tokens: list[list[int]] = []  # by slot: whose keys and values stand in its first columns

    def reserve(self, slots: int, length: int) -> None:
        """Makes room for `slots` sequences of `length` tokens; what is kept stays."""
        capacity = self.before + length
        if slots <= len(self.tokens) and capacity <= self._capacity:
            return
        capacity = max(self._capacity, capacity, min(_FIRST_CAPACITY, self._config.max_positions))
        slots = max(slots, len(self.tokens) if slots <= len(self.tokens) else 2 * len(self.tokens))
        shape = (slots, self._config.num_kv_heads, capacity, self._config.head_width)
        self._keys = self._grown(shape, self._keys, [keys for keys, _ in self._beginning])
        self._values = self._grown(shape, self._values, [values for _, values in self._beginning])
        self.tokens += [[] for _ in range(slots - len(self.tokens))]
        self._capacity = capacity

    def _grown(self, shape: tuple[int, ...], old: list[Tensor], beginning: list[Tensor]) -> list[Tensor]:
        layers = []
        for layer in range(self._config.num_layers):
            # Zeros, since columns that nobody has written are masked, and even a masked NaN would spread.
            new = torch.zeros(shape, dtype=self._dtype, device=self._device)
            if old:
                new[: old[layer].shape[0], :, : old[layer].shape[2]] = old[layer]
            if beginning:
                new[:, :, : self.before] = beginning[layer].transpose(0, 1)
            layers.append(new)
        return layers

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
            for layer in (*self._keys, *self._values):
                layer[slot, :, : self.before + length] = layer[source, :, : self.before + length]
        self.tokens[slot] = list(prompt[:length])
        return length

    def move(self, source: int, target: int) -> None:
        """The sequence of `source` goes on in `target`."""
        length = self.before + len(self.tokens[source])
        for layer in (*self._keys, *self._values):
            layer[target, :, :length] = layer[source, :, :length]
        self.tokens[target] = list(self.tokens[source])

    def starts(self, slots: Sequence[int]) -> list[int]:
        """The positions of the next tokens in `slots`."""
        return [self.before + len(self.tokens[slot]) for slot in slots]

    def writer(self, slots: Sequence[int], lengths: Sequence[int]) -> "SlotWriter":
        """The store for one pass over documents that go on in `slots`, with `lengths` new tokens each."""
        return SlotWriter(self._keys, self._values, slots, self.starts(slots), lengths)


class SlotWriter:
    """A `KeyValueStore` over some slots of the cache, for one pass."""

    def __init__(
        self,
        keys: list[Tensor],
        values: list[Tensor],
        slots: Sequence[int],
        starts: Sequence[int],
        lengths: Sequence[int],
    ) -> None:
        self._keys, self._values = keys, values
        self._slots, self._starts, self._lengths = list(slots), list(starts), list(lengths)
        self._seen = tuple(s + n for s, n in zip(starts, lengths, strict=True))
        self._most = max(self._seen)
        first, count = self._slots[0], len(self._slots)
        self._side_by_side = self._slots == list(range(first, first + count))
        self._several_of_one = max(lengths) == 1 < count
        device = keys[0].device
        self._rows_B = torch.tensor(self._slots, device=device)
        self._columns_B = torch.tensor(self._starts, device=device)

    def extend(self, layer: int, keys_NKE: Tensor, values_NKE: Tensor) -> CachedKeys:
        """Writes in place and returns views of (or, for scattered slots, copies from) the cache."""
        keys, values = self._keys[layer], self._values[layer]
        self._write(keys, keys_NKE)
        self._write(values, values_NKE)
        return CachedKeys(self._pick(keys), self._pick(values), self._seen)

    def _write(self, cache: Tensor, new_NKE: Tensor) -> None:
        if self._several_of_one:
            cache[self._rows_B, :, self._columns_B] = new_NKE
            return
        pieces = new_NKE.split(self._lengths) if len(self._slots) > 1 else [new_NKE]
        for slot, start, length, piece_TKE in zip(self._slots, self._starts, self._lengths, pieces, strict=True):
            cache[slot].narrow(1, start, length).copy_(piece_TKE.transpose(0, 1))

    def _pick(self, cache: Tensor) -> Tensor:
        if self._side_by_side:
            return cache.narrow(0, self._slots[0], len(self._slots)).narrow(2, 0, self._most)
        return cache[self._rows_B, :, : self._most]


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    length = min(len(first), len(second))
    for i in range(length):
        if first[i] != second[i]:
            return i
    return length
