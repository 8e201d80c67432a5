"""`nabot data generate`, on a terminal. In: a request, out: rows, their progress on standard error, a summary."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nabot.cli.output import LineBar, pulling, put_json, tell
from nabot.data.faults import excerpt
from nabot.errors import ConfigError
from nabot.recipes.generate import GenerateRequest, GenerateWatcher, generate_rows, told_lost
from nabot.sources import Progress as Pulling
from nabot.text import counted, say, tallied


def generate(request: GenerateRequest, *, as_json: bool) -> None:
    """Faulty and repeated rows are left out and counted, and are no reason for another status than 0."""
    with pulling() as progress, watching(progress) as watcher:
        report = generate_rows(request, watcher)
    if not report["answers"]:
        why = say(f"generate.ended.{report['ended']}")
        raise ConfigError("\n".join([say("generate.no_answers", path=request.out, why=why), *told_lost(report)]))
    if as_json:
        put_json(report)
        return
    for line in _told(report, request):
        tell(line)


@contextmanager
def watching(progress: Pulling) -> Iterator[GenerateWatcher]:
    """One line that renews itself on a terminal, now and then a line elsewhere."""
    from nabot.recipes.showing import generate_line

    bar = LineBar(say("generate.bar"))
    try:
        show = lambda state: bar.show(state.accepted, state.wanted, generate_line(state))  # noqa: E731
        yield GenerateWatcher(progress, show, bar.print)
    finally:
        bar.stop()


def _told(report: Mapping[str, Any], request: GenerateRequest) -> Iterator[str]:
    """What was left out and why, with examples of what should be looked at, and what there is now."""
    for counts, text_id in ((report["dropped"], "generate.dropped"), (report["marked"], "generate.marked")):
        if counts:
            yield say(text_id, reasons=tallied(counts.items()))
    for name, examples in report["examples"].items():
        for example in examples:
            fields = {key: excerpt(example[key]) for key in ("instruction", "output", "seen")}
            yield say(f"generate.example.{name}", **fields)
    yield say(
        "generate.done",
        path=report["out"],
        rows=counted("count.rows", report["rows"]),
        answers=counted("count.answers", report["answers"]),
        tokens_in=report["tokens"]["in"],
        tokens_out=report["tokens"]["out"],
        cost="" if report["cost"] is None else say("generate.cost", cost=report["cost"]),
        why=say(f"generate.ended.{report['ended']}"),
        report=request.report,
    )
    yield from told_lost(report)
    yield say("generate.licence")
