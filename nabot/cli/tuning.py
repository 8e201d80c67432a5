"""`nabot tune`, on a terminal. In: flags, out: a bot, its progress on standard error."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nabot.bot import REPORT
from nabot.cli.hints import hint_at_korean_base
from nabot.cli.output import LineBar, pulling, put_json, tell
from nabot.data.encoding import require_file
from nabot.errors import ConfigError
from nabot.text import human_bytes, human_seconds, say

_SHOWN_OF_AN_ANSWER = 100  # characters; run/samples.jsonl has all of them


@dataclass(frozen=True)
class TuneFlags:
    """What was typed."""

    data: list[Path]
    base: str
    out: Path | None
    method: str
    preset: str
    config: Path | None
    values: dict[str, Any]
    pairs: list[str]
    template: str
    system: str
    probes: list[str]
    exam: Path | None
    start: Path | None
    skip_faulty: bool
    force: bool


def tune_bot(flags: TuneFlags, *, as_json: bool) -> None:
    """Checks what can be checked at once, then tunes."""
    if not flags.data:
        raise ConfigError(say("tune.no_data"))
    if flags.out is None:
        raise ConfigError(say("tune.no_out"))
    for path in flags.data:
        require_file(path)  # before torch is loaded, which takes seconds
    from nabot.recipes.request import TuneRequest, request_from_files
    from nabot.recipes.settings import Settings, parse_pairs, preset, read_toml
    from nabot.recipes.tune import tune

    settings = Settings().with_values(preset(flags.preset) if flags.preset else {})
    given = (read_toml(flags.config) if flags.config else {}, flags.values, parse_pairs(flags.pairs))
    if {"epochs", "minutes"} <= {key for values in given for key in values}:
        raise ConfigError(say("tune.epochs_and_minutes"))
    for values in given:
        settings = settings.with_values(values)
    if flags.method:
        settings = settings.with_values({"method": flags.method})

    def run(watcher: Any) -> dict[str, Any]:
        request: TuneRequest = request_from_files(
            flags.data,
            skip_faulty=flags.skip_faulty,
            watcher=watcher,
            out=flags.out,
            base=flags.base,
            settings=settings,
            template=flags.template,
            system=flags.system,
            probes=tuple(flags.probes),
            exam=flags.exam,
            start_from=flags.start,
            force=flags.force,
        )
        return tune(request, watcher)

    hint_at_korean_base(flags.base)
    _watched(run, as_json=as_json)


def resume_bot(bot: Path, *, given: Sequence[str], as_json: bool) -> None:
    """Goes on with an unfinished run; its rows and settings are in its folder already, so none may be `given`."""
    if given:
        raise ConfigError(say("tune.resume_with_more", given=", ".join(given), bot=bot))
    from nabot.recipes.tune import resume

    _watched(lambda watcher: resume(bot, watcher), as_json=as_json)


def _watched(run: Any, *, as_json: bool) -> None:
    with pulling() as progress, watching(progress) as watcher:
        figures = run(watcher)
    if as_json:
        put_json(figures)
    else:
        tell(summary(figures))


@contextmanager
def watching(progress: Any) -> Iterator[Any]:
    """A `Watcher` that shows a run as it goes."""
    from nabot.recipes.request import Watcher
    from nabot.recipes.showing import step_line

    bar, asking = LineBar(say("tune.bar")), LineBar(say("tune.asking"))

    def rehearsed(done: int, count: int) -> None:
        asking.show(done, count, f"{done}/{count}")
        if done == count:
            asking.stop()

    try:
        yield Watcher(
            pulling=progress,
            phase=bar.print,
            note=bar.print,
            step=lambda state, stats: bar.show(state.step, state.total_steps or None, step_line(state, stats)),
            held_out=lambda state: bar.print(say("tune.held_out", step=state.step, loss=state.held_out_loss)),
            probe=lambda step, question, answer: bar.print(
                say("tune.probe", step=step, question=question, answer=_in_short(answer))
            ),
            rehearsed=rehearsed,
            stopping=lambda step: bar.print(say("tune.stopping", step=step)),
            examined=lambda step, accuracy: bar.print(say("tune.examined", step=step, accuracy=accuracy)),
        )
    finally:
        asking.stop()
        bar.stop()


def _in_short(answer: str) -> str:
    """On one line, which an untuned model may fill."""
    flat = " ".join(answer.split())
    return flat if len(flat) <= _SHOWN_OF_AN_ANSWER else flat[: _SHOWN_OF_AN_ANSWER - 1] + "…"


def summary(figures: dict[str, Any]) -> str:
    """What a run came to, in a few lines."""
    return say(
        "tune.done",
        bot=figures["bot"],
        steps=figures["steps"],
        tokens=figures["tokens"],
        time=human_seconds(figures["seconds"]),
        speed=figures["tokens_per_second"],
        memory=human_bytes(figures["peak_memory_bytes"]),
        first=figures["loss"]["first"],
        last=figures["loss"]["last"],
        report=Path(figures["bot"]) / REPORT / "report.html",
    )
