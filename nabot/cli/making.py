"""`nabot make`, on a terminal. In: a request, out: a bot; each stage as it goes, and what came of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from nabot.cli import examining, generating, tuning
from nabot.cli.hints import hint_at_korean_base
from nabot.cli.importing import told_file
from nabot.cli.output import console, pulling, put_json, tell
from nabot.recipes.make import MakeRequest, MakeWatcher, make
from nabot.text import counted, say, tallied


def make_bot(request: MakeRequest, *, as_json: bool) -> None:
    """Stages that are passed over say so."""
    hint_at_korean_base(request.base)
    with (
        pulling() as progress,
        generating.watching(progress) as generate,
        tuning.watching(progress) as tune,
        examining.watching(progress) as exam,
    ):
        figures = make(
            request,
            MakeWatcher(
                stage=lambda name, passed_over: tell(
                    say("make.passed_over" if passed_over else f"make.stage.{name}", name=name)
                ),
                file=lambda found: tell(told_file(found)),
                generate=generate,
                tune=tune,
                exam=exam,
                note=tell,
            ),
        )
    if as_json:
        put_json({"bot": str(request.out), **figures})
        return
    for line in _told(figures, request):
        tell(line)
    if "exam" in figures:
        from nabot.evals.table import print_exam

        print_exam(figures["exam"], console(to_stderr=False))
    tell(say("make.done", making=request.making))


def _told(figures: Mapping[str, Mapping[str, Any]], request: MakeRequest) -> Iterator[str]:
    """What each stage came to."""
    written = figures["import"]["written"]
    kinds = ", ".join(counted(f"make.kind.{kind}", count) for kind, count in written.items())
    yield say("make.imported", files=counted("count.files", figures["import"]["files"]), kinds=kinds)
    if "generate" in figures:
        yield from _told_teacher(figures["generate"], figures.get("questions", {}))
    checked = figures["check"]
    yield say("make.checked", rows=counted("count.rows", checked["rows"]), path=request.making / "rows.jsonl")
    if checked["left_out"]:
        yield say("make.left_out", faults=counted("count.faults", checked["left_out"]))
    yield tuning.summary(dict(figures["tune"]))


def _told_teacher(rows: Mapping[str, Any], exam: Mapping[str, Any]) -> Iterator[str]:
    """What the teacher wrote, for the rows and for the exam, what that took, and why some of it is left out."""
    asked = [figures for figures in (rows, exam) if "answers" in figures]  # perhaps nothing was asked for an exam
    count = exam.get("questions", 0)
    costs = [figures["cost"] for figures in asked if figures["cost"] is not None]
    yield say(
        "make.generated",
        rows=counted("count.rows", rows["rows"]),
        exam=say("make.for_exam", questions=counted("count.questions", count)) if count else "",
        answers=counted("count.answers", sum(figures["answers"] for figures in asked)),
        tokens_in=sum(figures["tokens"]["in"] for figures in asked),
        tokens_out=sum(figures["tokens"]["out"] for figures in asked),
        cost=say("generate.cost", cost=sum(costs)) if costs else "",
    )
    dropped = sum((Counter(figures["dropped"]) for figures in asked), Counter[str]())
    if dropped:
        yield say("generate.dropped", reasons=tallied(dropped.most_common()))
    yield say("generate.licence")
