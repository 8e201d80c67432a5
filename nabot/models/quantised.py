"""Linears of few bits a weight, for a handful of rows. In: a decoder, out: the same decoder, quicker at writing.

Writing one token reads every weight once, so memory sets its speed, and a weight of 4 or 8 bits is read four or eight
times as fast as one of 32. Many rows at once (a prompt, a batch that is tuned) use each weight many times and stay with
the dense ones, which are kept beside the packed.

Products are compiled by numba (`nabot.models.compiled`), and so is the whole step of a decoder whose layers are known there.
Until that is done, and where numba or memory is missing, everything stays dense.
"""

import logging
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from threading import Lock, Thread, main_thread
from typing import TYPE_CHECKING

import psutil
import torch
from torch import Tensor, nn

from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.linear import LinearGroup, Rowwise, linear_groups
from nabot.models.packed import PackedGroup

if TYPE_CHECKING:
    from nabot.models.compiled.whole import Whole

FEW_ROWS = 16  # above, the dense product is as fast (benchmarks/results/cpu_epyc-avx2_2026-11-23_c.md)
_BLOCK = 32  # inputs that share a step
_BYTES_A_WEIGHT = 1.1  # of 8 bits, with steps


class QuantisedGroup(LinearGroup):
    """A linear group that multiplies a few rows by its packed weights, once `pack` was called, and many by its dense ones.

    A frozen base that is packed already (`nabot.models.packed`) is packed a second time, in the order in which the
    products read.
    """

    def __init__(self, dense: LinearGroup) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(vars(dense))  # it is the same group, with the same weights, and can do more
        self._row: Rowwise | None = None
        self.is_open = False  # whether rows may be multiplied here, because what does it is compiled
        self._packing = Lock()

    def note_change(self) -> None:
        with self._packing:
            had, self._row = self._row, None
        if had is not None:
            self.pack()

    def pack(self) -> None:
        """Once; whoever comes meanwhile waits."""
        from nabot.models.compiled.packing import pack

        with self._packing:
            if self._row is None and (packed := pack(self.weight.data)) is not None:
                self._row = Rowwise(packed, None if self.bias is None else self.bias.data)

    def rowwise(self) -> Rowwise | None:
        """Its packed weight and its bias; None while it is not packed, or where it cannot be."""
        return self._row

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        parts = self._row if self.is_open else None
        if parts is None or not self._takes(x_ND, batch):
            return super().forward(x_ND, batch)
        from nabot.models.compiled.alone import product

        y_NO = product(x_ND, parts.packed)
        return y_NO if self.bias is None else y_NO.add_(self.bias)

    def _takes(self, x_ND: Tensor, batch: TokenBatch | None) -> bool:
        # A prompt of a few tokens is dense, too: its product is exact.
        writes = batch is not None and batch.writes
        return writes and x_ND.shape[0] <= FEW_ROWS and not torch.is_grad_enabled()


class QuantisedPackedGroup(QuantisedGroup, PackedGroup):
    """The same on weights that are unpacked for many rows."""


class FewRows:
    """A decoder that writes a few answers at once from packed weights, as soon as these are packed."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._groups = [m for m in decoder.modules() if isinstance(m, QuantisedGroup)]
        self._whole: Whole | None = None
        self._is_ready = False
        self._is_current: bool | None = None  # not asked yet
        self._preparing: Thread | None = None

    def prepare(self) -> None:
        """Packs all weights and compiles what reads them, which takes a second, and twenty the first time on a machine.

        What prevents it (a numba that does not fit, no memory, a full disk) leaves the weights dense.
        """
        if not self._groups or self._is_ready or not _has_room(self._groups):
            return
        try:
            self._prepare()
        except Exception:
            logging.getLogger(__name__).debug("answers are written with dense weights", exc_info=True)

    def _prepare(self) -> None:
        from nabot.models.compiled.alone import product
        from nabot.models.compiled.products import IS_SUPPORTED
        from nabot.models.compiled.whole import Whole

        if not IS_SUPPORTED:
            return
        for group in self._groups:
            if _is_leaving():
                return
            group.pack()
        packed = [row.packed for group in self._groups if (row := group.rowwise()) is not None]
        if packed and not _is_leaving():
            product(torch.zeros(1, _BLOCK * packed[0].blocks), packed[0])
        whole = Whole.of(self._decoder)
        if whole is not None and whole.is_current() and not _is_leaving():
            whole.rehearse()
        self._whole = whole
        for group in self._groups:
            group.is_open = True
        self._is_ready = True

    def prepare_ahead(self) -> None:
        """The same in the background."""
        if self._groups and not self._is_ready and self._preparing is None:
            self._preparing = Thread(target=self.prepare, name="nabot-pack")
            self._preparing.start()

    def can_write(self, rows: int, *, anew: bool) -> bool:
        """Whether `logits` can be asked; whoever asks this is about to write, so that packing begins, at the latest.

        `anew`: look whether a weight or an adapter has changed since.
        """
        self.prepare_ahead()
        if not self._is_ready or self._whole is None or rows > FEW_ROWS:
            return False
        if anew or self._is_current is None:
            self._is_current = self._whole.is_current()
        return self._is_current

    def logits(
        self,
        tokens: Sequence[int],
        keys_LBKSE: Tensor,
        values_LBKSE: Tensor,
        slots: Sequence[int],
        starts: Sequence[int],
    ) -> Tensor:
        """[R, V] after one new token for each of R answers, which go on at columns `starts` of `slots` of a cache."""
        assert self._whole is not None
        x_RD = self._decoder.embed(torch.tensor(tokens))
        return self._whole.logits(x_RD, keys_LBKSE, values_LBKSE, slots, starts)


def _is_leaving() -> bool:
    """Whether the program only waits for this thread: one cut off inside torch would crash it."""
    return not main_thread().is_alive()


def _has_room(groups: Sequence[QuantisedGroup]) -> bool:
    """Whether the packed weights fit beside what is there, and one group as numbers if it has to be unpacked."""
    weights = [sum(group.members.values()) * group.in_features for group in groups]
    unpacked = max((n for n, group in zip(weights, groups, strict=True) if isinstance(group, PackedGroup)), default=0)
    return psutil.virtual_memory().available > _BYTES_A_WEIGHT * sum(weights) + 4 * unpacked


def quantise(decoder: Decoder) -> FewRows:
    """Gives every linear of the decoder, and its head, packed weights for a few rows. Does nothing off the CPU.

    Whoever changes dense weights afterwards says so by `note_change`, as `overwrite` does.
    """
    if decoder.embedding.device.type == "cpu" and available():
        if decoder.output is None:
            decoder.output = _tied_head(decoder)
        for owner, name, group in list(linear_groups(decoder)):
            if not isinstance(group, QuantisedGroup):
                kind = QuantisedPackedGroup if isinstance(group, PackedGroup) else QuantisedGroup
                setattr(owner, name, kind(group))
    return FewRows(decoder)


def _tied_head(decoder: Decoder) -> LinearGroup:
    with torch.device("meta"):
        head = LinearGroup("", {"lm_head": decoder.config.vocab_size}, decoder.config.width)
    head.weight = decoder.embedding
    head.is_tied = True
    return head


@cache
def available() -> bool:
    """Whether this machine has the compiler."""
    return find_spec("numba") is not None
