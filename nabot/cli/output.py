"""What people and scripts see. People's text goes to standard error where `--json` is, the one JSON line to standard
output. `rich` is imported when something is shown, so that `--help` does not wait for it.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from nabot.text import human_bytes, say

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_BAR = 80  # columns; a narrower terminal shows the numbers alone


def console(*, to_stderr: bool = True) -> "Console":
    """Where people's text goes: standard error, unless it is the answer itself."""
    from rich.console import Console

    return Console(stderr=to_stderr, highlight=False, soft_wrap=True)


def tell(message: str) -> None:
    """A line to a person. The text is shown as it is, whatever brackets it holds."""
    print(message, file=sys.stderr, flush=True)


def put_json(value: dict[str, Any]) -> None:
    """The one line of `--json`."""
    sys.stdout.write(json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() not in ("utf-8", "utf8")) + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def pulling() -> Iterator[Callable[[int, int | None, str], None]]:
    """A progress bar for downloads that appears when there is something to show."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console(), transient=True)
    tasks: dict[str, Any] = {}

    def show(done: int, total: int | None, what: str) -> None:
        if not bar.console.is_terminal:
            if what not in tasks:
                tasks[what] = True
                size = f" ({human_bytes(total)})" if total else ""
                tell(f"{what}{size}")
            return
        if what not in tasks:
            bar.start()
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:  # else rich would write an empty line
            bar.stop()


@contextlib.contextmanager
def counting_rows(texts: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each stage of long work on rows, on a terminal alone; the name of a stage is the text `texts` + its slug."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=console(), transient=True)
    tasks: dict[str, Any] = {}

    def show(stage: str, done: int, total: int | None) -> None:
        if not bar.console.is_terminal:
            return
        if stage not in tasks:
            bar.start()
            tasks[stage] = bar.add_task(say(texts + stage), total=total)
        bar.update(tasks[stage], completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


class StepBar:
    """The progress of a tuning run: one line that renews itself on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._console = console()
        is_wide = self._console.width >= _WIDTH_OF_BAR
        numbers = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=is_wide))
        bar = (TextColumn("{task.description}"), BarColumn(bar_width=24)) if is_wide else ()
        self._bar = Progress(*bar, numbers, console=self._console)
        self._task: Any = None
        self._told = 0.0
        self._line: Any = None

    def step(self, state: Any, stats: Any) -> None:
        """After each step of the loop."""
        from nabot.recipes.showing import StepLine

        if self._task is None:
            self._line = StepLine()
            self._task = self._bar.add_task(say("tune.bar"), total=state.total_steps or None, text="")
            if self._console.is_terminal:
                self._bar.start()
        text = self._line.text(state, stats)
        self._bar.update(self._task, completed=state.step, total=state.total_steps or None, text=text)
        if not self._console.is_terminal and (state.seconds - self._told > 15 or state.step == state.total_steps):
            self._told = state.seconds
            tell(text)

    def print(self, message: str) -> None:
        """A line above the bar."""
        if self._console.is_terminal:
            self._console.print(message, markup=False)
        else:
            tell(message)

    def stop(self) -> None:
        if self._console.is_terminal:
            self._bar.stop()
