"""What this machine computes fastest in. In: nothing, out: a device and a dtype.

A short race decides, not a CPU flag: where bfloat16 has no units of its own, its products are many times slower.
"""

import time
from collections.abc import Callable

import torch

from nabot.errors import ConfigError
from nabot.text import say

_ROWS, _INNER, _OUTER = 256, 768, 768  # like a short run of tokens through one linear
_TIMED_SECONDS = 0.03
_WORTH_IT = 1.15  # bfloat16 costs digits, so it has to win clearly


def choose_device(name: str) -> torch.device:
    """The named device; "auto" is CUDA, then Apple's MPS, then the CPU. Raises ConfigError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(say("models.no_device", name=name, reason=str(error).splitlines()[0])) from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The named dtype; "auto" is whichever of float32 and bfloat16 multiplies faster here."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}[name]
    slow, fast = (_seconds_a_product(dtype, device) for dtype in (torch.float32, torch.bfloat16))
    return torch.bfloat16 if slow > fast * _WORTH_IT else torch.float32


def _seconds_a_product(dtype: torch.dtype, device: torch.device) -> float:
    try:
        x = torch.ones(_ROWS, _INNER, dtype=dtype, device=device)
        w = torch.ones(_OUTER, _INNER, dtype=dtype, device=device)
        return _best(lambda: float((x @ w.t())[0, 0]))  # reading a value waits for the device
    except RuntimeError:
        return float("inf")


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of the runs that fit the time; the first, which warms up, does not count."""
    work()
    best, end = float("inf"), time.perf_counter() + _TIMED_SECONDS
    while time.perf_counter() < end or best == float("inf"):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return best
