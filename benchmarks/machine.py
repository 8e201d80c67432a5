"""What a result has to say about where it was measured. In: nothing, out: names, versions, and the machine's own speed."""

import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

_ROWS, _INNER, _OUTER = 1024, 576, 3072  # a packed pass through the gate and up projections of SmolLM2-135M
_SECONDS = 0.5


def describe() -> dict[str, Any]:
    """Processor, threads, systems and versions."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "isa": torch.backends.cpu.get_cpu_capability(),
    }


def gemm_rates() -> dict[str, float]:
    """Multiply-adds counted as two, in GFLOP/s, of a plain product in each dtype: the ceiling of everything else."""
    return {str(t).removeprefix("torch."): round(_rate(t) / 1e9, 1) for t in (torch.float32, torch.bfloat16)}


def _rate(dtype: torch.dtype) -> float:
    x = torch.ones(_ROWS, _INNER, dtype=dtype)
    w = torch.ones(_OUTER, _INNER, dtype=dtype)
    times = []
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end or len(times) < 3:
        begun = time.perf_counter()
        torch.mm(x, w.t())
        times.append(time.perf_counter() - begun)
    return 2 * _ROWS * _INNER * _OUTER / min(times)


def _processor() -> str:
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor()
