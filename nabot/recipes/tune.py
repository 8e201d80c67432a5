"""Tuning, from rows to a bot. In: conversations, a base, settings, out: a finished folder and its figures.

Nothing is written before rows, settings and weights have proved usable; then everything that a run needs goes into
BOT/run, so that `resume` starts from the folder alone. bot.toml is written last, after the saved adapter was read again
and gave the same logits.
"""

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from nabot.adapters import LoraConfig, attach, detach, has_learned, load_adapter, save_adapter
from nabot.artifacts import file_sha256, remove_leftovers, require_space, write_file
from nabot.bot import (
    ADAPTER,
    RECORD,
    REPORT,
    RUN,
    TEMPLATE,
    BotRecord,
    is_finished,
    is_unfinished,
    read_record,
    write_record,
)
from nabot.conversation import Conversation
from nabot.data import held_out_rows, read_conversations, split
from nabot.errors import CheckpointError, ConfigError, DataError, Stopped
from nabot.memory import peak_memory_bytes
from nabot.recipes.manifest import write_manifest
from nabot.recipes.opening import Opened, open_source
from nabot.recipes.rehearsal import rehearsal
from nabot.recipes.runfiles import SETTINGS, RunPlan, read_rows, write_rows
from nabot.recipes.settings import Settings
from nabot.rendering import Renderer
from nabot.sources import Progress, base_hash
from nabot.text import say
from nabot.textmodel import Sampling
from nabot.train.batches import Example
from nabot.train.checkpoints import RunState
from nabot.train.journal import Journal
from nabot.train.loop import Hooks, Trainer
from nabot.train.step import StepStats, trainable

_BYTES_A_PARAMETER = 4 * 3 * 3  # float32 weight and two moments, in two checkpoints and one being written
_PROBES = 3
_PROBE_TOKENS = 64
_SAME_LOGITS = 1e-4  # the re-read adapter holds the very bits; only the order of threads may differ


@dataclass(frozen=True)
class Watcher:
    """Who looks on: all optional, none changes the run."""

    pulling: Progress | None = None
    phase: Callable[[str], None] = lambda _: None  # what begins now, in words
    step: Callable[[RunState, StepStats], None] = lambda *_: None
    held_out: Callable[[RunState], None] = lambda _: None
    probe: Callable[[int, str, str], None] = lambda *_: None  # step, question, answer
    note: Callable[[str], None] = lambda _: None  # something worth knowing, in words


@dataclass(frozen=True)
class TuneRequest:
    """What the person asked for."""

    conversations: Sequence[Conversation]
    out: Path
    base: str
    settings: Settings = field(default_factory=Settings)
    template: str = ""
    system: str = ""
    probes: tuple[str, ...] = ()
    start_from: Path | None = None  # a bot whose adapter this one goes on with
    inputs: tuple[Path, ...] = ()  # files that the conversations came from, for the manifest
    force: bool = False


def request_from_files(paths: Sequence[Path], *, skip_faulty: bool, watcher: Watcher, **fields: Any) -> TuneRequest:
    """A request whose conversations come from files. Raises DataError listing what is wrong with them."""
    rows = read_conversations(
        paths, skip_faulty=skip_faulty, on_skip=lambda faults: watcher.note(say("tune.skipped", count=len(faults)))
    )
    return TuneRequest(conversations=rows, inputs=tuple(paths), **fields)


@dataclass(frozen=True)
class _Ready:
    """A run whose input has proved usable: the base, and the rows as token ids."""

    opened: Opened
    rows: Sequence[Conversation]
    examples: list[Example]
    held_out: list[Example]
    lora: LoraConfig


def tune(request: TuneRequest, watcher: Watcher = Watcher()) -> dict[str, Any]:
    """Makes a bot in `request.out` and returns the figures of design's contract.

    Raises before anything is written if the input cannot be used, or if the folder holds a bot or an unfinished run and
    `force` was not given.
    """
    began = time.perf_counter()
    out = request.out
    _refuse_to_overwrite(out, force=request.force)
    plan = _planned(request)
    require_space(out, 64_000_000)
    start = request.start_from / ADAPTER if request.start_from else None
    ready = _prepared(plan, request.conversations, start, out, watcher)
    if request.start_from:
        _refuse_other_base(request.start_from, plan, ready.opened)
    if is_finished(out) or is_unfinished(out):  # only with `force` does it come here
        _clear(out)
    _remove_run(out)  # also what a kill in the middle of clearing left: a new run must not go on from it
    _tidy(out)
    (out / RUN).mkdir(parents=True, exist_ok=True)
    write_rows(out / RUN, request.conversations)
    if request.start_from:
        shutil.copytree(request.start_from / ADAPTER, out / RUN / "start", dirs_exist_ok=True)
    dtype = str(ready.opened.decoder.embedding.dtype).removeprefix("torch.")  # "auto" may choose otherwise next time
    lora = asdict(ready.lora)  # a bot that is gone on from brings its own
    plan = replace(plan, base=ready.opened.model.source, settings={**plan.settings, **lora, "dtype": dtype})
    plan.write(out / RUN)  # from now on `resume` can go on
    return _work(out, plan, ready, watcher, began)


def resume(out: Path, watcher: Watcher = Watcher()) -> dict[str, Any]:
    """Goes on where the run in `out` was cut off. Raises CheckpointError if there is no unfinished run."""
    if is_finished(out):
        raise CheckpointError(say("tune.already_finished", out=out))
    if not is_unfinished(out):
        raise CheckpointError(say("tune.nothing_to_resume", out=out))
    began = time.perf_counter()
    _tidy(out)
    plan = RunPlan.read(out / RUN)
    start = out / RUN / plan.start if plan.start else None
    return _work(out, plan, _prepared(plan, read_rows(out / RUN), start, out, watcher), watcher, began)


def _planned(request: TuneRequest) -> RunPlan:
    base, template, system, settings = request.base, request.template, request.system, request.settings
    if request.start_from:
        if request.start_from.resolve() == request.out.resolve():
            raise ConfigError(say("tune.from_itself", out=request.out))
        parent = read_record(request.start_from)
        base, template, system = base or parent.base, template or parent.template, system or parent.system
    if not base:
        raise ConfigError(say("tune.no_base"))
    return RunPlan(
        base=base,
        template=template,
        system=system,
        probes=request.probes,
        start="start" if request.start_from else "",
        settings=settings.as_dict(),
        inputs={str(p): file_sha256(p) for p in request.inputs},
    )


def _refuse_other_base(parent: Path, plan: RunPlan, opened: Opened) -> None:
    """Raises CheckpointError if the bot to go on from was made on other weights."""
    record, seen = read_record(parent), base_hash(opened.model.path)
    if seen != record.base_hash:
        expected = record.base_hash[:12]
        raise CheckpointError(
            say("bot.other_base", folder=parent, base=record.base, expected=expected, source=plan.base, seen=seen[:12])
        )


def _refuse_to_overwrite(out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(say("tune.out_is_file", out=out))
    if force:
        return
    if is_finished(out):
        raise ConfigError(say("tune.out_is_bot", out=out))
    if is_unfinished(out):
        raise ConfigError(say("tune.out_is_unfinished", out=out))


def _clear(out: Path) -> None:
    """Takes the old bot away, its record first: a half-deleted one must not look finished."""
    for name in (RECORD, f"{RUN}/{SETTINGS}"):
        (out / name).unlink(missing_ok=True)
    for name in (ADAPTER, REPORT):
        if (out / name).exists():
            shutil.rmtree(out / name)


def _remove_run(out: Path) -> None:
    """Takes away what nabot keeps in BOT/run, and nothing else that may lie there."""
    for name in ("checkpoints", "best", "start"):
        if (out / RUN / name).exists():
            shutil.rmtree(out / RUN / name)
    for name in ("rehearsal.jsonl", "ground.json", "metrics.jsonl", "samples.jsonl"):
        (out / RUN / name).unlink(missing_ok=True)


def _tidy(out: Path) -> None:
    """Clears away what a killed run left half-written."""
    for folder in (out, out / RUN, out / RUN / "best"):
        remove_leftovers(folder)


def _prepared(plan: RunPlan, rows: Sequence[Conversation], start: Path | None, out: Path, watcher: Watcher) -> _Ready:
    """Opens the base, renders the rows, and tries the adapter on (the one in `start`, or a fresh one)."""
    settings = Settings().with_values(plan.settings)
    config = settings.train
    if config.threads:
        torch.set_num_threads(config.threads)
    watcher.phase(say("tune.loading", base=plan.base))
    opened = open_source(
        plan.base,
        template=plan.template,
        system=plan.system,
        dtype=config.dtype,
        device=config.device,
        progress=watcher.pulling,
    )
    train_rows, held_out_part = _split(list(rows), config.held_out, config.seed)
    limit = min(config.max_length, opened.decoder.config.max_positions)
    examples = _examples(opened.renderer, train_rows, limit, watcher)
    held_out = _fitting(opened.renderer, held_out_part, limit)
    lora = _attach(opened, settings, start)  # proves that the adapter fits
    require_space(out, sum(p.numel() for p in trainable(opened.decoder).values()) * _BYTES_A_PARAMETER)
    detach(opened.decoder)  # the base as it is answers first
    if config.keep == "best" and not held_out:
        raise ConfigError(say("tune.no_best", rows=len(rows)))
    return _Ready(opened, rows, examples, held_out, lora)


def _work(out: Path, plan: RunPlan, ready: _Ready, watcher: Watcher, began: float) -> dict[str, Any]:
    opened, rows, examples = ready.opened, ready.rows, ready.examples
    settings = Settings().with_values(plan.settings)
    config = settings.train
    ground = {"base": base_hash(opened.model.path), "torch": torch.__version__, "threads": torch.get_num_threads()}
    changed = plan.check_ground(ground, out)
    if changed:  # the same run, but its sums may be added up in another order
        watcher.note(say("tune.ground_changed", changed=", ".join(changed)))
    learned = [*examples, *rehearsal(opened, len(examples), config.rehearsal_ratio, out / RUN / "rehearsal.jsonl")]
    torch.manual_seed(config.seed)
    lora = _attach(opened, settings, out / RUN / plan.start if plan.start else None)
    opened.decoder.checkpoint_blocks = config.checkpoint_blocks
    stopping = _Signals()
    samples = Journal(out / RUN / "samples.jsonl")
    hooks = _hooks(opened, plan.probes or _probe_questions(rows), samples, watcher, stopping)
    trainer = Trainer(opened.decoder, learned, ready.held_out, config, out / RUN, hooks)
    resumed = trainer.resume()
    samples.cut_back(trainer.state.step if resumed else -1)
    with stopping:
        finished = trainer.run()
    if not finished:
        raise Stopped(say("tune.stopped", step=trainer.state.step, out=out), stopping.number)
    if config.keep == "best":
        trainer.restore_best()
        trainer.state.held_out_loss = trainer.state.best_loss
    watcher.phase(say("tune.finishing"))
    record = _finish(out, plan, opened, lora)
    figures = _figures(out, trainer.state, time.perf_counter() - began)
    write_manifest(out, record, plan, figures, rows=len(rows), learned=len(examples), held_out=len(ready.held_out))
    write_record(out, record)
    return figures


def _split(rows: list[Conversation], count: int | None, seed: int) -> tuple[list[Conversation], list[Conversation]]:
    count = held_out_rows(len(rows)) if count is None else count
    return split(rows, count=count, seed=seed) if count else (rows, [])


def _examples(renderer: Renderer, rows: Sequence[Conversation], limit: int, watcher: Watcher) -> list[Example]:
    """Rows as token ids; those whose last turn alone is too long are dropped and counted. Raises DataError."""
    kept = _fitting(renderer, rows, limit)
    dropped = len(rows) - len(kept)
    if rows and not kept:
        raise DataError(say("tune.no_targets", rows=len(rows), limit=limit))
    if dropped:
        watcher.note(say("tune.dropped", dropped=dropped, rows=len(rows), limit=limit))
    return kept


def _fitting(renderer: Renderer, rows: Sequence[Conversation], limit: int) -> list[Example]:
    rendered = [renderer.fitted(row, limit) for row in rows]
    return [e for e in (Example.of(r.ids, r.trained) for r in rendered if r is not None) if e.targets]


def _attach(opened: Opened, settings: Settings, start: Path | None) -> LoraConfig:
    if start is not None:
        return load_adapter(opened.decoder, start)
    attach(opened.decoder, settings.lora)
    return settings.lora


def _hooks(opened: Opened, questions: Sequence[str], samples: Journal, watcher: Watcher, stopping: "_Signals") -> Hooks:
    def probe(state: RunState) -> None:
        prompts = [Conversation.ask(q) for q in questions]
        answers = opened.engine().generate(prompts, Sampling(max_new_tokens=_PROBE_TOKENS))
        for question, answer in zip(questions, answers, strict=True):
            samples.write({"step": state.step, "question": question, "answer": answer.text})
            watcher.probe(state.step, question, answer.text)

    return Hooks(
        on_step=watcher.step, on_held_out=watcher.held_out, probe=probe, should_stop=lambda: stopping.number > 0
    )


def _probe_questions(rows: Sequence[Conversation]) -> tuple[str, ...]:
    """A few of the person's own first questions, spread over the file."""
    asked = [m.content for row in rows for m in row.messages[:2] if m.role == "user"]
    places = sorted({i * len(asked) // _PROBES for i in range(_PROBES)})
    return tuple(asked[i] for i in places if i < len(asked))


def _finish(out: Path, plan: RunPlan, opened: Opened, lora: LoraConfig) -> BotRecord:
    """Saves the adapter and the template, reads the adapter again and compares logits. Raises CheckpointError."""
    decoder = opened.decoder
    if not has_learned(decoder):
        raise CheckpointError(say("tune.learned_nothing", out=out))
    probe = torch.tensor([opened.renderer.prompt(Conversation.ask("?"))], device=decoder.embedding.device)
    with torch.inference_mode():
        before = decoder(probe).float()
    save_adapter(decoder, out / ADAPTER, lora, opened.model.source)
    detach(decoder)
    load_adapter(decoder, out / ADAPTER)
    with torch.inference_mode():
        difference = float((decoder(probe).float() - before).abs().max())
    if not difference <= _SAME_LOGITS:
        raise CheckpointError(say("tune.not_the_same", out=out, difference=difference))
    write_file(out / TEMPLATE, opened.renderer.template.source)
    return BotRecord(
        base=opened.model.source,
        base_hash=base_hash(opened.model.path),
        base_licence=opened.model.licence,
        template=opened.renderer.template.name,
        system=plan.system,
    )


def _figures(out: Path, state: RunState, wall_seconds: float) -> dict[str, Any]:
    """What `nabot tune --json` prints."""
    return {
        "bot": str(out),
        "method": "lora",
        "steps": state.step,
        "tokens": state.tokens,
        "trained_tokens": state.trained_tokens,
        "seconds": round(state.seconds, 3),
        "wall_seconds": round(wall_seconds, 3),
        "tokens_per_second": round(state.tokens / state.seconds, 1) if state.seconds else 0.0,
        "peak_memory_bytes": peak_memory_bytes(),
        "loss": {"first": state.first_loss, "last": state.last_loss, "held_out": state.held_out_loss},
    }


class _Signals:
    """While it is entered, SIGINT and SIGTERM only leave a note; a second one ends the program at once."""

    def __init__(self) -> None:
        self.number = 0
        self._old: dict[int, Any] = {}

    def __enter__(self) -> None:
        with contextlib.suppress(ValueError):  # only the main thread may listen
            self._old = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self.number:
            self.__exit__()
            raise KeyboardInterrupt
        self.number = number
