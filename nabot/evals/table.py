"""The table of an exam: measures down, contestants across. In: what `exam.result` gave, out: rows, printed or not.

The terminal and the report show the same rows; only the report draws the interval as a bar.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nabot.evals.exam import CONTESTANTS
from nabot.evals.verdict import interval, percent, remarks, verdict
from nabot.text import say

if TYPE_CHECKING:
    from rich.console import Console

Kind = Literal["accuracy", "group", "figure"]


@dataclass(frozen=True)
class Cell:
    """A number as text, with the interval beside it in words and, for the bar, as fractions."""

    text: str
    note: str = ""
    share: float | None = None
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Row:
    """A measure and its cell for each contestant; groups stand indented under the accuracy."""

    label: str
    kind: Kind
    cells: tuple[Cell, ...]


def contestants(result: Mapping[str, Any]) -> list[str]:
    """Who took part, in the order of the columns."""
    return [name for name in CONTESTANTS if name in result["results"]]


def headings(result: Mapping[str, Any]) -> list[str]:
    """What stands above each column of cells."""
    return [say(f"evals.contestant.{name}") for name in contestants(result)]


def exam_table(result: Mapping[str, Any]) -> list[Row]:
    """All rows: right answers, by group, ended by itself, repetition, speed, general knowledge if it was asked."""
    results = [result["results"][name] for name in contestants(result)]
    if not results:
        return []
    right = Row(say("evals.row.accuracy", count=results[0]["questions"]), "accuracy", tuple(map(_share_cell, results)))
    figures = [
        _figure_row("evals.row.stopped", results, lambda r: percent(r["stopped"])),
        _figure_row("evals.row.repeated", results, lambda r: percent(r["repeated"])),
        _figure_row("evals.row.speed", results, lambda r: speed(r["tokens_per_second"])),
    ]
    return [right, *_group_rows(results), *figures, *_general_rows(result)]


def speed(tokens_per_second: float | None) -> str:
    """Three figures: 7.25 → "7.2", 1234.5 → "1,234"."""
    if tokens_per_second is None:
        return say("evals.nothing")
    return f"{tokens_per_second:,.1f}" if tokens_per_second < 100 else f"{tokens_per_second:,.0f}"


def print_exam(result: Mapping[str, Any], console: "Console") -> None:
    """The verdict, and the table below it. Made of plain characters only, so that every console can show it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for heading in headings(result):
        table.add_column(Text(heading), no_wrap=True)
    for row in exam_table(result):
        label = Text(("  " if row.kind == "group" else "") + row.label)
        strong = "bold" if row.kind == "accuracy" else ""
        cells = [Text.assemble((f"{c.text:>6}", strong), (f"  {c.note}", "dim")) for c in row.cells]
        table.add_row(label, *cells)
    console.print(Text(verdict(result), style="bold"))
    for remark in remarks(result):
        console.print(Text(remark))
    console.print()
    console.print(table)


def _share_cell(figures: Mapping[str, Any] | None) -> Cell:
    """A share of right answers; None for who was not asked."""
    if figures is None or figures["accuracy"] is None:
        return Cell(say("evals.nothing"))
    share, low, high = figures["accuracy"], figures["low"], figures["high"]
    return Cell(percent(share), interval(figures), share, low, high)


def _group_rows(results: list[Mapping[str, Any]]) -> Iterator[Row]:
    """One for each group, if there are several."""
    groups = dict.fromkeys(group for r in results for group in r["groups"])
    if len(groups) < 2:
        return
    for group in groups:
        found = [r["groups"].get(group) for r in results]
        count = max(f["questions"] for f in found if f)
        label = say("evals.row.group", group=group or say("evals.no_group"), count=count)
        yield Row(label, "group", tuple(map(_share_cell, found)))


def _figure_row(text_id: str, results: list[Mapping[str, Any]], text: Callable[[Mapping[str, Any]], str]) -> Row:
    return Row(say(text_id), "figure", tuple(Cell(text(r)) for r in results))


def _general_rows(result: Mapping[str, Any]) -> Iterator[Row]:
    general = result["general"]
    if not general["questions"]:
        return
    names = contestants(result)
    label = say("evals.row.general", count=general["questions"])
    yield Row(label, "figure", tuple(Cell(percent(general.get(name))) for name in names))
    if general["kept"] is not None:
        nobody, kept = Cell(say("evals.nothing")), Cell(percent(general["kept"]), interval(general))
        label = say("evals.row.kept", count=general["known"])
        yield Row(label, "figure", tuple(kept if name == "tuned" else nobody for name in names))
