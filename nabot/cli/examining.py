"""`nabot exam`, on a terminal. In: flags, out: a table, perhaps one line of JSON, an exit status."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nabot.bot import REPORT
from nabot.cli.output import console, pulling, put_json, tell
from nabot.text import say


def sit_exam(bot: str, exam: Path, *, facts: Path | None, base: str, require: float | None, as_json: bool) -> int:
    """Status 1 if `require` is given and the bot (or the bare source) is right less often."""
    from nabot.evals.table import print_exam
    from nabot.recipes.exam import examine

    with pulling() as progress, watching(progress) as watcher:
        figures, _ = examine(bot, exam, facts=facts, base=base, watcher=watcher)

    if as_json:
        put_json(figures)
    else:
        print_exam(figures, console(to_stderr=False))
        report = Path(bot) / REPORT / "report.html"
        tell(say("exam.report", path=report) if report.is_file() else say("exam.no_report", name=bot))
    best = figures["results"].get("tuned") or figures["results"]["base"]
    return 1 if require is not None and (best["accuracy"] or 0.0) < require else 0


@contextmanager
def watching(progress: Any) -> Iterator[Any]:
    """An `ExamWatcher` that shows who sits the exam, and how far they are."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from nabot.recipes.exam import ExamWatcher

    screen = console()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=screen, transient=True)
    tasks: list[Any] = []

    def sitting(contestant: str, count: int) -> None:
        what = say(f"exam.sitting_{contestant}")
        tasks.append(bar.add_task(what, total=count))
        if screen.is_terminal:
            bar.start()
        else:
            tell(f"{what} ({count})")

    try:
        yield ExamWatcher(pulling=progress, sitting=sitting, answered=lambda _: bar.advance(tasks[-1]), note=tell)
    finally:
        if bar.live.is_started:  # else rich would write an empty line
            bar.stop()
