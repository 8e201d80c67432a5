"""Rows from a teacher. In: what a person asked for, out: a conversation file, its report, the journal of what was paid for.

The teacher is an endpoint far away, or a model on this machine. Whatever ends a run, the same command goes on with it.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from nabot.artifacts import file_sha256, write_file, write_json
from nabot.conversation import Conversation
from nabot.errors import ConfigError, Stopped, UpstreamError
from nabot.recipes.signals import Signals
from nabot.sources import Progress as Pulling
from nabot.synth.budget import UNLIMITED, Budget, Tokens
from nabot.synth.content import prompt_language
from nabot.synth.journal import Journal, OtherRun, has_answers, locked, put_aside, recorded_settings
from nabot.synth.judging import Judge
from nabot.synth.loop import Ask, Ended, Loop, Plan, Progress, Row, where_it_fits
from nabot.synth.modes import MODES, Material
from nabot.synth.rows import read_candidates, read_passages
from nabot.synth.seeds import Language, own_seeds, read_seeds
from nabot.synth.teacher import Endpoint, address_of, key_from
from nabot.text import counted, near_names, say

KEY_ENV = "OPENAI_API_KEY"
# tokens of one answer: a list that goes on for longer takes minutes here, and small models begin to repeat themselves
LOCAL_ANSWER = 512
# side by side: what services allow to everybody; here a step for 16 answers takes 1.6 times as long as one for four
_REQUESTS, _LOCAL_ANSWERS = 4, 16


@dataclass(frozen=True)
class Teacher:
    """Who writes: an endpoint (`url` and `model`), or a source or bot on this machine (`base`; `bot`, and where its base lies)."""

    url: str = ""
    model: str = ""
    base: str = ""
    bot: str = ""
    key_env: str = ""  # "": OPENAI_API_KEY, which then may be unset
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        """Raises ConfigError unless this is one teacher."""
        named = {"--teacher": self.url, "--bot": self.bot, "--base": self.base and not self.bot}
        given = [flag for flag, value in named.items() if value]
        if len(given) != 1 or (self.model and not self.url):
            seen = ", ".join([*given, *(["--model"] if self.model else [])]) or say("data.nothing")
            raise ConfigError(say("generate.one_teacher", seen=seen))
        if self.url and not self.model:
            raise ConfigError(say("generate.no_model", url=address_of(self.url)))

    @property
    def name(self) -> str:
        """What rows say of it."""
        return self.model or self.bot or self.base

    def settings(self) -> dict[str, str]:
        """What a run must not change when it goes on."""
        if self.url:
            return {"teacher": address_of(self.url), "model": self.model}
        return {"bot": self.bot} if self.bot else {"base": self.base}


@dataclass(frozen=True)
class GenerateRequest:
    """What the person asked for. Raises ConfigError for a value that cannot be."""

    out: Path
    mode: str
    count: int
    teacher: Teacher
    seeds: Path | None = None  # None: those that come with nabot
    passages: Path | None = None  # what "grounded" asks about
    rows: Path | None = None  # what other modes rewrite
    language: str = ""  # "": English of seeds; otherwise that of each passage or row, and none is left out for it
    seed: int = 0
    concurrency: int | None = None  # answers side by side; None: as many as suit the teacher
    max_new_tokens: int = 0  # of an answer; 0: what the mode allows, on this machine at most LOCAL_ANSWER
    budget: Budget = UNLIMITED
    mark_toxic: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            near = near_names(self.mode, list(MODES))
            raise ConfigError(say("generate.unknown_mode", seen=self.mode, near=near, known=", ".join(MODES)))
        if self.language and self.language not in get_args(Language):
            raise ConfigError(say("generate.bad_language", seen=self.language))
        numbers = {"count": self.count, "concurrency": self.side_by_side, "timeout": self.teacher.timeout_s}
        for name, value in numbers.items():
            if not value > 0:
                raise ConfigError(say("generate.bad_number", name=name, seen=value))
        if self.max_new_tokens < 0:
            raise ConfigError(say("generate.bad_number", name="max-new-tokens", seen=self.max_new_tokens))
        if self.out.is_dir():
            raise ConfigError(say("generate.out_is_folder", path=self.out))
        needs, given = MODES[self.mode].needs, self._files()
        if needs not in given and needs != "seeds":
            raise ConfigError(say("generate.needs", mode=self.mode, flag=needs))
        if surplus := [f"--{flag}" for flag in given if flag != needs]:
            raise ConfigError(say("generate.surplus", mode=self.mode, flags=", ".join(surplus), needs=needs))

    @property
    def journal(self) -> Path:
        return self.out.with_name(f"{self.out.stem}.journal.jsonl")

    @property
    def report(self) -> Path:
        return self.out.with_name(f"{self.out.stem}.report.json")

    def material(self) -> Material:
        """What the mode draws on. Raises DataError for a file that cannot be used."""
        needs, rng = MODES[self.mode].needs, random.Random(self.seed)
        spoken: Language = "ko" if self.language == "ko" else "en"
        if needs == "seeds":
            return Material(spoken, rng, seeds=read_seeds(self.seeds) if self.seeds else own_seeds(spoken))
        if needs == "passages":
            return Material(spoken, rng, passages=read_passages(self._files()[needs]))
        rows = read_candidates(self._files()[needs])
        if not self.language:
            spoken = Counter(prompt_language(row.task.instruction) for row in rows).most_common(1)[0][0]
        return Material(spoken, rng, rows=rows)

    @property
    def side_by_side(self) -> int:
        """Answers at a time."""
        if self.concurrency is not None:
            return self.concurrency
        return _REQUESTS if self.teacher.url else _LOCAL_ANSWERS

    @property
    def longest_answer(self) -> int | None:
        """In tokens; None: what the mode allows."""
        return self.max_new_tokens or (None if self.teacher.url else LOCAL_ANSWER)

    def kept_language(self) -> str:
        """The only one in which rows are kept; "": any, because files of one's own say which it is."""
        return self.language or ("en" if MODES[self.mode].needs == "seeds" else "")

    def _files(self) -> dict[str, Path]:
        """The files that were given, by their flag."""
        named = {"seeds": self.seeds, "passages": self.passages, "rows": self.rows}
        return {flag: path for flag, path in named.items() if path}

    def settings(self) -> dict[str, Any]:
        """What a run must not change when it goes on."""
        return {
            "mode": self.mode,
            "language": self.kept_language(),
            "seed": self.seed,
            **self.teacher.settings(),
            **{flag: file_sha256(path) for flag, path in self._files().items()},
            "mark_toxic": self.mark_toxic,
            "max_new_tokens": self.longest_answer,
        }


@dataclass(frozen=True)
class GenerateWatcher:
    """Who looks on."""

    pulling: Pulling | None = None
    progress: Callable[[Progress], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None  # something worth knowing, in words


def generate_rows(request: GenerateRequest, watcher: GenerateWatcher = GenerateWatcher()) -> dict[str, Any]:
    """Asks until there are enough rows; returns the report, which also lies beside them.

    Raises ConfigError and DataError before anything is written or asked, UpstreamError if the teacher fails, Stopped after a
    signal; rows, report and journal then have everything up to there.
    """
    material = request.material()
    progress = _Live(watcher.progress)
    with Signals() as signals, _asking(request, lambda: signals.number, watcher, progress) as ask:
        if request.fresh:
            with locked(request.journal):  # not under the hands of a run that is still going on
                put_aside(request.journal)
                put_aside(request.out)
        recorded = recorded_settings(request.journal)
        if request.out.exists() and not recorded:
            raise OtherRun(say("generate.out_exists", path=request.out))
        # as many as when the run began, so that the questions stay the same if it goes on with another concurrency
        per_round = recorded.get("round", request.side_by_side)
        with Journal(request.journal, {**request.settings(), "round": per_round}) as journal:
            loop = Loop(
                MODES[request.mode].mode(material),
                ask,
                journal,
                Judge(
                    # not a person's rows: what is made of one is near it by intention
                    (seed.instruction for seed in material.seeds),
                    language=request.kept_language(),
                    mark_toxic=request.mark_toxic,
                ),
                Plan(request.count, per_round, request.teacher.name, request.budget, request.longest_answer),
                save=lambda rows: _save(request.out, rows, watcher.note),
                stopping=lambda: signals.number,
                progress=progress,
            )
            return _run(loop, journal, request, watcher.note, lambda: signals.number)


@contextmanager
def _asking(
    request: GenerateRequest, stopping: Callable[[], int], watcher: GenerateWatcher, progress: "_Live"
) -> Iterator[Ask]:
    """The teacher, ready to be asked."""
    teacher = request.teacher
    goes_on = not request.fresh and has_answers(request.journal)
    if teacher.url:
        key = key_from(teacher.key_env or KEY_ENV, required=bool(teacher.key_env))
        with Endpoint(
            teacher.url,
            teacher.model,
            key=key,
            concurrency=request.side_by_side,
            timeout_s=teacher.timeout_s,
            has_answered=goes_on,
            stopping=stopping,
            note=watcher.note,
        ) as endpoint:
            yield endpoint.as_they_come
        return
    from nabot.recipes.opening import open_any  # torch is not needed for a teacher far away

    opened = open_any(teacher.bot or teacher.base, base=teacher.base if teacher.bot else "", progress=watcher.pulling)

    def fits(prompt: Conversation) -> bool:
        return len(opened.renderer.prompt(prompt)) < opened.decoder.longest

    def going_on(tokens: int) -> bool:
        progress.under_way(tokens)
        return not stopping()

    yield where_it_fits(partial(opened.engine().as_they_come, going_on=going_on), fits, has_fitted=goes_on)


class _Live:
    """Shows where a run stands, with the tokens that the answers under way have so far."""

    def __init__(self, show: Callable[[Progress], None]) -> None:
        self._show = show
        self._state: Progress | None = None

    def __call__(self, state: Progress) -> None:
        self._state = state
        self._show(state)

    def under_way(self, tokens: int) -> None:
        if self._state:
            self._show(replace(self._state, spent=self._state.spent + Tokens(0, tokens)))


def _run(
    loop: Loop,
    journal: Journal,
    request: GenerateRequest,
    note: Callable[[str], None],
    stopped_by: Callable[[], int],
) -> dict[str, Any]:
    """The loop, and what is written when it ends."""
    failed: UpstreamError | None = None
    ended: Ended | Literal["failed"] = "failed"
    try:
        ended = loop.run()
    except UpstreamError as error:
        failed = error
    report = _report(loop, journal, request, ended)
    if len(journal):
        _save(request.out, loop.rows, note)
        write_json(request.report, report)
    text_id = "generate.go_on_fresh" if request.fresh else "generate.go_on"
    go_on = say(text_id, answers=counted("count.answers", len(journal)), journal=request.journal)
    lost = told_lost(report)
    if failed:
        raise UpstreamError("\n".join([str(failed), *([go_on] if len(journal) else []), *lost])) from failed
    if ended == "stopped":
        raise Stopped("\n".join([go_on, *lost]), stopped_by())
    return report


def told_lost(report: Mapping[str, Any]) -> list[str]:
    """A line about requests that no answer came for; none if there are none."""
    lost = report["lost"]
    requests = counted("count.requests", lost["requests"])
    return [say("generate.lost", requests=requests, tokens=lost["tokens"])] if lost["requests"] else []


def _save(out: Path, rows: Sequence[Row], note: Callable[[str], None]) -> None:
    """A run only ever appends to its rows or has fewer of them; what is otherwise was changed by hand, and is kept aside."""
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    before = out.read_bytes() if out.exists() else b""
    if not (content.startswith(before) or before.startswith(content)):
        note(say("generate.kept_aside", path=out, aside=put_aside(out)))
    write_file(out, content)


def _report(loop: Loop, journal: Journal, request: GenerateRequest, ended: str) -> dict[str, Any]:
    """The object of OUT.report.json and of `--json`."""
    tally, spent, budget = loop.tally, journal.spent, request.budget
    return {
        "out": str(request.out),
        "rows": len(loop.rows),
        "wanted": request.count,
        "ended": ended,
        "settings": request.settings(),
        "journal": str(request.journal),
        "answers": len(journal),
        "tokens": {"in": spent.prompt, "out": spent.answer},
        "lost": {"requests": len(journal.lost), "tokens": sum(journal.lost, Tokens()).total},
        "cost": budget.cost(spent) if budget.has_prices else None,
        "dropped": dict(tally.dropped.most_common()),
        "marked": dict(tally.marked.most_common()),
        "examples": {name: [asdict(example) for example in shown] for name, shown in tally.examples.items()},
    }
