"""`nabot make`, on a terminal. In: a request, out: a bot; each stage as it goes, and what came of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from nabot.cli import examining, generating, tuning
from nabot.cli.hints import hint_at_korean_base
from nabot.cli.importing import told_file
from nabot.cli.output import console, pulling, put_json, tell
from nabot.recipes.make import MakeRequest, MakeWatcher, make
from nabot.text import counted, say


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
    tell(say("make.done", bot=request.out, making=request.making))


def _told(figures: Mapping[str, Mapping[str, Any]], request: MakeRequest) -> Iterator[str]:
    """What each stage came to."""
    written = figures["import"]["written"]
    kinds = ", ".join(say(f"make.kind.{kind}", count=count) for kind, count in written.items())
    yield say("make.imported", files=counted("count.files", figures["import"]["files"]), kinds=kinds)
    if made := figures.get("generate"):
        yield say(
            "make.generated",
            rows=counted("count.rows", made["rows"]),
            answers=counted("count.answers", made["answers"]),
        )
        yield say("generate.licence")
    yield say("make.checked", rows=counted("count.rows", figures["check"]["rows"]), path=request.making / "rows.jsonl")
    yield tuning.summary(dict(figures["tune"]))
