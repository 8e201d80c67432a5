"""LoRA's arithmetic: W x + scale · B A dropout(x) for stacked members, as one autograd Function. In and out: tensors.

Hu et al. 2021, arXiv 2106.09685 §4.1; W is frozen.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nabot.models.linear import LinearGroup


class Slot(NamedTuple):
    """One adapted member: its rows in the stacked output, its rows in the stacked A, its scale."""

    name: str
    out: slice
    rank: slice
    scale: float

    @property
    def outputs(self) -> int:
        return int(self.out.stop - self.out.start)

    @property
    def size(self) -> int:
        """Its rank."""
        return int(self.rank.stop - self.rank.start)


class LoraLinear(torch.autograd.Function):
    """One wide frozen product, one stacked A, each B into its slice; backward gives dX, dA, dB and nothing else."""

    @staticmethod
    def forward(
        ctx: Any,
        x_ND: Tensor,
        group: LinearGroup,
        slots: tuple[Slot, ...],
        mask_ND: Tensor | None,
        a_RD: Tensor,
        *bs: Tensor,
    ) -> Tensor:
        a_RD = a_RD.to(x_ND.dtype)
        bs = tuple(b.to(x_ND.dtype) for b in bs)
        y = group.product(x_ND)
        h_NR = add_low_rank(y, x_ND if mask_ND is None else x_ND * mask_ND, slots, a_RD, bs)
        ctx.group, ctx.slots = group, slots
        ctx.save_for_backward(x_ND, mask_ND, h_NR, a_RD, *bs)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x_ND, mask_ND, h_NR, a_RD, *bs = ctx.saved_tensors
        dh_NR = torch.empty_like(h_NR)
        dbs = []
        for slot, b in zip(ctx.slots, bs, strict=True):
            dy_i = dy[:, slot.out]
            dh_NR[:, slot.rank].addmm_(dy_i, b, beta=0, alpha=slot.scale)
            dbs.append(torch.empty_like(b).addmm_(dy_i.t(), h_NR[:, slot.rank], beta=0, alpha=slot.scale))
        da = dh_NR.t() @ (x_ND if mask_ND is None else x_ND * mask_ND)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = ctx.group.back(dy)
            if mask_ND is None:
                dx.addmm_(dh_NR, a_RD)
            else:
                dx.addcmul_(dh_NR @ a_RD, mask_ND)
        return dx, None, None, None, da, *dbs


def add_low_rank(y: Tensor, x_ND: Tensor, slots: Sequence[Slot], a_RD: Tensor, bs: Sequence[Tensor]) -> Tensor:
    """Adds every pair's part to its slice of y; returns x Aᵀ [N, R]."""
    h_NR = x_ND @ a_RD.t()
    for slot, b in zip(slots, bs, strict=True):
        y[:, slot.out].addmm_(h_NR[:, slot.rank], b.t(), alpha=slot.scale)
    return h_NR
