"""Blocks that are computed again in the backward pass, so that little is kept for it. In: a block, out: what it gives.

Source: Chen et al. 2016, arXiv 1604.06174; keeping what attention gives: Korthikanti et al. 2022, arXiv 2205.05198 §5.
"""

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from nabot.models.kernels import kernels_for

Recompute = Literal["none", "blocks", "attention"]

_NAMES = (  # private operators, of which one or the other may be missing
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)
_KERNELS = [getattr(torch.ops.aten, name).default for name in _NAMES if hasattr(torch.ops.aten, name)]


def run_block(kind: Recompute, block: nn.Module, *inputs: Any) -> Tensor:
    """block(*inputs), of which the backward pass finds everything ("none"), the inputs alone ("blocks"), or the inputs
    and what the attention kernels gave ("attention"): their cost grows with the square of a document's length."""
    if kind == "none":
        return block(*inputs)
    more: dict[str, Any] = {}
    if kind == "attention":
        own = [torch.ops.nabot.attend.default] if kernels_for(inputs[0]) is not None else []
        more["context_fn"] = partial(create_selective_checkpoint_contexts, [*_KERNELS, *own])
    return checkpoint(block, *inputs, use_reentrant=False, **more)
