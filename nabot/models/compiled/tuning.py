"""What of tuning is compiled. In and out: tensors."""

from nabot.models.compiled.attending import attend, attend_back
from nabot.models.compiled.rows import gate, gate_back, norm, norm_back, softmax_to_gradient, turn
from nabot.models.compiled.team import TYPES, is_there

__all__ = [
    "TYPES",
    "attend",
    "attend_back",
    "gate",
    "gate_back",
    "is_there",
    "norm",
    "norm_back",
    "softmax_to_gradient",
    "turn",
]
