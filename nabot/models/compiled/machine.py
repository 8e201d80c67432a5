"""What compiled code needs of the machine and numba does not offer. In and out: numbers.

Tensors come in as addresses, because numba takes a microsecond to look at each array that it is given, and a decoder has
hundreds. Threads meet at a barrier that turns and waits: a layer has fourteen, and the operating system would take longer
for each than the layer's arithmetic.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import carray, njit, types
from numba.core import caching, cgutils, config
from numba.extending import intrinsic, overload


def _stamp() -> str:
    """Of all that is compiled here: functions go into one another, so what is kept of one is stale with any of them."""
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_FOLDER = Path(__file__).parent
_STAMP = _stamp()


def _locator(base: Any) -> Any:
    """Where numba keeps what it compiles, as `base` finds it, for the functions of this folder, with their common stamp."""

    class Locator(base):  # type: ignore[misc]
        def get_source_stamp(self) -> str:
            return _STAMP

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Any:
            return super().from_function(py_func, py_file) if Path(py_file).parent == _FOLDER else None

    return Locator


caching.CacheImpl._locator_classes[:0] = [
    _locator(base)
    for base in (caching.UserProvidedCacheLocator, caching.InTreeCacheLocator, caching.UserWideCacheLocator)
]


def _features() -> dict[str, bool]:
    """What instructions there are; numba's own settings go before what the processor says."""
    if config.CPU_FEATURES:
        return {name[1:]: name[0] == "+" for name in config.CPU_FEATURES.split(",")}
    return dict(binding.get_host_cpu_features())


FEATURES = _features()

# No stack traces out of compiled code, so it keeps to its bounds; sums may be taken in any order.
FAST: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy", "boundscheck": False, "cache": True}
# The same, as a part of whatever calls it and on no disk by itself. A function that is also compiled alone may be called in
# either form, which differ in their last bits: what was compiled just now, and what a later program finds on the disk.
WITHIN = {**FAST, "cache": False, "forceinline": True}
ALL = 1 << 40  # numbers, more than there are: where they end, the code knows
APART = 64  # bytes from one of the barrier's numbers to the next: two in one line of a cache would be fought over


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), code


@njit(inline="always")
def floats(address: int, count: int) -> Any:
    """float32 [count] at an address."""
    return carray(_pointer(address), (count,), np.float32)


@njit(inline="always")
def halves(address: int, count: int) -> Any:
    """float16 [count] at an address, by their bits."""
    return carray(_pointer(address), (count,), np.uint16)


@njit(inline="always")
def alike(address: int, count: int, array: Any) -> Any:
    """[count] at an address, of what `array` holds."""
    return carray(_pointer(address), (count,), array.dtype)


@intrinsic
def float_of_bits(typing: Any, bits: Any) -> Any:
    """The float32 that these 32 bits are."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), code


@intrinsic
def _bits_of_float(typing: Any, number: Any) -> Any:
    """The other way round."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), code


def widened(number: Any) -> Any:
    """A cache's number as float32: it is one, or the bits of a bfloat16, which numpy does not have."""
    raise NotImplementedError


def narrowed(number: Any, array: Any) -> Any:
    """A float32 as `array`, a cache, keeps it."""
    raise NotImplementedError


@overload(widened, inline="always")
def _widened(number):  # type: ignore[no-untyped-def]
    if number == types.uint16:
        return lambda number: float_of_bits(np.int32(number) << 16)
    return lambda number: number


@overload(narrowed, inline="always")
def _narrowed(number, array):  # type: ignore[no-untyped-def]  # numba compares signatures
    if array.dtype == types.uint16:
        return lambda number, array: _to_nearest_even(_bits_of_float(number))
    return lambda number, array: number


@njit(inline="always")
def _to_nearest_even(bits: int) -> Any:
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)


@intrinsic
def half_of_float(typing: Any, number: Any) -> Any:
    """The bits of the nearest float16."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), code


@intrinsic
def float_of_half(typing: Any, bits: Any) -> Any:
    """The float16 that these bits are."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), code


@intrinsic
def _add(typing: Any, address: Any, number: Any) -> Any:
    """Adds to the int64 at an address, whatever other threads do; returns what it was."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), code


@intrinsic
def _read(typing: Any, address: Any) -> Any:
    """The int64 at an address as other threads last wrote it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(types.int64), code


@njit(inline="always")
def draw(numbers: Any, place: int) -> int:
    """Adds one to an int64 that other threads draw from as well; returns what it was."""
    return _add(numbers.ctypes.data + 8 * place, 1)


def exp(x: Any) -> Any:
    """eˣ. Of float32 to seven digits: 2ⁿ by its bits, times 2 to the rest as a polynomial; the library's would be called
    for one number at a time."""
    raise NotImplementedError


@overload(exp, inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    if x == types.float64:
        return lambda x: np.exp(x)  # noqa: PLW0108  # numba wants a function of Python
    return lambda x: _exp_32(x)  # noqa: PLW0108


@njit(inline="always")
def _exp_32(x: Any) -> Any:
    places = min(max(x * np.float32(1.4426950408889634), np.float32(-126)), np.float32(126))
    whole = np.rint(places)
    f = places - whole
    power = np.float32(1.535336188319500e-4)  # Cephes, exp2f
    power = power * f + np.float32(1.339887440266574e-3)
    power = power * f + np.float32(9.618437357674640e-3)
    power = power * f + np.float32(5.550332471162809e-2)
    power = power * f + np.float32(2.402264791363012e-1)
    power = power * f + np.float32(6.931472028550421e-1)
    power = power * f + np.float32(1)
    return power * float_of_bits(np.int32((np.int32(whole) + 127) << 23))


@njit(**FAST)
def meet(barrier: int, crew: int) -> None:
    """Waits until `crew` threads have come here. `barrier`: address of three int64, APART, all 0 at first; nobody waits
    once the third is another, because one has failed and will not come."""
    if crew == 1:
        return
    turn = _read(barrier + APART)
    if _add(barrier, 1) == crew - 1:
        _add(barrier, -crew)
        _add(barrier + APART, 1)
    else:
        while _read(barrier + APART) == turn and not _read(barrier + 2 * APART):
            pass


@njit(inline="always")
def share(count: int, me: int, crew: int) -> tuple[int, int]:
    """First and last of `count` things that are one thread's."""
    return count * me // crew, count * (me + 1) // crew
