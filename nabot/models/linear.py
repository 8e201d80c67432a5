"""Linear groups: several projections of one input as one product. In: x_ND, out: their results side by side.

Members carry the names that Hugging Face gives its modules; the stacked parameter is the truth, and the names live only
in the map `slots`. Whatever changes a projection from outside (an adapter, a quantised base) replaces a group by one
with the same signature.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nabot.models.batch import TokenBatch


class Part(nn.Module):
    """A module that is called as the function it is. PyTorch looks for hooks first, which takes as long as one row's
    arithmetic; parts of a layer have none (layers may)."""

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)


class Projection(Protocol):
    """The signature of a linear group and of all that replaces one."""

    path: str
    members: Mapping[str, int]

    def __call__(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor: ...


class Rowwise(NamedTuple):
    """What a linear group computes for one row, in parts: W x + b + B A x."""

    packed: Any  # W: `nabot.models.compiled.packing.Packed`
    bias: Tensor | None = None  # [O]
    down: Tensor | None = None  # A [R, D], float32
    up: tuple[tuple[slice, slice, Tensor], ...] = ()  # pieces of B: which ranks, which outputs, [ranks, outputs]


def rowwise(group: nn.Module | None) -> Rowwise | None:
    """The parts of a group, the same object as long as they have not changed; None if it has no such parts."""
    parts = getattr(group, "rowwise", None)
    return parts() if parts is not None else None


class LinearGroup(Part):
    """y = x Wᵀ (+ b), W being the members' weights stacked along their outputs.

    `path` is the Hugging Face module path of the parent ("model.layers.0.self_attn"), `members` maps a member's name
    ("q_proj") to its number of outputs.
    """

    is_tied = False  # `weight` is the embedding, which is named and saved as such
    is_packed = False  # `weight` would be made anew whenever it is asked for

    def __init__(self, path: str, members: Mapping[str, int], in_features: int, *, bias: bool = False) -> None:
        super().__init__()
        self.path = path
        self.members = dict(members)
        self.in_features = in_features
        out_features = sum(members.values())
        self.weight = nn.Parameter(torch.empty(out_features, in_features), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(out_features), requires_grad=False) if bias else None

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        return F.linear(x_ND, self.weight, self.bias)

    # Whatever replaces a group and has a backward pass of its own asks these, so that the weights may be packed.

    def product(self, x_ND: Tensor) -> Tensor:
        """x Wᵀ (+ b), a new tensor, for the inside of an autograd Function."""
        return F.linear(x_ND, self.weight, self.bias)

    def back(self, dy_NO: Tensor) -> Tensor:
        """dy W, a new tensor: the gradient of `product` with respect to its input."""
        return dy_NO @ self.weight

    def member(self, name: str) -> Tensor:
        """The weight of one member, to be read."""
        return self.weight.data[dict(member_rows(self.members))[name]]

    def overwrite(self, name: str, weight: Tensor) -> None:
        """Another weight for one member, rounded to the dtype here. Raises ConfigError where weights cannot change."""
        self.member(name).copy_(weight)
        self.note_change()

    def note_change(self) -> None:
        """Called when the weights have been written to from outside: what was made of them before is forgotten."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the numbers that the product is computed with."""
        return self.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def slots(self) -> Iterator[tuple[str, Tensor]]:
        """(Hugging Face tensor name, view of the stacked parameter) for every member."""
        if self.is_tied:
            return
        for name, rows in member_rows(self.members):
            yield self.full_name(name, "weight"), self.weight.data[rows]
            if self.bias is not None:
                yield self.full_name(name, "bias"), self.bias.data[rows]

    def full_name(self, member: str, part: str) -> str:
        """As Hugging Face calls the tensor; the head has no parent."""
        return f"{self.path}.{member}.{part}" if self.path else f"{member}.{part}"


def member_rows(members: Mapping[str, int]) -> Iterator[tuple[str, slice]]:
    """Each member and the slice of the stacked outputs that is its own."""
    start = 0
    for name, size in members.items():
        yield name, slice(start, start + size)
        start += size


def linear_groups(module: nn.Module) -> Iterator[tuple[nn.Module, str, LinearGroup]]:
    """(owner, attribute, group) of every group below `module`, wrapped ones included, in the order of the layers."""
    for owner in module.modules():
        for attribute, child in owner.named_children():
            if isinstance(child, LinearGroup):
                yield owner, attribute, child
