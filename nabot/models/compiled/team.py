"""Torch's own threads, for compiled functions that work between its operators. In: a function's address and its call.

After each of its operators torch's threads wait for the next in a loop, for ten milliseconds and more: threads of one's
own would find no free core. So GNU's OpenMP, with which torch is built on Linux, calls the function on the very same ones.
Source of the interface: gcc, libgomp/libgomp.h, GOMP_parallel.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numba import cfunc, types

# What a tensor holds, and what it is computed in; numpy has no bfloat16, but its bits
TYPES = {
    torch.bfloat16: (np.uint16, np.float32),
    torch.float32: (np.float32, np.float32),
    torch.float64: (np.float64, np.float64),
}


@cache
def _parallel() -> Any:
    """GOMP_parallel of the library that torch multiplies with, or None."""
    for path in Path(torch.__file__).with_name("lib").glob("libtorch_cpu.*"):
        try:
            found = ctypes.CDLL(str(path)).GOMP_parallel  # looked for in all that it was linked with
        except (OSError, AttributeError):
            continue
        found.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        found.restype = None
        return found
    return None


def is_there() -> bool:
    """Whether torch has threads that can be had."""
    return _parallel() is not None


_compiled: dict[tuple[Callable[..., Any], torch.dtype], Any] = {}
_compiling = Lock()


def address_of(entry: Callable[[Any, Any], Callable[..., None]], dtype: torch.dtype) -> int:
    """Of the C function that `entry` makes for tensors of this dtype; compiled once, and found again by later programs."""
    found = _compiled.get((entry, dtype))
    if found is None:
        with _compiling:
            held, computed = TYPES[dtype]
            work = entry(held, computed)
            work.__qualname__ += f"_{np.dtype(held).name}"  # else all would bear one name in memory and on disk
            found = cfunc(types.void(types.voidptr), nopython=True, cache=True)(work)
            _compiled[entry, dtype] = found
    return int(found.address)


def run(function: int, call: np.ndarray) -> None:
    """Calls the C function at an address with the address of `call`, on all threads at once, until all are back."""
    _parallel()(function, call.ctypes.data, torch.get_num_threads(), 0)
