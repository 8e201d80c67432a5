"""LoRA on linear groups. In: a decoder and a LoraConfig, out: the same decoder with trainable groups in its place.

W x + (alpha / rank) · B A dropout(x), W frozen (Hu et al. 2021, arXiv 2106.09685 §4.1). Knows linear groups and
`nn.Module`; has never heard of a decoder.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nabot.errors import ConfigError
from nabot.models.batch import TokenBatch
from nabot.models.linear import LinearGroup, linear_groups, member_rows
from nabot.text import near_names, say

ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class LoraConfig:
    """What to adapt and how much; the words are PEFT's, so that its files say the same.

    `targets`: "all-linear" (every linear but the head), member names separated by commas ("q_proj,v_proj"), or
    "/regex/" over full module names. `rank_pattern`, `alpha_pattern`: other values for modules whose name ends in the
    key (a regex), e.g. {"layers.0.self_attn.q_proj": 4}.
    """

    rank: int = 16
    alpha: float = 32.0  # alpha / rank = 2 keeps the learning rate right when the rank changes
    dropout: float = 0.0
    targets: str = ALL_LINEAR  # Dettmers et al. 2023, §4: all linears matter more than the rank
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)

    def rank_of(self, name: str) -> int:
        """Rank of the module with this full name."""
        return int(_pattern_value(self.rank_pattern, name, self.rank))

    def scale_of(self, name: str) -> float:
        """alpha / rank of the module with this full name."""
        return float(_pattern_value(self.alpha_pattern, name, self.alpha)) / self.rank_of(name)


def _pattern_value(pattern: Mapping[str, Any], name: str, default: Any) -> Any:
    return next((v for key, v in pattern.items() if re.fullmatch(rf"(.*\.)?({key})", name)), default)


class Slot(NamedTuple):
    """One adapted member: its rows in the stacked output, its rows in the stacked A, its scale."""

    name: str
    out: slice
    rank: slice
    scale: float


class _LoraLinear(torch.autograd.Function):
    """One wide frozen product, one stacked A, each B into its slice; backward gives dX, dA, dB and nothing else."""

    @staticmethod
    def forward(
        ctx: Any,
        x_ND: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        slots: tuple[Slot, ...],
        mask_ND: Tensor | None,
        a_RD: Tensor,
        *bs: Tensor,
    ) -> Tensor:
        a_RD = a_RD.to(x_ND.dtype)
        bs = tuple(b.to(x_ND.dtype) for b in bs)
        y = F.linear(x_ND, weight, bias)
        h_NR = _add_low_rank(y, x_ND if mask_ND is None else x_ND * mask_ND, slots, a_RD, bs)
        ctx.slots = slots
        ctx.save_for_backward(x_ND, weight, mask_ND, h_NR, a_RD, *bs)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, weight, mask_ND, h_NR, a_RD, *bs = ctx.saved_tensors
        dh_NR = torch.empty_like(h_NR)
        dbs = []
        for slot, b in zip(ctx.slots, bs, strict=True):
            dy_i = dy[:, slot.out]
            dh_NR[:, slot.rank].addmm_(dy_i, b, beta=0, alpha=slot.scale)
            dbs.append(torch.empty_like(b).addmm_(dy_i.t(), h_NR[:, slot.rank], beta=0, alpha=slot.scale))
        da = dh_NR.t() @ (x_ND if mask_ND is None else x_ND * mask_ND)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = dy @ weight
            if mask_ND is None:
                dx.addmm_(dh_NR, a_RD)
            else:
                dx.addcmul_(dh_NR @ a_RD, mask_ND)
        return dx, None, None, None, None, da, *dbs


def _add_low_rank(y: Tensor, x_ND: Tensor, slots: Sequence[Slot], a_RD: Tensor, bs: Sequence[Tensor]) -> Tensor:
    """Adds every pair's part to its slice of y; returns x Aᵀ [N, R]."""
    h_NR = x_ND @ a_RD.t()
    for slot, b in zip(slots, bs, strict=True):
        y[:, slot.out].addmm_(h_NR[:, slot.rank], b.t(), alpha=slot.scale)
    return h_NR


class LoraGroup(nn.Module):
    """A linear group with LoRA on some of its members. A of all members is one stacked parameter [R, D]."""

    def __init__(self, base: LinearGroup, config: LoraConfig, adapted: list[str]) -> None:
        super().__init__()
        self.base = base
        self.path, self.members = base.path, base.members
        self.config = config
        self.slots = tuple(_slots(base, config, adapted))
        device = base.weight.device
        # float32 whatever the base is computed in: in bfloat16 most updates would round away
        kind = torch.promote_types(base.weight.dtype, torch.float32)
        total = sum(s.rank.stop - s.rank.start for s in self.slots)
        self.lora_a = nn.Parameter(torch.empty(total, base.in_features, dtype=kind, device=device))
        self.lora_b = nn.ParameterDict(
            {
                s.name: nn.Parameter(
                    torch.zeros(s.out.stop - s.out.start, s.rank.stop - s.rank.start, dtype=kind, device=device)
                )
                for s in self.slots
            }
        )
        bound = 1 / math.sqrt(base.in_features)  # kaiming_uniform(a=√5), as microsoft/LoRA and PEFT start A
        nn.init.uniform_(self.lora_a, -bound, bound)

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        mask = None
        if self.training and self.config.dropout > 0:
            keep = 1 - self.config.dropout
            mask = torch.empty_like(x_ND).bernoulli_(keep).div_(keep)
        bs = [self.lora_b[s.name] for s in self.slots]
        if mask is None and not torch.is_grad_enabled():
            y = self.base(x_ND, batch)  # the group, not its weight: it may have a quicker way for a few rows
            _add_low_rank(y, x_ND, self.slots, self.lora_a.to(x_ND.dtype), [b.to(x_ND.dtype) for b in bs])
            return y
        return _LoraLinear.apply(x_ND, self.base.weight, self.base.bias, self.slots, mask, self.lora_a, *bs)

    def tensors(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(full module name, A [r, in], B [out, r]) of every adapted member; views, not copies."""
        for slot in self.slots:
            yield f"{self.path}.{slot.name}", self.lora_a.data[slot.rank], self.lora_b[slot.name].data


def _slots(base: LinearGroup, config: LoraConfig, adapted: list[str]) -> Iterator[Slot]:
    start = 0
    for name, rows in member_rows(base.members):
        if name in adapted:
            full = f"{base.path}.{name}"
            rank = config.rank_of(full)
            yield Slot(name, rows, slice(start, start + rank), config.scale_of(full))
            start += rank


def attach_lora(module: nn.Module, config: LoraConfig) -> None:
    """Puts LoRA on the targets below `module`, B at zero: nothing changes until it learns. Draws A from torch's RNG.

    Raises ConfigError if a target names nothing, or if an adapter is attached already.
    """
    if any(lora_groups(module)):
        raise ConfigError(say("adapters.attached_already"))
    attach_to(module, config, set(shape_of(module, config)))


def attach_to(module: nn.Module, config: LoraConfig, chosen: set[str]) -> None:
    """The same for exactly the modules whose full names are in `chosen`."""
    for owner, attribute, group in list(linear_groups(module)):
        adapted = [m for m in group.members if f"{group.path}.{m}" in chosen]
        if adapted:
            setattr(owner, attribute, LoraGroup(group, config, adapted).train(module.training))


def shape_of(module: nn.Module, config: LoraConfig) -> dict[str, tuple[int, float]]:
    """What `attach_lora` would adapt: full module name → rank and scale. Raises ConfigError if a target names nothing."""
    known = [f"{g.path}.{m}" for _, _, g in linear_groups(module) for m in g.members if g.path]
    return {name: (config.rank_of(name), config.scale_of(name)) for name in _targets(known, config.targets)}


def set_dropout(module: nn.Module, dropout: float) -> None:
    """Another share of inputs left out while learning; the attached adapter stays as it is."""
    for group in lora_groups(module):
        group.config = replace(group.config, dropout=dropout)


def detach_lora(module: nn.Module) -> None:
    """Gives the plain groups back; the adapter's tensors are forgotten."""
    for owner, attribute, group in list(_lora_places(module)):
        setattr(owner, attribute, group.base)


def fuse(module: nn.Module) -> None:
    """Adds scale · B A into the frozen weights and takes the adapter off. In bfloat16 this rounds; in float64 it is exact."""
    for owner, attribute, group in list(_lora_places(module)):
        for slot in group.slots:
            weight = group.base.weight.data[slot.out]
            delta = slot.scale * (group.lora_b[slot.name].data @ group.lora_a.data[slot.rank])
            weight.copy_(weight.to(delta.dtype) + delta)
        setattr(owner, attribute, group.base)


def config_of(module: nn.Module) -> LoraConfig:
    """The settings of the attached adapter. Raises ConfigError if there is none."""
    group = next(lora_groups(module), None)
    if group is None:
        raise ConfigError(say("adapters.none_attached"))
    return group.config


def lora_groups(module: nn.Module) -> Iterator[LoraGroup]:
    """Every group with an adapter, in the order of the layers."""
    for _, _, group in _lora_places(module):
        yield group


def _lora_places(module: nn.Module) -> Iterator[tuple[nn.Module, str, LoraGroup]]:
    for owner in module.modules():
        for attribute, child in owner.named_children():
            if isinstance(child, LoraGroup):
                yield owner, attribute, child


def _targets(known: list[str], targets: str) -> set[str]:
    if targets == ALL_LINEAR:
        return set(known)
    if len(targets) > 1 and targets.startswith("/") and targets.endswith("/"):
        chosen = {name for name in known if re.fullmatch(targets[1:-1], name)}
        return chosen or _no_target(targets, known)
    chosen = set()
    for wanted in (t.strip() for t in targets.split(",")):
        found = {name for name in known if name == wanted or name.endswith(f".{wanted}")}
        chosen |= found or _no_target(wanted, known)
    return chosen


def _no_target(wanted: str, known: list[str]) -> set[str]:
    names = sorted({name.rsplit(".", 1)[-1] for name in known})
    near = near_names(wanted, names)
    raise ConfigError(say("adapters.no_target", wanted=wanted, near=near, known=", ".join(names)))
