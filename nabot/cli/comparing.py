"""`nabot compare`, on a terminal. In: flags, out: two tables, a folder with all that was found."""

from pathlib import Path
from typing import Any

from nabot.cli.output import console, put_json, tell
from nabot.errors import ConfigError
from nabot.text import near_names, say


def compare_methods(
    data: list[Path],
    *,
    base: str,
    exam: Path,
    methods: str,
    seeds: int,
    out: Path,
    minutes: float | None,
    pairs: list[str],
    as_json: bool,
) -> None:
    """Checks what can be checked at once, then runs every cell that has not been run."""
    from nabot.artifacts import write_file
    from nabot.data import read_conversations
    from nabot.evals.comparison import base_line, markdown, picture
    from nabot.recipes.compare import Comparison, compare, loss_curves
    from nabot.recipes.settings import METHOD_NAMES, parse_pairs

    chosen = [name.strip() for name in methods.split(",") if name.strip()]
    for name in chosen:
        if name not in METHOD_NAMES:
            near, allowed = near_names(name, METHOD_NAMES), ", ".join(METHOD_NAMES)
            raise ConfigError(say("settings.bad_choice", key="methods", value=name, near=near, allowed=allowed))
        if chosen.count(name) > 1:
            raise ConfigError(say("compare.repeated", method=name))
    if not chosen:
        raise ConfigError(say("compare.no_method", known=", ".join(METHOD_NAMES)))
    read_conversations(data)  # faults in the rows are told before the base sits its exam
    asked = Comparison(
        data=tuple(data),
        base=base,
        exam=exam,
        out=out,
        methods=tuple(chosen),
        seeds=tuple(range(seeds)),
        minutes=minutes,
        settings=tuple(parse_pairs(pairs).items()),
    )
    found = compare(asked, note=tell)
    write_file(out / "table.md", markdown(found["rows"], found["base"]))
    write_file(out / "figure.svg", picture(found["rows"], loss_curves(asked)))
    if as_json:
        put_json(found)
        return
    _print(found)
    tell(base_line(found["base"]))
    tell(say("compare.done", out=out))


def _print(found: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from nabot.evals.comparison import tables

    screen = console(to_stderr=False)
    for table in tables(found["rows"]):
        shown = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for place, heading in enumerate(table.headings):
            shown.add_column(heading, justify="right" if place else "left")
        for cells in table.lines:
            shown.add_row(*cells)
        screen.print(shown)
        screen.print()
