"""LoRA on linear groups. In: a decoder and a LoraConfig, out: the same decoder with trainable groups in its place.

Knows linear groups and `nn.Module`; has never heard of a decoder.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nabot.adapters.lora_config import LoraConfig
from nabot.adapters.lora_linear import LoraLinear, Slot, add_low_rank
from nabot.adapters.targets import chosen_names
from nabot.errors import ConfigError
from nabot.models.batch import TokenBatch
from nabot.models.linear import LinearGroup, Rowwise, linear_groups, member_rows, rowwise
from nabot.text import say

__all__ = [
    "LoraConfig",
    "LoraGroup",
    "attach_lora",
    "attach_to",
    "config_of",
    "detach_lora",
    "lora_groups",
    "lora_places",
    "set_dropout",
    "shape_of",
]

# A whole decomposition of a 7B model takes hours. With these, B A is within 3 % of it on real weights, whose singular
# values lie close together; with 16 rounds and no spare ones, as usual, it is 40 % off (Halko et al. 2011, 0909.4061).
_SPARE, _ROUNDS = 64, 8
_FEW_ROWS = 16  # up to here a product more costs more than a larger one


class LoraGroup(nn.Module):
    """A linear group with LoRA on some of its members. A of all members is one stacked parameter [R, D]."""

    def __init__(self, base: LinearGroup, config: LoraConfig, adapted: list[str]) -> None:
        super().__init__()
        self.base = base
        self.path, self.members = base.path, base.members
        self.config = config
        self.slots = tuple(_slots(base, config, adapted))
        # float32 whatever the base is computed in: in bfloat16 most updates would round away
        kind = torch.promote_types(base.dtype, torch.float32)
        empty = partial(torch.empty, dtype=kind, device=base.device)
        self.lora_a = nn.Parameter(empty(sum(s.size for s in self.slots), base.in_features), bool(adapted))
        self.lora_b = nn.ParameterDict({s.name: empty(s.outputs, s.size).zero_() for s in self.slots})
        bound = 1 / math.sqrt(base.in_features)  # kaiming_uniform(a=√5), as microsoft/LoRA and PEFT start A
        nn.init.uniform_(self.lora_a, -bound, bound)
        self.start = self._principal() if config.lora_start == "pissa" else None
        self.magnitude = nn.ParameterDict({s.name: self._norm(s) for s in self.slots} if config.dora else {})
        self.biases = nn.ParameterDict(_biases(base, config, adapted, kind))
        self._norms: tuple[list[Tensor], Tensor] | None = None  # and the A and B that they belong to
        self._answering: tuple[tuple[Any, ...], Tensor, Tensor] | None = None  # what they were made of, Aᵀ, all of B
        self._row: tuple[tuple[Any, ...], Rowwise] | None = None  # the same, for compiled code

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        y = self._with_low_rank(x_ND, batch) if self.slots else self.base(x_ND, batch)
        return y + self._bias_change().to(y.dtype) if self.biases else y

    def _with_low_rank(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        mask = None
        if self.training and self.config.dropout > 0:
            keep = 1 - self.config.dropout
            mask = torch.empty_like(x_ND).bernoulli_(keep).div_(keep)
        if not self.config.dora:
            return self._sum(x_ND, mask, batch)
        kept_ND = x_ND if mask is None else x_ND * mask
        y = self._sum(kept_ND, None, batch)
        # and not stretch · product + bias: exact where it is 1
        y = y + (self._stretch() - 1).to(y.dtype) * self._without_bias(y)
        return y if mask is None else y + self._without_bias(self.base(x_ND - kept_ND, batch))

    def _sum(self, x_ND: Tensor, mask_ND: Tensor | None, batch: TokenBatch | None) -> Tensor:
        """W x + b + scale · B A (mask · x)."""
        slots, a, bs = self._pairs()
        if mask_ND is None and not torch.is_grad_enabled():
            y = self.base(x_ND, batch)  # the group, not its weight: it may have a quicker way for a few rows
            if len(x_ND) <= _FEW_ROWS and not self.training:
                a_DR, b_RO = self._as_two(x_ND.dtype)
                return y.addmm_(x_ND @ a_DR, b_RO)
            add_low_rank(y, x_ND, slots, a.to(x_ND.dtype), [b.to(x_ND.dtype) for b in bs])
            return y
        return LoraLinear.apply(x_ND, self.base, slots, mask_ND, a, *bs)

    def _as_two(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Aᵀ [D, R], and every scale · B in its rows and columns of [R, O], for answers.

        A token alone pays for operations and not for numbers, so zeros are multiplied, too. Kept until A or B change.
        """
        made_of = (dtype, self.lora_a._version, *(b._version for b in self.lora_b.values()))
        if self._answering is None or self._answering[0] != made_of:
            slots, a, bs = self._pairs()
            b_RO = a.new_zeros(len(a), sum(self.members.values()))
            for slot, b in zip(slots, bs, strict=True):
                b_RO[slot.rank, slot.out] = slot.scale * b.t()
            self._answering = made_of, a.t().to(dtype).contiguous(), b_RO.to(dtype)
        return self._answering[1:]

    def rowwise(self) -> Rowwise | None:
        """What compiled code adds to the base for a row; None with DoRA, which stretches the sum."""
        base = rowwise(self.base)
        if base is None or self.config.dora or self.training:
            return None
        made_of = (base, self.lora_a._version, *(p._version for p in (*self.lora_b.values(), *self.biases.values())))
        if self._row is None or self._row[0][1:] != made_of[1:] or self._row[0][0] is not base:
            slots, a, bs = self._pairs()
            up = tuple((s.rank, s.out, (s.scale * b.detach().t()).contiguous()) for s, b in zip(slots, bs, strict=True))
            bias = base.bias
            if bias is not None and self.biases:
                bias = bias + self._bias_change()
            self._row = made_of, base._replace(bias=bias, down=a.detach() if self.slots else None, up=up)
        return self._row[1]

    def note_change(self) -> None:
        """Called when A or B have been written to behind autograd's back."""
        self._answering = self._row = None

    def train(self, mode: bool = True) -> "LoraGroup":
        self.note_change()
        return super().train(mode)

    def _pairs(self) -> tuple[tuple[Slot, ...], Tensor, list[Tensor]]:
        """What is added to W x: the slots, A and each B. With a start, B A - B₀ A₀ as pairs of twice the rank.

        Dropout then falls on the difference, and a fresh start stays the base; PEFT's drops parts of W itself.
        """
        bs = [self.lora_b[s.name] for s in self.slots]
        if self.start is None:
            return self.slots, self.lora_a, bs
        a_0 = self.start["a"]
        return (
            tuple(s._replace(rank=slice(2 * s.rank.start, 2 * s.rank.stop)) for s in self.slots),
            torch.cat([half[s.rank] for s in self.slots for half in (self.lora_a, a_0)]),
            [torch.cat([b, self.start[s.name]], 1) for s, b in zip(self.slots, bs, strict=True)],
        )

    @torch.no_grad()
    def _principal(self) -> nn.ParameterDict:
        """Sets A and B to the largest singular values of W, and gives A₀ and every -B₀, which keep the sum at W.

        W itself stays as it is: PEFT takes the parts out of it, and rounds.
        """
        for slot in self.slots:
            weight = self.base.member(slot.name).to(self.lora_a.dtype)
            u, values, v = torch.svd_lowrank(weight, q=min(slot.size + _SPARE, *weight.shape), niter=_ROUNDS)
            root = (values[: slot.size] / slot.scale).sqrt()
            self.lora_a[slot.rank] = (v[:, : slot.size] * root).t()
            self.lora_b[slot.name].copy_(u[:, : slot.size] * root)
        start = nn.ParameterDict({"a": self.lora_a.clone(), **{name: -b for name, b in self.lora_b.items()}})
        return start.requires_grad_(False)

    def _bias_change(self) -> Tensor:
        """What the biases have learned, [O]; the base keeps its own."""
        assert self.base.bias is not None
        parts = []
        for name, rows in member_rows(self.members):
            own = self.base.bias[rows]
            parts.append(self.biases[name] - own if name in self.biases else torch.zeros_like(own))
        return torch.cat(parts)

    def _without_bias(self, y_NO: Tensor) -> Tensor:
        return y_NO if self.base.bias is None else y_NO - self.base.bias

    # ---- DoRA

    def _stretch(self) -> Tensor:
        """magnitude / ‖W + scale · B A‖ of every output [O]; 1 where nothing is adapted. The norm counts as a constant."""
        norms = iter(self._all_norms().split([s.outputs for s in self.slots]))
        parts = [
            self.magnitude[name] / next(norms) if name in self.magnitude else self.lora_a.new_ones(size)
            for name, size in self.members.items()
        ]
        return torch.cat(parts)

    def _all_norms(self) -> Tensor:
        """Kept from one token of an answer to the next: they cost more than all the rest."""
        now = [self.lora_a.data, *(b.data for b in self.lora_b.values())]
        if self._norms is None or torch.is_grad_enabled() or not all(map(torch.equal, now, self._norms[0])):
            self._norms = [t.clone() for t in now], torch.cat([self._norm(s) for s in self.slots])
        return self._norms[1]

    def _norm(self, slot: Slot) -> Tensor:
        return torch.linalg.vector_norm(self._merged(slot), dim=1)

    @torch.no_grad()
    def _merged(self, slot: Slot) -> Tensor:
        """W + scale · B A of one member, in the adapter's dtype."""
        slots, a, bs = self._pairs()
        number = self.slots.index(slot)
        delta = slot.scale * (bs[number] @ a[slots[number].rank])
        return self.base.member(slot.name).to(delta.dtype) + delta

    # ---- what is in it

    @torch.no_grad()
    def fused(self) -> Iterator[tuple[str, Tensor]]:
        """(member, the weight [out, in] that alone computes what it does) of every adapted member; not its bias."""
        for slot in self.slots:
            weight = self._merged(slot)
            if self.magnitude:
                weight = (self.magnitude[slot.name] / self._norm(slot)).unsqueeze(1) * weight
            yield slot.name, weight

    @torch.no_grad()
    def write_into_base(self) -> None:
        """Makes the frozen weights compute what the group does. Raises ConfigError if they are packed."""
        for name, weight in self.fused():
            self.base.overwrite(name, weight)
        if self.biases and self.base.bias is not None:
            self.base.bias.data.add_(self._bias_change())

    def base_slots(self) -> Iterator[tuple[str, Tensor]]:
        """What `write_into_base` changes, by tensor name."""
        return self.base.slots()

    def tensors(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(full module name, A [r, in], B [out, r]) of every adapted member; views, not copies."""
        for slot in self.slots:
            yield f"{self.path}.{slot.name}", self.lora_a.data[slot.rank], self.lora_b[slot.name].data

    def saved(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """The same, with the start beside what has learned, so that it works on W as it is; then copies."""
        slots, a, bs = self._pairs()
        for slot, b in zip(slots, bs, strict=True):
            yield f"{self.path}.{slot.name}", a.data[slot.rank], b.data

    def has_learned(self) -> bool:
        """Whether it adds anything to W x."""
        if self.start is None:
            return any(bool((b != 0).any()) for b in self.lora_b.values())
        return not all(torch.equal(b, -self.start[name]) for name, b in self.lora_b.items())

    def magnitudes(self) -> Iterator[tuple[str, Tensor]]:
        """(full module name, length of each row [out]) of every adapted member, of DoRA."""
        for name, length in self.magnitude.items():
            yield f"{self.path}.{name}", length.data

    def learned_biases(self) -> Iterator[tuple[str, Tensor]]:
        """(full module name, bias [out]) of every member whose bias learns."""
        for name, bias in self.biases.items():
            yield f"{self.path}.{name}", bias.data


def _biases(base: LinearGroup, config: LoraConfig, adapted: list[str], kind: torch.dtype) -> dict[str, Tensor]:
    """Copies, by member."""
    if base.bias is None or config.bias == "none":
        return {}
    rows = dict(member_rows(base.members))
    learning = adapted if config.bias == "lora_only" else rows
    return {name: base.bias.data[rows[name]].to(kind, copy=True) for name in learning}


def _slots(base: LinearGroup, config: LoraConfig, adapted: list[str]) -> Iterator[Slot]:
    start = 0
    for name, rows in member_rows(base.members):
        if name in adapted:
            full = f"{base.path}.{name}"
            rank = config.rank_of(full)
            yield Slot(name, rows, slice(start, start + rank), config.scale_of(full))
            start += rank


class Shape(NamedTuple):
    """What makes two adapters of one module the same, in whatever words they were asked for."""

    rank: int
    scale: float
    dora: bool
    bias: str
    start: str


def attach_lora(module: nn.Module, config: LoraConfig) -> None:
    """Puts LoRA on the targets below `module`, B at zero: nothing changes until it learns. Draws A from torch's RNG.

    Raises ConfigError if a target names nothing, if a rank is higher than a layer's, or if an adapter is attached already.
    """
    if any(lora_groups(module)):
        raise ConfigError(say("adapters.attached_already"))
    chosen = shape_of(module, config)
    _check_ranks(module, chosen)
    attach_to(module, config, set(chosen))


def _check_ranks(module: nn.Module, chosen: Mapping[str, Shape]) -> None:
    for _, _, group in linear_groups(module):
        for member, outputs in group.members.items():
            name, most = f"{group.path}.{member}", min(outputs, group.in_features)
            if name in chosen and chosen[name].rank > most:
                raise ConfigError(say("adapters.rank_too_high", name=name, rank=chosen[name].rank, most=most))


def attach_to(module: nn.Module, config: LoraConfig, chosen: set[str]) -> None:
    """The same for exactly the modules whose full names are in `chosen`."""
    for owner, attribute, group in list(linear_groups(module)):
        adapted = [m for m in group.members if f"{group.path}.{m}" in chosen]
        if adapted or (config.bias == "all" and group.bias is not None):
            setattr(owner, attribute, LoraGroup(group, config, adapted).train(module.training))


def shape_of(module: nn.Module, config: LoraConfig) -> dict[str, Shape]:
    """What `attach_lora` would adapt, by full module name. Raises ConfigError if a target names nothing."""
    known = [f"{g.path}.{m}" for _, _, g in linear_groups(module) for m in g.members if g.path]
    common = (config.dora, config.bias, config.lora_start)
    return {
        name: Shape(config.rank_of(name), config.scale_of(name), *common)
        for name in chosen_names(known, config.targets, config.layers)
    }


def set_dropout(module: nn.Module, dropout: float) -> None:
    """Another share of inputs left out while learning; the attached adapter stays as it is."""
    for group in lora_groups(module):
        group.config = replace(group.config, dropout=dropout)


def detach_lora(module: nn.Module) -> None:
    """Gives the plain groups back; the adapter's tensors are forgotten."""
    for owner, attribute, group in list(lora_places(module)):
        setattr(owner, attribute, group.base)


def config_of(module: nn.Module) -> LoraConfig:
    """The settings of the attached adapter. Raises ConfigError if there is none."""
    group = next(lora_groups(module), None)
    if group is None:
        raise ConfigError(say("adapters.none_attached"))
    return group.config


def lora_groups(module: nn.Module) -> Iterator[LoraGroup]:
    """Every group with an adapter, in the order of the layers."""
    for _, _, group in lora_places(module):
        yield group


def lora_places(module: nn.Module) -> Iterator[tuple[nn.Module, str, LoraGroup]]:
    """The same, with where each one is: owner and attribute."""
    for owner in module.modules():
        for attribute, child in owner.named_children():
            if isinstance(child, LoraGroup):
                yield owner, attribute, child
