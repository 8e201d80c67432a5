"""Frozen linears that stay packed and are unpacked for each product. In: packed weights, out: a linear group.

What makes a large base fit: its weights take the 4 to 8 bits that they are stored in, and numbers exist for a few
million of them at a time, again in the backward pass. Nothing unpacked is kept for it (Dettmers et al. 2023, QLoRA,
arXiv 2305.14314 §3: frozen weights of few bits, an adapter of many on top).
"""

from collections.abc import Iterator
from functools import cache
from threading import local
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nabot.errors import ConfigError
from nabot.models.batch import TokenBatch
from nabot.models.linear import LinearGroup, linear_groups, member_rows
from nabot.text import say

# Weights unpacked at a time: they stay in the processor's cache until they are multiplied, and whole groups would be
# unpacked at half the speed.
_PART_WEIGHTS = 1 << 22
# Of a part at a time: what is computed on the way is of this size. Four times as large, it leaves holes in memory, as
# whole parts do: half a gigabyte at the shape of LLaMA-3.2-1B.
PIECE = 1 << 18
_ROWS = 64  # parts are multiples of it, so that blocks which run over the ends of rows are not torn apart


class PackedWeight(nn.Module):
    """One weight [O, D] in some packed form, in buffers of bytes."""

    shape: tuple[int, int]

    def unpack_into(self, place: Tensor, start: int) -> None:
        """Writes the rows from `start`, a multiple of 64, as numbers to `place` [rows, D], contiguous, of any dtype."""
        raise NotImplementedError

    def repacked(self, weight_OD: Tensor) -> "PackedWeight | None":
        """Other numbers in the same form, rounded; None: nabot reads this form and does not write it."""
        raise NotImplementedError


class PackedGroup(LinearGroup):
    """A linear group whose members are packed, each in its own form. Members are put into `packed` by the loader."""

    is_packed = True

    def __init__(self, like: LinearGroup, dtype: torch.dtype, device: torch.device) -> None:
        nn.Module.__init__(self)
        self.path, self.members, self.in_features, self.bias = like.path, like.members, like.in_features, like.bias
        self.packed = nn.ModuleDict()
        self._dtype, self._device = dtype, device

    def put(self, member: str, weight: PackedWeight) -> None:
        """The member's weight from now on."""
        assert weight.shape == self.shape_of(member), (self.path, member, weight.shape)
        self.packed[member] = weight.to(self.device)

    def shape_of(self, member: str) -> tuple[int, int]:
        """[outputs, inputs]"""
        return self.members[member], self.in_features

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        return _FrozenProduct.apply(x_ND, self)

    def product(self, x_ND: Tensor) -> Tensor:
        y_NO = x_ND.new_empty(len(x_ND), sum(self.members.values()))
        x_ND = x_ND.to(_multiplied_in(x_ND))
        for rows, weight in self._parts(x_ND.dtype):
            y_NO[:, rows] = x_ND @ weight.t()
        return y_NO if self.bias is None else y_NO.add_(self.bias)

    def back(self, dy_NO: Tensor) -> Tensor:
        # A sum over parts: in bfloat16 every addition would round.
        kind, of_parts = torch.promote_types(dy_NO.dtype, torch.float32), _multiplied_in(dy_NO)
        dx_ND = torch.zeros(len(dy_NO), self.in_features, dtype=kind, device=dy_NO.device)
        for rows, weight in self._parts(of_parts):
            dx_ND += dy_NO[:, rows].to(of_parts) @ weight
        return dx_ND.to(dy_NO.dtype)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # read-only: what is written to it would be lost
        """The stacked weight as numbers, made anew each time and as large as the dense one: for seldom use."""
        weight = torch.empty(sum(self.members.values()), self.in_features, dtype=self.dtype, device=self.device)
        for name, rows in member_rows(self.members):
            self._packed(name).unpack_into(weight[rows], 0)
        return weight

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def device(self) -> torch.device:
        return self._device

    def member(self, name: str) -> Tensor:
        weight = torch.empty(self.shape_of(name), dtype=self.dtype, device=self.device)
        self._packed(name).unpack_into(weight, 0)
        return weight

    def rounded(self, name: str, weight_OD: Tensor) -> Tensor | None:
        """What would become of these numbers in the form of a member; None if that is not written here."""
        again = self._packed(name).repacked(weight_OD)
        if again is None:
            return None
        again.to(weight_OD.device).unpack_into(place := torch.empty_like(weight_OD), 0)
        return place

    def overwrite(self, name: str, weight: Tensor) -> NoReturn:
        """Packed weights stay what they are. Raises ConfigError."""
        raise ConfigError(say("models.packed_frozen", name=self.full_name(name, "weight")))

    def slots(self) -> Iterator[tuple[str, Tensor]]:
        """Weights are for those who read them, unpacked one at a time; biases may be written, too."""
        for name, rows in member_rows(self.members):
            if name in self.packed:  # else the loader has not been there yet
                yield self.full_name(name, "weight"), self.member(name)
            if self.bias is not None:
                yield self.full_name(name, "bias"), self.bias.data[rows]

    def _packed(self, name: str) -> PackedWeight:
        packed = self.packed[name]
        assert isinstance(packed, PackedWeight)
        return packed

    def _parts(self, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
        """Outputs and their weights, a few million at a time: each is gone when the next is asked for."""
        step = max(_PART_WEIGHTS // self.in_features // _ROWS, 1) * _ROWS
        for name, rows in member_rows(self.members):
            for start in range(0, self.members[name], step):
                stop = min(start + step, self.members[name])
                place = _room((stop - start) * self.in_features, dtype, self.device).view(-1, self.in_features)
                self._packed(name).unpack_into(place, start)
                yield slice(rows.start + start, rows.start + stop), place


class _Rooms(local):
    """Of one thread: several may unpack at the same time."""

    def __init__(self) -> None:
        self.kept: dict[tuple[torch.dtype, torch.device], Tensor] = {}


_ROOMS = _Rooms()


def _room(numbers: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A place for so many numbers, the same one each time: the allocator would leave holes of its size in memory."""
    room = _ROOMS.kept.get((dtype, device))
    if room is None or room.numel() < numbers:
        with torch.inference_mode(False):  # else it could not be written to outside of that mode
            room = _ROOMS.kept[dtype, device] = torch.empty(numbers, dtype=dtype, device=device)
    return room[:numbers]


def _multiplied_in(x: Tensor) -> torch.dtype:
    """Weights can be unpacked to any dtype: to float32 where bfloat16 has no units, and is up to 200 times as slow."""
    return torch.float32 if x.dtype == torch.bfloat16 and x.device.type == "cpu" and not _has_units() else x.dtype


@cache
def _has_units() -> bool:
    # A flag and not a race, which may end otherwise when a run goes on: then its bits would be others.
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a private operator
        return True


class _FrozenProduct(torch.autograd.Function):
    """A group's product that keeps nothing for its backward pass."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, group: LinearGroup) -> Tensor:
        ctx.group = group
        return group.product(x_ND)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_NO: Tensor) -> tuple[Tensor, None]:
        return ctx.group.back(dy_NO), None


def make_packed(decoder: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Gives every linear of the decoder, and its head if it has one of its own, an empty packed group."""
    for owner, attribute, group in list(linear_groups(decoder)):
        setattr(owner, attribute, PackedGroup(group, dtype, device))


def packed_places(decoder: nn.Module) -> dict[str, tuple[PackedGroup, str]]:
    """Hugging Face tensor name → group and member, of every weight that is to be packed."""
    groups = [group for _, _, group in linear_groups(decoder) if isinstance(group, PackedGroup)]
    return {group.full_name(member, "weight"): (group, member) for group in groups for member in group.members}
