"""A run that was stopped and resumed is the run that never stopped, bit for bit."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import random_examples, tiny_decoder
from torch import Tensor

from nabot.adapters import AdapterConfig, LoraConfig, VirtualConfig, WholeConfig, attach, question_ids
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder
from nabot.train import loop
from nabot.train.batches import Example
from nabot.train.checkpoints import RunState, checkpoints
from nabot.train.config import TrainConfig
from nabot.train.loop import Hooks, Trainer
from nabot.train.step import StepStats, trainable

LENGTHS = [20, 7, 31, 12, 5, 26, 9, 14, 22, 3]
CONFIG = TrainConfig(
    learning_rate=3e-3, batch_size=3, row_tokens=64, epochs=3.5, eval_every=4, save_every=100, weight_decay=0.01, seed=5,
    rehearsal_ratio=0.5,
)  # fmt: skip
STEPS = 12  # ⌈3.5 · 10 / 3⌉; the last one has only two rows


def behind(ids: list[int], example: Example) -> Example:
    """The example with these ids before it."""
    return replace(example, inputs=(*ids, *example.inputs), places=tuple(len(ids) + p for p in example.places))


class Process:
    """What one start of the program holds; `stop_at` is the step after which it is asked to stop."""

    def __init__(
        self,
        folder: Path,
        config: TrainConfig = CONFIG,
        stop_at: int | None = None,
        seed: int = 1,
        began: float | None = None,
        adapter: AdapterConfig = LoraConfig(rank=3, alpha=6, dropout=0.2),
        **changes: Any,
    ) -> None:
        torch.manual_seed(seed)
        self.decoder: Decoder = tiny_decoder("gqa", **changes)
        attach(self.decoder, adapter, [3, 1, 4])
        self.rates: list[float] = []
        self.probed: list[int] = []
        ids = [n for side in question_ids(self.decoder) for n in side]
        hooks = Hooks(
            on_step=self._on_step,
            probe=lambda state: self.probed.append(state.step),
            should_stop=lambda: self.trainer.state.step == stop_at,
        )
        lengths = enumerate((LENGTHS, [15, 6], [6, 11, 8, 4, 9]), 1)
        examples, held_out, rehearsed = ([behind(ids, e) for e in random_examples(n, seed=s)] for s, n in lengths)
        self.trainer = Trainer(self.decoder, examples, held_out, config, folder, hooks, rehearsed, began)

    def _on_step(self, _: RunState, __: StepStats) -> None:
        self.rates.append(self.trainer.optimizer.param_groups[0]["lr"])

    def weights(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in trainable(self.decoder).items()}

    def moments(self) -> dict[str, Tensor]:
        state = self.trainer.optimizer.state
        return {f"{n}/{key}": t for n, p in trainable(self.decoder).items() for key, t in state[p].items()}


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Process, Tensor]:
    """A run that is never stopped, and torch's random numbers at its end."""
    process = Process(tmp_path / "whole")
    assert process.trainer.run()
    assert process.trainer.state.step == STEPS
    return process, torch.get_rng_state()


@pytest.mark.parametrize("stops", [[5], [4], [0, 1, 11], [3, 6]])
def test_a_stopped_and_resumed_run_is_the_same_bit_for_bit(
    stops: list[int], whole: tuple[Process, Tensor], tmp_path: Path
) -> None:
    uninterrupted, random_numbers = whole
    folder, rates, probed = tmp_path / "stopped", [], []
    for number, stop in enumerate([*stops, None]):
        process = Process(folder, stop_at=stop, seed=1 if number == 0 else 100 + number)
        assert process.trainer.resume() == (number > 0)
        assert process.trainer.run() == (stop is None)
        rates += process.rates
        probed += process.probed
    assert torch.equal(torch.get_rng_state(), random_numbers)
    assert_same_bits(process.weights(), uninterrupted.weights())
    assert_same_bits(process.moments(), uninterrupted.moments())
    assert rates == uninterrupted.rates
    assert probed == uninterrupted.probed
    assert metrics(folder) == metrics(tmp_path / "whole")
    ours, theirs = vars(process.trainer.state), vars(uninterrupted.trainer.state)
    clocks = {"seconds", "seconds_left", "wall_seconds"}
    assert {k: v for k, v in ours.items() if k not in clocks} == {k: v for k, v in theirs.items() if k not in clocks}


@pytest.mark.parametrize(
    "adapter",
    [
        VirtualConfig(method="prompt", virtual_tokens=4, start="vocab"),
        VirtualConfig(method="ptuning", virtual_tokens=4, encoder="lstm", encoder_width=8),
        VirtualConfig(method="ptuning", virtual_tokens=4, encoder_width=8, places="question"),
        VirtualConfig(method="prefix", virtual_tokens=4, encoder="mlp", encoder_width=8),
        WholeConfig(),
        WholeConfig(top_layers=1),
        LoraConfig(rank=3, alpha=6, dropout=0.2, save_whole="embed_tokens,lm_head"),
    ],
    ids=["prompt", "ptuning", "around_questions", "prefix", "full", "freeze", "both_ends"],
)
def test_so_it_is_for_every_method(adapter: AdapterConfig, tmp_path: Path) -> None:
    whole = Process(tmp_path / "whole", adapter=adapter)
    assert whole.trainer.run()
    for stop in (5, None):
        process = Process(tmp_path / "stopped", stop_at=stop, adapter=adapter)
        assert process.trainer.resume() == (stop is None)
        assert process.trainer.run() == (stop is None)
    assert_same_bits(process.weights(), whole.weights())
    assert_same_bits(process.moments(), whole.moments())
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "whole")


def test_a_killed_run_goes_on_from_its_last_checkpoint(whole: tuple[Process, Tensor], tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(state: RunState, _: StepStats) -> None:
        if state.step == 9:
            raise KilledError

    config = TrainConfig(**{**vars(CONFIG), "save_every": 4})
    folder = tmp_path / "killed"
    first = Process(folder, config)
    object.__setattr__(first.trainer.hooks, "on_step", kill)
    with pytest.raises(KilledError):
        first.trainer.run()
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 10, "lo')  # the kill came while it wrote
    (folder / "checkpoints" / ".nabot-tmp-left").mkdir()

    second = Process(folder, config, seed=77)
    assert second.trainer.resume()
    assert second.trainer.state.step == 8
    assert max(record["step"] for record in metrics(folder)) == 8
    assert second.trainer.run()
    assert_same_bits(second.weights(), whole[0].weights())
    assert metrics(folder) == metrics(tmp_path / "whole")
    assert not list((folder / "checkpoints").glob(".nabot*"))


def test_a_kill_after_the_last_checkpoint_changes_nothing(whole: tuple[Process, Tensor], tmp_path: Path) -> None:
    before = metrics(tmp_path / "whole")
    again = Process(tmp_path / "whole", seed=9)
    assert again.trainer.resume()
    assert again.trainer.run()
    assert again.rates == again.probed == []
    assert_same_bits(again.weights(), whole[0].weights())
    assert metrics(tmp_path / "whole") == before


def test_without_a_checkpoint_a_run_begins_again(tmp_path: Path) -> None:
    process = Process(tmp_path, stop_at=3)
    process.trainer.run()
    shutil.rmtree(tmp_path / "checkpoints")
    again = Process(tmp_path)
    assert not again.trainer.resume()
    assert again.trainer.state.step == 0
    assert metrics(tmp_path) == []


def test_a_half_deleted_checkpoint_is_not_one(tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(CONFIG), "save_every": 2})
    Process(tmp_path, config, stop_at=6).trainer.run()
    newest, older = checkpoints(tmp_path / "checkpoints")[::-1]
    (newest / "state.json").unlink()
    again = Process(tmp_path, config)
    again.trainer.resume()
    assert again.trainer.state.step == int(older.name.split("-")[1]) == 4


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    Process(tmp_path, TrainConfig(**{**vars(CONFIG), "save_every": 1})).trainer.run()
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step-000011", "step-000012"]


# ---- --minutes


class Clock:
    """Time that passes by a fixed amount between a first look at it and a second one: a step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds_a_step: float) -> None:
        self.now, self.pace, self.looks = 0.0, seconds_a_step, 0
        monkeypatch.setattr(loop.time, "perf_counter", self.look)
        monkeypatch.setattr(loop.time, "monotonic", lambda: self.now)

    def look(self) -> float:
        self.looks += 1
        self.now += 0 if self.looks % 2 else self.pace
        return self.now


def test_minutes_choose_the_steps_from_the_measured_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, seconds_a_step=2.0)
    process = Process(tmp_path, TrainConfig(**{**vars(CONFIG), "minutes": 1.0}))
    assert process.trainer.run()
    assert process.trainer.state.total_steps == process.trainer.state.step == 30
    assert clock.now == 60


def test_a_resumed_run_keeps_the_number_of_steps_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(**{**vars(CONFIG), "minutes": 1.0})
    Clock(monkeypatch, seconds_a_step=2.0)
    first = Process(tmp_path, config, stop_at=10)
    first.trainer.run()
    chosen = first.trainer.state.total_steps
    assert chosen == 30
    Clock(monkeypatch, seconds_a_step=20.0)  # ten times slower now
    second = Process(tmp_path, config, seed=8)
    second.trainer.resume()
    assert second.trainer.state.total_steps == chosen
    assert second.trainer.run()
    assert second.trainer.state.step == chosen


def test_a_run_stopped_before_it_chose_measures_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(**{**vars(CONFIG), "minutes": 1.0})
    Clock(monkeypatch, seconds_a_step=2.0)
    Process(tmp_path, config, stop_at=2).trainer.run()
    second = Process(tmp_path, config)
    second.trainer.resume()
    assert second.trainer.run()
    assert second.trainer.state.total_steps == second.trainer.state.step > 6


@pytest.mark.parametrize(("probe_every", "eval_every"), [(4, 4), (40, 4), (4, 40), (0, 0)])
def test_minutes_count_the_pauses_too(
    probe_every: int, eval_every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, seconds_a_step=1.0)
    rhythms = {"probe_every": probe_every, "eval_every": eval_every}
    process = Process(tmp_path, TrainConfig(**{**vars(CONFIG), "minutes": 2.0, **rhythms}))

    def look(_: object) -> None:
        clock.now += 4

    process.trainer.hooks = loop.Hooks(probe=look, on_held_out=look)
    assert process.trainer.run()
    assert 110 < clock.now <= 120


def test_minutes_count_what_came_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, seconds_a_step=1.0)
    clock.now = 20.0
    process = Process(tmp_path, TrainConfig(**{**vars(CONFIG), "minutes": 1.0}), began=0.0)
    assert process.trainer.run()
    assert clock.now == 60


def test_too_little_time_still_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, seconds_a_step=100.0)
    process = Process(tmp_path, TrainConfig(**{**vars(CONFIG), "minutes": 0.1}))
    assert process.trainer.run()
    assert process.trainer.state.step == 1


# ---- what goes wrong


def spoil_a_weight(process: Process) -> None:
    next(iter(trainable(process.decoder).values())).data.fill_(torch.nan)


def spoil_the_rate(process: Process) -> None:
    for parameter in trainable(process.decoder).values():
        parameter.data.mul_(1e30)


@pytest.mark.parametrize("spoil", [spoil_a_weight, spoil_the_rate])
def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_checkpoint(
    spoil: Callable[[Process], None], tmp_path: Path
) -> None:
    config = TrainConfig(**{**vars(CONFIG), "save_every": 2})
    process = Process(tmp_path, config)
    on_step = process.trainer.hooks.on_step

    def spoil_at(state: RunState, stats: StepStats) -> None:
        on_step(state, stats)
        if state.step == 5:
            spoil(process)

    object.__setattr__(process.trainer.hooks, "on_step", spoil_at)
    with pytest.raises(ConfigError, match=r"(?s)step 6: the loss is .*learning_rate"):
        process.trainer.run()
    again = Process(tmp_path, config)
    assert again.trainer.resume()
    assert again.trainer.state.step == 4
    assert all(torch.isfinite(tensor).all() for tensor in again.weights().values())
    assert max(record["step"] for record in metrics(tmp_path)) == 4


@pytest.mark.parametrize("name", ["weights", "optimizer", "rng"])
@pytest.mark.parametrize("size", [None, 0, 100])
def test_a_damaged_checkpoint_is_named(name: str, size: int | None, tmp_path: Path) -> None:
    Process(tmp_path, stop_at=2).trainer.run()
    path = checkpoints(tmp_path / "checkpoints")[-1] / f"{name}.safetensors"
    data = path.read_bytes()
    path.unlink()
    if size is not None:
        path.write_bytes(data[:size])
    with pytest.raises(CheckpointError, match=rf"{name}\.safetensors"):
        Process(tmp_path).trainer.resume()


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "rng.safetensors", "state.json"])
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_note(
    name: str, whole: tuple[Process, Tensor], tmp_path: Path
) -> None:
    config = TrainConfig(**{**vars(CONFIG), "save_every": 2})
    Process(tmp_path, config, stop_at=6).trainer.run()
    newest = checkpoints(tmp_path / "checkpoints")[-1]
    (newest / name).write_bytes((newest / name).read_bytes()[:60])
    again, notes = Process(tmp_path, config, seed=5), []
    assert again.trainer.resume(notes.append)
    assert again.trainer.state.step == 4
    assert len(notes) == 1
    assert str(newest) in notes[0]
    assert "step 4" in notes[0]
    assert again.trainer.run()
    assert_same_bits(again.weights(), whole[0].weights())
    assert_same_bits(again.moments(), whole[0].moments())


def test_a_best_that_a_damaged_checkpoint_had_replaced_is_forgotten(tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(CONFIG), "keep": "best", "eval_every": 1, "save_every": 2})
    Process(tmp_path, config, stop_at=6).trainer.run()
    older, newest = checkpoints(tmp_path / "checkpoints")
    best = json.loads((older / "state.json").read_text(encoding="utf-8"))["best_step"]
    assert not (tmp_path / "best" / f"step-{best:06d}").exists()
    (newest / "state.json").write_text("{", encoding="utf-8")
    again = Process(tmp_path, config, stop_at=4)
    assert again.trainer.resume()
    assert again.trainer.state.best_step is None
    again.trainer.restore_best()


def test_a_checkpoint_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    Process(tmp_path, stop_at=2).trainer.run()
    with pytest.raises(CheckpointError, match=r"step-000002.*layers\.0\.mlp"):
        Process(tmp_path, intermediate_size=128).trainer.resume()
    with pytest.raises(CheckpointError, match=r"layers\.2"):
        Process(tmp_path, num_hidden_layers=3).trainer.resume()


# ---- best and last


def test_best_weights_survive_a_stop_and_come_back(tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(CONFIG), "keep": "best", "learning_rate": 3.0, "eval_every": 1, "save_every": 3})
    whole = Process(tmp_path / "whole", config)
    whole.trainer.run()
    Process(tmp_path / "stopped", config, stop_at=7).trainer.run()
    resumed = Process(tmp_path / "stopped", config, seed=4)
    resumed.trainer.resume()
    resumed.trainer.run()
    last = whole.weights()
    best_step = whole.trainer.state.best_step
    assert best_step is not None
    assert best_step < STEPS
    for process in (whole, resumed):
        process.trainer.restore_best()
    assert_same_bits(resumed.weights(), whole.weights())
    assert any(not torch.equal(tensor, last[name]) for name, tensor in whole.weights().items())
    losses = {r["step"]: r["held_out_loss"] for r in metrics(tmp_path / "whole") if "held_out_loss" in r and r["step"]}
    assert min(losses, key=lambda step: losses[step]) == best_step
    assert [path.name for path in (tmp_path / "whole" / "best").iterdir()] == [f"step-{best_step:06d}"]


def test_every_row_is_learned_once_an_epoch(tmp_path: Path) -> None:
    process = Process(tmp_path)
    steps: list[list[Example]] = []
    whole = process.trainer._next_examples
    process.trainer._next_examples = lambda: (rows := whole(), steps.append(rows))[0]  # type: ignore[method-assign]
    process.trainer.run()
    rows, others = process.trainer.examples, process.trainer.rehearsed
    seen = [e for step in steps for e in step if e in rows]
    beside = [[e for e in step if e in others] for step in steps]
    assert len(seen) == 35
    for epoch in range(3):
        assert sorted(seen[10 * epoch : 10 * epoch + 10], key=rows.index) == rows
    assert seen[:10] != seen[10:20]
    assert [len(some) for some in beside] == [1, 2] * 6  # half of a batch of three, spread evenly
    in_order = [e for some in beside for e in some]
    for turn in range(len(in_order) // 5):
        assert sorted(in_order[5 * turn : 5 * turn + 5], key=others.index) == others
    learned = [*seen, *in_order]
    assert process.trainer.state.trained_tokens == sum(len(e.targets) for e in learned)
    assert process.trainer.state.tokens == sum(len(e.inputs) for e in learned)
