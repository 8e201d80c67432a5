"""Learning rates over a run. In: a step and the run's length, out: a factor of the peak rate."""

import math
from typing import Literal

Schedule = Literal["cosine", "linear", "constant"]


def factor(schedule: Schedule, step: int, warmup_steps: int, total_steps: int) -> float:
    """What the peak rate is multiplied by in step `step` (from 0): linear warm-up, then down to 0 at `total_steps`.

    The same numbers as transformers' `get_*_schedule_with_warmup`.
    """
    if step < warmup_steps:
        return step / max(1, warmup_steps)
    if schedule == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    if schedule == "linear":
        return max(0.0, 1.0 - progress)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))
