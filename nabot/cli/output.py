"""What people and scripts see. People's text goes to standard error where `--json` is, the one JSON line to standard
output. `rich` is imported when something is shown, so that `--help` does not wait for it.
"""

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from nabot.text import human_bytes, say

if TYPE_CHECKING:
    from rich.console import Console

_BETWEEN_LINES_S = 15.0  # where no bar can renew itself
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
    text = json.dumps(value, ensure_ascii=sys.stdout.encoding.lower() not in ("utf-8", "utf8"))
    try:
        text.encode()
    except UnicodeEncodeError:  # the name of a file, in another encoding than this machine's
        text = json.dumps(value)
    sys.stdout.write(text + "\n")
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


class LineBar:
    """Progress in a line that renews itself on a terminal, and now and then a line elsewhere; it appears with its first step."""

    def __init__(self, description: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._console = console()
        is_wide = self._console.width >= _WIDTH_OF_BAR
        numbers = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=is_wide))
        bar = (TextColumn("{task.description}"), BarColumn(bar_width=24)) if is_wide else ()
        self._bar = Progress(*bar, numbers, console=self._console)
        self._description = description
        self._task: Any = None
        self._told, self._said = -math.inf, ""

    def show(self, done: int, total: int | None, text: str) -> None:
        """So much is done; the last step is always told."""
        if self._task is None:
            self._task = self._bar.add_task(self._description, total=total, text="")
        self._bar.update(self._task, completed=done, total=total, text=text)
        if self._console.is_terminal:
            self._bar.start()
        elif text != self._said and (time.monotonic() - self._told > _BETWEEN_LINES_S or done == total):
            self._told, self._said = time.monotonic(), text
            tell(text)

    def print(self, message: str) -> None:
        """A line above the bar."""
        if self._console.is_terminal:
            self._console.print(message, markup=False)
        else:
            tell(message)

    def stop(self) -> None:
        if self._bar.live.is_started:  # else rich would write an empty line
            self._bar.stop()
