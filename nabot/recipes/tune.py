"""Tuning, from rows to a bot. In: conversations, a base, settings, out: a finished folder and its figures.

Nothing is written before rows, settings and weights have proved usable; then everything that a run needs goes into
BOT/run, so that `resume` starts from the folder alone.
"""

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from nabot.adapters import (
    AdapterConfig,
    LoraConfig,
    VirtualConfig,
    WholeConfig,
    attach,
    detach,
    kind_of_rate,
    load_adapter,
    mean_the_same,
    method_of,
    set_dropout,
)
from nabot.artifacts import file_sha256, require_space, write_file
from nabot.bot import ADAPTER, RUN, is_finished, is_unfinished, read_record, write_record
from nabot.conversation import Conversation
from nabot.data import held_out_places, read_exam
from nabot.errors import CheckpointError, ConfigError, Stopped
from nabot.models.kernels import kernels_for
from nabot.models.precision import choose_device
from nabot.recipes.examples import said_most, split_examples
from nabot.recipes.extend import with_rows_learning
from nabot.recipes.finishing import figures_of, save_bot
from nabot.recipes.manifest import write_manifest
from nabot.recipes.opening import Opened, open_source
from nabot.recipes.progress import Progress
from nabot.recipes.qlora import spelt_out
from nabot.recipes.rehearsal import longest_rehearsed, rehearsal
from nabot.recipes.reporting import write_page
from nabot.recipes.request import TuneRequest, Watcher
from nabot.recipes.runfiles import (
    EXAM,
    REHEARSAL,
    RunPlan,
    clear,
    read_rows,
    refuse_to_overwrite,
    remove_run,
    tidy,
    write_rows,
)
from nabot.recipes.settings import Settings
from nabot.recipes.signals import Signals
from nabot.rendering import Renderer
from nabot.sources import base_hash
from nabot.text import say
from nabot.train.batches import Example
from nabot.train.config import TrainConfig
from nabot.train.in_backward import refuse_two_passes
from nabot.train.loop import Hooks, Trainer
from nabot.train.offload import refuse_without_card
from nabot.train.step import trainable

_BYTES_A_PARAMETER = 4 * 3 * 3  # float32 weight and two moments, in two checkpoints and one being written
_STEPS_A_MINUTE = 30  # on a small machine, before the speed of this one is known
_PROBES, _TOLD_PROBES = 10, 3  # asked for the report; and told while it learns
_CHARACTERS_A_TOKEN = 8  # at most, in most texts


@dataclass(frozen=True)
class _Ready:
    """A run whose input has proved usable: the base, and the rows as token ids, by the renderer of what will learn."""

    opened: Opened
    renderer: Renderer
    rows: Sequence[Conversation]
    learned: list[Example]
    held_out: list[Example]
    adapter: AdapterConfig


def tune(request: TuneRequest, watcher: Watcher = Watcher()) -> dict[str, Any]:
    """Makes a bot in `request.out` and returns the figures of design's contract.

    Raises before anything is written if the input cannot be used, or if the folder holds a person's own files, or a bot
    or an unfinished run and `force` was not given.
    """
    began = time.monotonic()
    out = request.out
    refuse_to_overwrite(out, force=request.force)
    request = replace(request, settings=_like_parent(request))
    request.settings.check_threads()
    request.settings.check_given()
    request.settings.check_together()
    plan = _planned(request)
    request = replace(request, settings=spelt_out(request.settings, plan.base, watcher.pulling))
    if not request.start_from:
        request = replace(request, settings=with_rows_learning(request.settings, plan.base))
    plan = replace(plan, settings=request.settings.as_dict())
    exam = b""
    if request.exam is not None:
        read_exam(request.exam)  # its faults are told before anything is tuned
        exam = request.exam.read_bytes()
    require_space(out, 64_000_000)
    start = request.start_from / ADAPTER if request.start_from else None
    ready = _prepared(plan, request.conversations, start, out, watcher)
    if request.start_from:
        _refuse_other_base(request.start_from, plan, ready.opened)
        _refuse_other_adapter(request.start_from, ready, request.settings)
    if is_finished(out) or is_unfinished(out):  # only with `force` does it come here
        clear(out)
    remove_run(out)  # also what a kill in the middle of clearing left: a new run must not go on from it
    tidy(out)
    (out / RUN).mkdir(parents=True, exist_ok=True)
    write_rows(out / RUN, request.conversations)
    if exam:
        write_file(out / RUN / EXAM, exam)
    if request.start_from:
        shutil.copytree(request.start_from / ADAPTER, out / RUN / "start", dirs_exist_ok=True)
    dtype = str(ready.opened.decoder.embedding.dtype).removeprefix("torch.")  # "auto" may choose otherwise next time
    method = method_of(ready.adapter)  # `--from` brings its own
    rate = request.settings.train.rate_for(ready.opened.decoder.config.width, kind_of_rate(ready.adapter))
    epochs = request.settings.train.epochs_for(len(ready.learned))
    chosen = {**asdict(ready.adapter), "method": method, "dtype": dtype, "learning_rate": rate, "epochs": epochs}
    if isinstance(ready.adapter, VirtualConfig):
        chosen["start_text"] = _start_text(request.settings, ready.opened, ready.rows)  # when resumed, the same
    if "rehearsal_ratio" not in request.settings.given and not ready.opened.tokenizer.chat_template:
        chosen["rehearsal_ratio"] = 0.0  # what a base says in a template that it never saw is noise, not knowledge
    if "dropout" in request.settings.given:
        chosen["dropout"] = request.settings.lora.dropout
    plan = replace(plan, base=ready.opened.model.source, settings={**plan.settings, **chosen})
    plan.write(out / RUN)  # from now on `resume` can go on
    return _work(out, plan, ready, watcher, began)


def resume(out: Path, watcher: Watcher = Watcher()) -> dict[str, Any]:
    """Goes on where the run in `out` was cut off. Raises CheckpointError if there is no unfinished run."""
    if is_finished(out):
        raise CheckpointError(say("tune.already_finished", out=out))
    if not is_unfinished(out):
        raise CheckpointError(say("tune.nothing_to_resume", out=out))
    began = time.monotonic()
    tidy(out)
    plan = RunPlan.read(out / RUN)
    start = out / RUN / plan.start if plan.start else None
    return _work(out, plan, _prepared(plan, read_rows(out / RUN), start, out, watcher), watcher, began)


def _like_parent(request: TuneRequest) -> Settings:
    """The settings; with `--from`, with that bot's method, unless another was asked for (and is refused later), and with
    its base held as it was, unless that was asked for otherwise."""
    settings = request.settings
    if not request.start_from:
        return settings
    parent: Any = read_record(request.start_from)
    if "method" not in settings.given:
        settings = replace(settings, method=parent.method)
    if "base_bits" not in settings.given:
        settings = replace(settings, train=replace(settings.train, base_bits=parent.base_bits))
    return settings


def _planned(request: TuneRequest) -> RunPlan:
    base, template, system = request.base, request.template, request.system
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
        parent=str(request.start_from or ""),
        began=datetime.now().isoformat(timespec="seconds"),
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


def _refuse_other_adapter(parent: Path, ready: _Ready, asked: Settings) -> None:
    """Raises ConfigError if another method or shape was asked for than the adapter to go on with has."""
    own, method = ready.adapter, method_of(ready.adapter)
    has, wants = {**asdict(own), "method": method}, asked.as_dict()
    other = {key for key in has.keys() & asked.given if wants[key] != has[key]}
    if isinstance(own, LoraConfig):  # targets and ranks may be written otherwise and mean the same
        decoder = ready.opened.decoder
        other -= {k for k in other - {"method"} if mean_the_same(decoder, own, replace(own, **{k: wants[k]}))}
    if other:
        said = ", ".join(f"{key}={wants[key]} ({has[key]})" for key in sorted(other))
        raise ConfigError(say("tune.from_other_adapter", folder=parent, other=said))


def _prepared(plan: RunPlan, rows: Sequence[Conversation], start: Path | None, out: Path, watcher: Watcher) -> _Ready:
    """Opens the base, renders the rows, and tries the adapter on (the one in `start`, or a fresh one)."""
    settings = Settings().with_values(plan.settings)
    config = settings.train
    if config.threads:
        torch.set_num_threads(config.threads)
    if config.offload_activations:
        refuse_without_card(choose_device(config.device))
    watcher.phase(say("tune.loading", base=plan.base))

    def opening() -> Opened:
        return open_source(
            plan.base,
            template=plan.template,
            system=plan.system,
            dtype=settings.weights_dtype,
            device=config.device,
            base_bits=config.base_bits,
            clock=lambda: datetime.fromisoformat(plan.began),  # a resumed run renders the same rows
            progress=watcher.pulling,
        )

    opened = opening()
    # Proves that the adapter fits; at random, because PiSSA's start decomposes every weight and proves no more.
    light = replace(settings, lora=replace(settings.lora, lora_start="random"))
    own = _attach(opened, light, start, rows)
    adapter = settings.adapter if start is None else own
    longest = opened.decoder.longest
    require_space(out, sum(p.numel() for p in trainable(opened.decoder).values()) * _BYTES_A_PARAMETER)
    renderer = opened.renderer
    detach(opened.decoder)  # the base as it is answers first
    if start is not None and isinstance(adapter, WholeConfig):  # it took the base's place
        opened = opening()
    learned, held_out = split_examples(
        renderer,
        rows,
        held_out=config.held_out,
        seed=config.seed,
        limit=min(config.max_length, longest),
        longer=say("tune.longer" if config.max_length < longest else "tune.longer_than_model"),
        note=watcher.note,
    )
    if config.keep == "best" and not held_out:
        raise ConfigError(say("tune.no_best", rows=len(rows)))
    if config.optimizer_in_backward:
        refuse_two_passes(config, learned, longest_rehearsed(renderer) if config.rehearsal_ratio else 0)
    return _Ready(opened, renderer, rows, learned, held_out, adapter)


def _work(out: Path, plan: RunPlan, ready: _Ready, watcher: Watcher, began: float) -> dict[str, Any]:
    opened = ready.opened
    settings = Settings().with_values(plan.settings)
    config = settings.train
    ground = {"base": base_hash(opened.model.path), "torch": torch.__version__, "threads": torch.get_num_threads()}
    changed = plan.check_ground(ground, out)
    if changed:  # the same run, but its sums may be added up in another order
        watcher.note(say("tune.ground_changed", changed=", ".join(changed)))
    rehearsed = _rehearsed(ready, config, out, watcher)
    if opened.decoder.embedding.device.type == "cpu":
        watcher.phase(say("tune.compiling"))
        # here and not in the first step, whose seconds tell how long all will take
        kernels_for(opened.decoder.embedding)
    torch.manual_seed(config.seed)
    _attach(opened, settings, out / RUN / plan.start if plan.start else None, ready.rows)
    opened.decoder.checkpoint = config.checkpoint
    stopping = Signals(lambda: watcher.stopping(trainer.state.step + 1))
    probes = plan.probes or _probe_questions(ready.rows, config)
    told = len(plan.probes) or _TOLD_PROBES
    progress = Progress(opened, probes, out / RUN, watcher, told=told)
    hooks = Hooks(
        on_step=watcher.step,
        on_held_out=watcher.held_out,
        probe=progress.look,
        should_stop=lambda: stopping.number > 0,
    )
    trainer = Trainer(opened.decoder, ready.learned, ready.held_out, config, out / RUN, hooks, rehearsed, began)
    resumed = trainer.resume(watcher.note)
    progress.cut_back(trainer.state.step if resumed else -1)
    with stopping:
        finished = trainer.run()
    if not finished:
        raise Stopped(say("tune.stopped", step=trainer.state.step, out=out), stopping.number)
    if config.minutes and trainer.state.cursor < len(ready.learned):
        rows = {"seen": trainer.state.cursor, "rows": len(ready.learned)}
        watcher.note(say("tune.few_rows", minutes=f"{config.minutes:g}", steps=trainer.state.step, **rows))
    if config.keep == "best":
        trainer.restore_best()
        trainer.state.held_out_loss = trainer.state.best_loss
    watcher.phase(say("tune.finishing"))
    record = replace(
        save_bot(out, opened, trainer.state, trainer.peak_rate, settings.method), base_bits=config.base_bits
    )
    figures = figures_of(out, trainer.state, trainer.wall_seconds(), settings.method, trainer.num_trainable)
    write_manifest(
        out, record, plan, figures, rows=len(ready.rows), learned=len(ready.learned), held_out=len(ready.held_out)
    )
    write_page(out)
    write_record(out, record)
    return figures


def _rehearsed(ready: _Ready, config: TrainConfig, out: Path, watcher: Watcher) -> list[Example]:
    """As many everyday questions as the run will come to; raises Stopped on Ctrl-C, as the steps do."""
    steps = int(config.minutes * _STEPS_A_MINUTE) if config.minutes else config.steps_for(len(ready.learned))
    most = config.rehearsed_before(steps)
    if not most:
        return []
    watcher.phase(say("tune.rehearsing"))
    try:
        note = out / RUN / REHEARSAL
        return rehearsal(
            ready.opened,
            most,
            weight=config.rehearsal_weight,
            note=note,
            renderer=ready.renderer,
            base_bits=config.base_bits,
            answered=watcher.rehearsed,
        )
    except KeyboardInterrupt as error:
        raise Stopped(say("tune.stopped_early", out=out), signal.SIGINT) from error


def _attach(opened: Opened, settings: Settings, start: Path | None, rows: Sequence[Conversation]) -> AdapterConfig:
    if start is not None:
        own = load_adapter(opened.decoder, start)
        set_dropout(opened.decoder, settings.lora.dropout)  # the one thing about it that may change
        return own
    attach(opened.decoder, settings.adapter, opened.tokenizer.encode(_start_text(settings, opened, rows)))
    return settings.adapter


def _start_text(settings: Settings, opened: Opened, rows: Sequence[Conversation]) -> str:
    """What virtual tokens begin as, if nobody says otherwise: the bot's system prompt, and what its rows teach."""
    if settings.virtual.start_text or not isinstance(settings.adapter, VirtualConfig):
        return settings.virtual.start_text
    if settings.virtual.places == "question":
        return say("tune.start_text")
    apart = held_out_places(rows, count=settings.train.held_out, seed=settings.train.seed)
    learned = [row for place, row in enumerate(rows) if place not in apart]
    most = settings.adapter.length_for(opened.decoder.config.max_positions, ()) * _CHARACTERS_A_TOKEN
    return f"{opened.renderer.system}\n{said_most(learned, most)}".strip() or say("tune.start_text")


def _probe_questions(rows: Sequence[Conversation], config: TrainConfig) -> tuple[str, ...]:
    """A few first questions, spread over the rows that are held out; over all rows if those are too few."""
    apart = held_out_places(rows, count=config.held_out, seed=config.seed)
    for some in ([row for place, row in enumerate(rows) if place in apart], rows):
        asked = list(dict.fromkeys(m.content for row in some for m in row.messages[:2] if m.role == "user"))
        if len(asked) >= _PROBES:
            break
    places = sorted({i * len(asked) // _PROBES for i in range(_PROBES)})
    return tuple(asked[i] for i in places if i < len(asked))
