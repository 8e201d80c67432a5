"""The loss curve as geometry. In: lines of metrics.jsonl, out: paths, dots and ticks that a page draws as SVG.

Nothing is left to the browser: where a line goes and what a tick says is computed here, and can be tested.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

Point = tuple[float, float]  # step and loss; or x and y in pixels from the upper left corner

_TOP, _RIGHT, _BOTTOM, _LEFT = 32, 24, 48, 44  # pixels around the plot, for the labels
_LEAST = 1e-300  # a loss below it is drawn as none: floats that small cannot be divided into steps
_SMOOTHING = 1 / 20  # of the run: the window of the running mean


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, in pixels, and what stands beside it."""

    at: float
    label: str


@dataclass(frozen=True)
class Curve:
    """Everything a drawing of `width` x `height` pixels needs; `raw` and `smooth` are the `d` of SVG paths."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    raw: str
    smooth: str
    held_out: str
    dots: tuple[Point, ...]


@dataclass(frozen=True)
class Losses:
    """The two series of a run, each in the order of its steps. Held-out losses begin at step 0."""

    training: tuple[Point, ...]
    held_out: tuple[Point, ...]

    @classmethod
    def of(cls, metrics: Sequence[Mapping[str, Any]]) -> "Losses":
        """Records without a loss, or with one that is no number, are passed over; the later record of a step counts."""
        return cls(_series(metrics, "loss"), _series(metrics, "held_out_loss"))


def loss_curve(losses: Losses, width: int = 760, height: int = 320) -> Curve | None:
    """The drawing; None if there is nothing to draw."""
    points = (*losses.training, *losses.held_out)
    if not points:
        return None
    left, right, top, bottom = _LEFT, width - _RIGHT, _TOP, height - _BOTTOM
    last = max(1.0, *(step for step, _ in points))
    y_values = ticks(max(loss for _, loss in points), max(2, (bottom - top) // 45))
    x_values = [v for v in ticks(last, max(2, (right - left) // 90), whole=True) if v <= last]

    def place(point: Point) -> Point:
        x = left + (right - left) * point[0] / last
        return x, bottom - (bottom - top) * point[1] / y_values[-1]

    thinned = list(map(place, thin(losses.training, int(right - left) // 2)))
    smooth = list(map(place, thin(running_mean(losses.training), int(right - left) // 2)))
    dots = tuple(map(place, losses.held_out))
    return Curve(
        width, height, left, right, top, bottom,
        x_ticks=tuple(Tick(place((v, 0))[0], f"{v:,.0f}") for v in x_values),
        y_ticks=tuple(Tick(place((0, v))[1], _plain(v, y_values[1])) for v in y_values),
        raw=_path(thinned), smooth=_path(smooth), held_out=_path(dots), dots=dots,
    )  # fmt: skip


def ticks(highest: float, count: int, *, whole: bool = False) -> list[float]:
    """0, step, 2 · step … up to the first that is at least `highest`; the step is 1, 2 or 5 times a power of ten.

    About `count` steps, never more than twice as many; `whole` keeps them integers.
    """
    highest = highest if highest > _LEAST else 1.0
    rough = highest / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    step = max(1.0, round(step)) if whole else step
    return [i * step for i in range(max(1, math.ceil(highest / step - 1e-9)) + 1)]


def running_mean(points: Sequence[Point]) -> list[Point]:
    """Each loss replaced by the mean over a window around it, so that the line does not lag behind what it smooths."""
    half = max(1, round(len(points) * _SMOOTHING / 2))
    sums = [0.0, *accumulate(loss for _, loss in points)]
    smooth = []
    for i, (step, _) in enumerate(points):
        first, end = max(0, i - half), min(len(points), i + half + 1)
        smooth.append((step, (sums[end] - sums[first]) / (end - first)))
    return smooth


def thin(points: Sequence[Point], num_columns: int) -> list[Point]:
    """At most four points a column: first, lowest, highest, last. A spike of one step stays to be seen."""
    if len(points) <= 2 * num_columns:
        return list(points)
    kept: list[Point] = []
    for column in range(num_columns):
        part = points[len(points) * column // num_columns : len(points) * (column + 1) // num_columns]
        kept += sorted({part[0], min(part, key=_loss), max(part, key=_loss), part[-1]})
    return kept


def _series(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[Point, ...]:
    losses = {m["step"]: m[key] for m in metrics if isinstance(m.get(key), int | float) and math.isfinite(m[key])}
    return tuple(sorted((float(step), float(loss)) for step, loss in losses.items()))


def _loss(point: Point) -> float:
    return point[1]


def _path(points: Sequence[Point]) -> str:
    """A line through the points; a single one becomes a line of no length, which a round cap turns into a dot."""
    if not points:
        return ""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"M{steps}" if len(points) > 1 else f"M{steps} h0"


def _plain(value: float, step: float) -> str:
    """With as many decimals as the distance between ticks needs."""
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
