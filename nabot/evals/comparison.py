"""What `nabot compare` found, as two tables and a picture. In: its figures, out: text, Markdown, SVG.

One line a method: medians over its seeds, and of the accuracy the lowest and highest too, because one run says little.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10
from typing import Any

from nabot.evals.figures import ticks
from nabot.evals.verdict import percent as spaced_percent
from nabot.text import human_bytes, say

Rows = Sequence[Mapping[str, Any]]
_TABLES = {  # two, because a terminal of 80 columns has no room for one
    "quality": (
        "method", "accuracy", "kept", "held_out_loss", "decode_tokens_per_second", "first_token_seconds",
    ),
    "cost": (
        "method", "trainable", "adapter_bytes", "peak_memory_bytes", "tokens_per_second", "minutes", "minutes_to_70",
    ),
}  # fmt: skip
_COLOURS = ("#3b6ea5", "#d98b3a", "#4f8a5b", "#a5473b", "#7a5ba5", "#6b6b6b", "#4aa3a3")  # one for each method


@dataclass(frozen=True)
class Table:
    """`lines` has one line of cells for each method, in the order in which they first appear."""

    title: str
    headings: list[str]
    lines: list[list[str]]


def tables(rows: Rows) -> list[Table]:
    """How the bots answer, and what it takes to make them."""
    cells = [_cells(method, own) for method, own in by_method(rows).items()]
    return [
        Table(
            say(f"compare.table.{name}"),
            [say(f"compare.column.{column}") for column in columns],
            [[line[column] for column in columns] for line in cells],
        )
        for name, columns in _TABLES.items()
    ]


def markdown(rows: Rows, base: Mapping[str, Any]) -> str:
    """The tables as Markdown, with a line about the base under them."""
    return "".join(f"{_markdown(table)}\n" for table in tables(rows)) + f"{base_line(base)}\n"


def _markdown(table: Table) -> str:
    lines = [table.headings, ["---"] * len(table.headings), *table.lines]
    return f"**{table.title}**\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def base_line(base: Mapping[str, Any]) -> str:
    """The base as it is, which everything is held against."""
    return say(
        "compare.base_line",
        accuracy=percent(base["accuracy"]),
        speed=base["decode_tokens_per_second"],
        first=base["first_token_seconds"],
    )


def by_method(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each method."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["method"], []).append(row)
    return found


def _cells(method: str, rows: Rows) -> dict[str, str]:
    """By column."""

    def median(key: str) -> float | None:
        values = [row[key] for row in rows if row[key] is not None]
        return statistics.median(values) if values else None

    accuracies = [row["accuracy"] or 0.0 for row in rows]
    spread = f" ({percent(min(accuracies))}–{percent(max(accuracies))})" if len(rows) > 1 else ""
    all_passed = all(row["minutes_to_70"] is not None for row in rows)
    return {
        "method": method,
        "accuracy": f"{percent(median('accuracy'))}{spread}",
        "kept": percent(median("kept")),
        "held_out_loss": _number(median("held_out_loss"), 3),
        "decode_tokens_per_second": _number(median("decode_tokens_per_second"), 0),
        "first_token_seconds": _number(median("first_token_seconds"), 2),
        "trainable": f"{rows[0]['trainable']:,}",
        "adapter_bytes": human_bytes(rows[0]["adapter_bytes"]),
        "peak_memory_bytes": human_bytes(int(median("peak_memory_bytes") or 0)),
        "tokens_per_second": _number(median("tokens_per_second"), 0),
        "minutes": _number(median("minutes"), 1),
        "minutes_to_70": _number(median("minutes_to_70") if all_passed else None, 1),
    }


def percent(share: float | None) -> str:
    """Without a space: columns are narrow."""
    return spaced_percent(share).replace(" ", "")


def _number(value: float | None, digits: int) -> str:
    return say("evals.nothing") if value is None else f"{value:,.{digits}f}"


# ---- the picture: what an adapter of each size knows, and how each method came down


@dataclass(frozen=True)
class _Frame:
    """A rectangle of pixels with an axis each way; places are fractions of it from its lower left corner."""

    left: float
    width: float = 320
    top: float = 40
    height: float = 260

    def x(self, share: float) -> float:
        return self.left + share * self.width

    def y(self, share: float) -> float:
        return self.top + (1 - share) * self.height


def picture(rows: Rows, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """An SVG: accuracy against the adapter's size, and each method's held-out losses (`curves`: method → step, loss)."""
    colours = dict(zip(by_method(rows), _COLOURS * len(rows), strict=False))
    parts = [*_sizes(rows, colours, _Frame(60)), *_losses(curves, colours, _Frame(460)), *_legend(colours)]
    style = "font-family:sans-serif;font-size:12px"
    inside = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 370" style="{style}">\n{inside}\n</svg>\n'


def _sizes(rows: Rows, colours: Mapping[str, str], frame: _Frame) -> Iterator[str]:
    sizes = [log10(max(1, row["adapter_bytes"])) for row in rows]
    low, high = int(min(sizes)), int(max(sizes)) + 1
    yield from _box(frame, say("compare.picture.sizes"))
    for power in range(low, high + 1):
        x = frame.x((power - low) / (high - low))
        yield _text(x, frame.y(0) + 18, human_bytes(10**power), "middle")
    for step in range(0, 101, 25):
        yield _text(frame.left - 8, frame.y(step / 100) + 4, f"{step} %", "end")
    for row, size in zip(rows, sizes, strict=True):
        x, y = frame.x((size - low) / (high - low)), frame.y(row["accuracy"] or 0.0)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colours[row["method"]]}" fill-opacity="0.7"/>'


def _losses(
    curves: Mapping[str, Sequence[tuple[float, float]]], colours: Mapping[str, str], frame: _Frame
) -> Iterator[str]:
    points = [point for curve in curves.values() for point in curve]
    yield from _box(frame, say("compare.picture.losses"))
    if not points:
        return
    last = max(1.0, *(step for step, _ in points))
    levels = ticks(max(loss for _, loss in points), 5)
    for level in levels:
        yield _text(frame.left - 8, frame.y(level / levels[-1]) + 4, f"{level:g}", "end")
    for step in (0, last / 2, last):
        yield _text(frame.x(step / last), frame.y(0) + 18, f"{step:.0f}", "middle")
    for method, curve in curves.items():
        path = " ".join(f"{frame.x(step / last):.1f},{frame.y(loss / levels[-1]):.1f}" for step, loss in curve)
        yield f'<polyline points="{path}" fill="none" stroke="{colours[method]}" stroke-width="2"/>'


def _box(frame: _Frame, title: str) -> Iterator[str]:
    yield f'<rect x="{frame.left}" y="{frame.top}" width="{frame.width}" height="{frame.height}" fill="none" stroke="#aaa"/>'
    yield _text(frame.left, frame.top - 12, title, "start")


def _legend(colours: Mapping[str, str]) -> Iterator[str]:
    for place, (method, colour) in enumerate(colours.items()):
        x = 60 + 105 * place
        yield f'<rect x="{x}" y="344" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 18, 354, method, "start")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
