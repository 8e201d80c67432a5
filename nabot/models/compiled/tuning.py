"""What of tuning is compiled. In and out: tensors."""

from functools import cache

import torch

from nabot.models.compiled import attending, rows
from nabot.models.compiled.attending import attend, attend_back
from nabot.models.compiled.rows import gate, gate_back, norm, norm_back, softmax_to_gradient, turn
from nabot.models.compiled.team import TYPES, is_there

__all__ = ["attend", "attend_back", "gate", "gate_back", "norm", "norm_back", "ready", "softmax_to_gradient", "turn"]


@cache
def ready(dtype: torch.dtype) -> bool:
    """Compiles what there is for a dtype, unless that cannot be here; raises what numba raises."""
    if not is_there() or dtype not in TYPES:
        return False
    attending.prepare(dtype)
    rows.prepare(dtype)
    return True
