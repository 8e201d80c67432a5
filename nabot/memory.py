"""How much memory this process takes. In: nothing, out: bytes, as the operating system counts them."""

import psutil


def used_memory_bytes() -> int:
    """Resident memory now."""
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int:
    """The most resident memory since the process began."""
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, kilobytes elsewhere
