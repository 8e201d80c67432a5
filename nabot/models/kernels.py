"""Compiled operators on many rows, where they can be had. In: a tensor, out: what computes with its like.

They are compiled by numba when the first step of tuning asks, which takes some seconds once on a machine, and run on
torch's own threads. Elsewhere (another device or dtype, a torch without GNU's OpenMP, no numba) torch's operators do.
"""

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor


def kernels_for(x: Tensor) -> Any | None:
    """`nabot.models.compiled.tuning` if it has kernels for this tensor and gradients are wanted."""
    if not torch.is_grad_enabled() or x.device.type != "cpu":
        return None
    compiled = _compiled()
    return compiled if compiled is not None and x.dtype in compiled.TYPES else None


@cache
def _compiled() -> Any | None:
    try:
        from nabot.models.compiled import tuning
    except Exception:
        logging.getLogger(__name__).debug("tuning takes torch's operators", exc_info=True)
        return None
    return tuning if tuning.is_there() else None
