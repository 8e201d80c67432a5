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
    return _compiled(x.dtype)


@cache
def _compiled(dtype: torch.dtype) -> Any | None:
    try:
        from nabot.models.compiled import tuning

        return tuning if tuning.ready(dtype) else None
    except Exception:  # a numba that does not fit, a full disk: nobody's tuning ends for that
        logging.getLogger(__name__).debug("tuning takes torch's operators", exc_info=True)
        return None
