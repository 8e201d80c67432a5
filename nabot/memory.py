"""How much memory this process takes. In: nothing, out: bytes, as the operating system counts them."""

import ctypes
import sys
from pathlib import Path

import psutil

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_MOST = 32 << 20  # bytes; glibc takes no more


def used_memory_bytes() -> int:
    """Resident memory now."""
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int:
    """The most resident memory since the process began."""
    if sys.platform == "linux":  # getrusage would count what a parent had taken before it started this process
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    try:
        import resource
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, kilobytes elsewhere


def keep_freed_memory() -> None:
    """From now on freed memory is used again and not given back to the operating system, where that can be asked for.

    glibc gives the activations of every step back and gets them again page by page: 3 to 5 % of a step's time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, -1)
        mallopt(_MMAP_THRESHOLD, _MOST)
