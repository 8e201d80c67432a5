"""The tuning loop. In: a decoder with an adapter, examples, settings, out: a RunState; on the way, checkpoints.

The loop owns the order of events and nothing else: packing, schedule, step, checkpoint and journal are modules of their
own; probes, progress and signals come in as callables.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from nabot.adapters.ends import first_that_learns
from nabot.adapters.peft_files import read_tensors
from nabot.artifacts import new_folder
from nabot.data.packing import row_at
from nabot.errors import ConfigError
from nabot.memory import keep_freed_memory
from nabot.models.decoder import Decoder
from nabot.text import say
from nabot.train.batches import Example, microbatches
from nabot.train.checkpoints import RunState, load_newest, remove_folder, save_checkpoint, set_tensors
from nabot.train.config import NEW_ROWS_RATE, WHOLE_RATE, TrainConfig
from nabot.train.in_backward import InBackward
from nabot.train.journal import Journal
from nabot.train.masters import Masters
from nabot.train.offload import offloaded
from nabot.train.schedule import factor
from nabot.train.step import StepStats, is_finite, mean_loss, train_step, trainable

_MEASURED_STEPS = 4  # of a run that was given minutes, before it chooses its length; the first is a warm-up
_TYPICAL_STEPS = 50  # the newest, which tell how long the next will take


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True)
class Hooks:
    """What the loop tells others, and how it is told to stop."""

    on_step: Callable[[RunState, StepStats], None] = _nothing
    on_held_out: Callable[[RunState], None] = _nothing
    probe: Callable[[RunState], None] = _nothing  # asks the probe questions of the decoder as it is
    should_stop: Callable[[], bool] = lambda: False


class Trainer:
    """One run: everything that stays the same from its first step to its last."""

    def __init__(
        self,
        decoder: Decoder,
        examples: Sequence[Example],
        held_out: Sequence[Example],
        config: TrainConfig,
        folder: Path,
        hooks: Hooks = Hooks(),
        rehearsed: Sequence[Example] = (),
        began: float | None = None,
    ) -> None:
        """`began`: the monotonic clock when the person's time began to run; default: now."""
        self.decoder, self.examples, self.config, self.hooks = decoder, examples, config, hooks
        self.rehearsed = rehearsed  # learned beside each step's own rows, and never counted as rows
        self.folder = folder
        self.device = decoder.embedding.device
        self.held_out = microbatches(held_out, config.row_tokens, self.device) if held_out else []
        self.metrics = Journal(folder / "metrics.jsonl")
        self.peak_rate = config.rate_for(decoder.config.width)
        learning = trainable(decoder)
        self.masters = Masters(learning)
        self.optimizer = torch.optim.AdamW(
            _groups(self.masters.moved, config.lora_plus, new_rows=bool(first_that_learns(decoder))),
            lr=self.peak_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
            fused=self.device.type != "mps",
        )
        self.masters.follow(self.optimizer)
        self.in_backward: InBackward | None = None
        if config.optimizer_in_backward:
            self.in_backward = InBackward(learning, self.masters.moved, self.optimizer)
        self.num_trainable = sum(p.numel() for p in learning.values())
        self.state = RunState(total_steps=0 if config.minutes else config.steps_for(len(examples)))
        self.earlier_seconds = 0.0  # of the sessions before this one
        self._began = time.monotonic() if began is None else began
        self._step_seconds: list[float] = []
        self._look_seconds = self._probe_seconds = 0.0  # what one held-out loss, one round of probes take

    def resume(self, note: Callable[[str], None] = _nothing) -> bool:
        """Goes back to the newest whole checkpoint; False if there is none and the run begins again."""
        found = load_newest(self.folder / "checkpoints", self.masters.moved, self.optimizer, note)
        if found is not None:
            self.masters.round()
            self.state, self.earlier_seconds = found, found.wall_seconds
        best = self._best_folder()
        if self.config.keep == "best" and best is not None and not best.exists():  # a newer one had replaced it
            self.state.best_loss = self.state.best_step = None
        self.metrics.cut_back(self.state.step if found is not None else -1)
        return found is not None

    def run(self) -> bool:
        """Learns until the end, or until asked to stop: True if it came to the end. Either way all is saved."""
        try:
            return self._learn()
        finally:
            self.masters.release()
            if self.in_backward is not None:
                self.in_backward.release()

    def _learn(self) -> bool:
        self.decoder.train()
        keep_freed_memory()
        if self.state.step == 0:
            self._look_seconds = _timed(self._measure)
            self._probe_seconds = _timed(self._probe)
        while not self._is_done():
            if self.hooks.should_stop():
                self.save()
                return False
            self._one_step()
            if self._is_due(self.config.eval_every):
                self._measure()
            if self._is_due(self.config.probe_every):
                self._probe()
            if self._is_due(self.config.save_every):
                self.save()
        self._measure()
        self._probe()
        self.save()
        self.decoder.eval()
        return True

    def save(self) -> None:
        """A checkpoint of this moment."""
        self.state.wall_seconds = self.wall_seconds()
        save_checkpoint(self.folder / "checkpoints", self.masters.moved, self.optimizer, self.state)
        for old in self.folder.glob("best/step-*"):
            if old != self._best_folder():
                remove_folder(old)

    def restore_best(self) -> None:
        """Puts back the weights with the lowest held-out loss."""
        best = self._best_folder()
        if best is not None:
            set_tensors(self.masters.moved, read_tensors(best / "weights.safetensors"), best)
            self.masters.round()

    def _one_step(self) -> None:
        state, config = self.state, self.config
        begun = time.perf_counter()
        parts = microbatches(self._next_examples(), config.row_tokens, self.device)
        rate = self.peak_rate * self._factor()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["times"]
        with offloaded(self.decoder) if config.offload_activations else nullcontext():
            stats = train_step(self.decoder, parts, self.optimizer, config.max_norm, in_backward=self.in_backward)
        if not is_finite(stats):
            raise ConfigError(say("train.not_finite", step=state.step + 1, loss=stats.loss, rate=self.peak_rate))
        seconds = time.perf_counter() - begun
        self._step_seconds.append(seconds)
        state.step += 1
        state.cursor += len(self._rows())
        state.tokens += stats.num_tokens
        state.trained_tokens += stats.num_targets
        state.seconds += seconds
        state.first_loss = stats.loss if state.first_loss is None else state.first_loss
        state.last_loss = stats.loss
        self.metrics.write(
            {
                "step": state.step,
                "loss": stats.loss,
                "learning_rate": rate,
                "grad_norm": stats.grad_norm,
                "tokens": stats.num_tokens,
                "trained_tokens": stats.num_targets,
                "drift": stats.drift,
                "seconds": round(seconds, 4),
            }
        )
        state.seconds_left = self._seconds_left()
        self.hooks.on_step(state, stats)

    def _rows(self) -> range:
        """Positions, over all epochs, of the next step's conversations."""
        start = self.state.cursor
        end = start + self.config.batch_size
        if not self.config.minutes:
            end = min(end, self.config.looks_at(len(self.examples)))
        return range(start, end)

    def _next_examples(self) -> list[Example]:
        return [*_taken(self.examples, self._rows(), self.config.seed), *self._rehearsed_now()]

    def _rehearsed_now(self) -> list[Example]:
        """Spread evenly, so that no step is without where there are as many as steps."""
        if not self.rehearsed:
            return []
        places = range(*(self.config.rehearsed_before(self.state.step + n) for n in (0, 1)))
        return _taken(self.rehearsed, places, self.config.seed)

    def _factor(self) -> float:
        total = self.state.total_steps
        # A run that still measures its speed warms up as if it were going to take a few hundred steps.
        warmup = int(self.config.warmup_ratio * (total or 300))  # none for a few steps: none to waste
        return factor(self.config.schedule, self.state.step, warmup, total or 300)

    def _is_done(self) -> bool:
        state, steps = self.state, len(self._step_seconds)
        if not state.total_steps and steps:
            left = self._minutes_left() - self._look_seconds - self._probe_seconds
            more = int(left / self._typical_seconds())
            if steps >= _MEASURED_STEPS or more <= 0:
                state.total_steps = max(state.step, state.step + more)
        return bool(state.total_steps) and state.step >= state.total_steps

    def _typical_seconds(self) -> float:
        """Of a step, with its share of what is looked at now and then; the first step is a warm-up and counts alone."""
        typical = statistics.median(self._step_seconds[1:][-_TYPICAL_STEPS:] or self._step_seconds)
        typical += self._look_seconds / self._interval(self.config.eval_every)
        return typical + self._probe_seconds / self._interval(self.config.probe_every)

    def _minutes_left(self) -> float:
        """Seconds of what the person gave."""
        return (self.config.minutes or 0) * 60 - self.wall_seconds()

    def _seconds_left(self) -> float | None:
        if not self.state.total_steps:
            return max(0.0, self._minutes_left())
        if len(self._step_seconds) < 2:
            return None
        more = (self.state.total_steps - self.state.step) * self._typical_seconds()
        return more + self._look_seconds + self._probe_seconds

    def wall_seconds(self) -> float:
        """Of the whole run, sessions before this one and their loading included."""
        return self.earlier_seconds + time.monotonic() - self._began

    def _is_due(self, every: int) -> bool:
        return self.state.step % self._interval(every) == 0 and self.state.step != self.state.total_steps

    def _interval(self, every: int) -> int:
        return every or max(1, len(self.examples) // self.config.batch_size)  # 0: once an epoch

    def _measure(self) -> None:
        """The held-out loss of the decoder as it is; before the first step it cannot be the best.

        Once a step, also where a stop or a kill came between this and the end.
        """
        state = self.state
        if not self.held_out or state.measured_step == state.step:
            return
        state.measured_step = state.step
        state.held_out_loss = mean_loss(self.decoder, self.held_out)
        self.metrics.write({"step": state.step, "held_out_loss": state.held_out_loss})
        if state.step and (state.best_loss is None or state.held_out_loss < state.best_loss):
            state.best_loss, state.best_step = state.held_out_loss, state.step
            self._save_best()
        self.hooks.on_held_out(state)

    def _probe(self) -> None:
        """The probe questions, asked of the decoder as it is; once a step."""
        if self.state.probed_step == self.state.step:
            return
        self.state.probed_step = self.state.step
        self.decoder.eval()
        self.hooks.probe(self.state)
        self.decoder.train()

    def _save_best(self) -> None:
        best = self._best_folder()
        if self.config.keep == "best" and best is not None:
            weights = {name: p.detach().cpu().contiguous() for name, p in self.masters.moved.items()}
            with new_folder(best) as aside:
                save_file(weights, aside / "weights.safetensors")

    def _best_folder(self) -> Path | None:
        step = self.state.best_step
        return None if step is None else self.folder / "best" / f"step-{step:06d}"


def _groups(learning: Mapping[str, nn.Parameter], lora_plus: float, *, new_rows: bool) -> list[dict[str, Any]]:
    """What learns, in order: a group for each factor of the rate. `new_rows`: of embedding and head only these learn."""
    ends = {"times": NEW_ROWS_RATE if new_rows else WHOLE_RATE}
    groups: list[dict[str, Any]] = []
    for name, parameter in learning.items():
        kind = {"times": lora_plus} if ".lora_b." in name else ends if name.endswith(".learned") else {"times": 1.0}
        group = next((g for g in groups if g.items() >= kind.items()), None)
        if group is None:
            groups.append(group := {"params": [], **kind})
        group["params"].append(parameter)
    return groups


def _timed(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _taken(examples: Sequence[Example], positions: range, seed: int) -> list[Example]:
    """What stands at these positions over all epochs, each epoch in an order of its own."""
    return [examples[row_at(position, len(examples), seed)] for position in positions]
