"""The optimizer in the backward pass: weights go where the plain order takes them, and one gradient at a time exists."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import random_examples, tiny_decoder, with_adapter
from torch import Tensor

from nabot.adapters import AdapterConfig, LoraConfig, VirtualConfig, WholeConfig
from nabot.errors import ConfigError
from nabot.models.recompute import Recompute
from nabot.train.config import TrainConfig
from nabot.train.in_backward import refuse_two_passes
from nabot.train.loop import Hooks, Trainer
from nabot.train.step import trainable

LENGTHS = [20, 7, 31, 12, 5, 26, 9, 14, 22, 3]
PLAIN = TrainConfig(
    learning_rate=3e-3, batch_size=3, row_tokens=128, epochs=2, eval_every=4, weight_decay=0.01, max_norm=0,
    rehearsal_ratio=0.5,
)  # fmt: skip
STEPS = 7
ADAPTERS: dict[str, AdapterConfig] = {
    "full": WholeConfig(),
    "freeze": WholeConfig(top_layers=1),
    "lora": LoraConfig(rank=4, alpha=8, dropout=0.2, dora=True),
    "ptuning": VirtualConfig(method="ptuning", virtual_tokens=4, encoder_width=12),
    "prefix": VirtualConfig(method="prefix", virtual_tokens=6),
}


def changed(**changes: Any) -> TrainConfig:
    return TrainConfig(**{**vars(PLAIN), "optimizer_in_backward": True, **changes})


def trainer(
    folder: Path,
    config: TrainConfig,
    *,
    adapter: str = "full",
    variant: str = "gqa",
    kind: Recompute = "none",
    stop_at: int | None = None,
) -> Trainer:
    decoder = with_adapter(tiny_decoder(variant, torch.float64), ADAPTERS[adapter])
    decoder.checkpoint = kind
    rows, held_out = random_examples(LENGTHS, seed=1), random_examples([15, 6], seed=2)
    made = Trainer(decoder, rows, held_out, config, folder, rehearsed=random_examples([6, 11, 8], seed=3))
    made.hooks = Hooks(should_stop=lambda: made.state.step == stop_at)
    return made


def run(folder: Path, config: TrainConfig, **how: Any) -> Trainer:
    """A run from its first step to its last."""
    made = trainer(folder, config, **how)
    torch.manual_seed(7)  # dropout draws from it
    assert made.run()
    assert made.state.step == STEPS
    return made


def everything(done: Trainer) -> dict[str, Tensor]:
    """Weights and moments."""
    state, weights = done.optimizer.state, trainable(done.decoder)
    moments = {f"{name}/{key}": t for name, p in weights.items() for key, t in state[p].items()}
    assert len(moments) == 3 * len(weights)
    return {**weights, **moments}


def assert_same_bits(one: Trainer, other: Trainer) -> None:
    ours, theirs = everything(one), everything(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def metrics(folder: Path, key: str) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [line[key] for line in map(json.loads, lines) if key in line]


@pytest.mark.parametrize("kind", ["none", "blocks", "attention"])
@pytest.mark.parametrize(
    ("adapter", "variant"),
    [
        ("full", "gqa"),
        ("full", "tied"),
        ("full", "both_biases"),
        *((name, "gqa") for name in ADAPTERS if name != "full"),
    ],
)
def test_it_gives_the_very_weights_of_the_plain_order(
    adapter: str, variant: str, kind: Recompute, tmp_path: Path
) -> None:
    plain = run(tmp_path / "plain", PLAIN, adapter=adapter, variant=variant)
    early = run(tmp_path / "early", changed(), adapter=adapter, variant=variant, kind=kind)
    assert_same_bits(early, plain)
    for key in ("loss", "held_out_loss"):
        assert metrics(tmp_path / "early", key) == metrics(tmp_path / "plain", key)
    norms = metrics(tmp_path / "early", "grad_norm")
    assert norms == pytest.approx(metrics(tmp_path / "plain", "grad_norm"), rel=1e-12)
    assert min(norms) > 0


def test_so_it_is_where_matrices_learn_at_a_rate_of_their_own(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", TrainConfig(**{**vars(PLAIN), "lora_plus": 16}), adapter="lora")
    early = run(tmp_path / "early", changed(lora_plus=16), adapter="lora")
    assert_same_bits(early, plain)


def test_a_stopped_and_resumed_run_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", changed())
    assert not trainer(tmp_path / "stopped", changed(), stop_at=3).run()
    resumed = trainer(tmp_path / "stopped", changed())
    assert resumed.resume()
    assert resumed.run()
    assert_same_bits(resumed, whole)
    for key in ("loss", "grad_norm", "held_out_loss"):
        assert metrics(tmp_path / "stopped", key) == metrics(tmp_path / "whole", key)


def test_an_embedding_that_is_the_head_too_moves_once_a_step(tmp_path: Path) -> None:
    early = trainer(tmp_path, changed(), variant="tied")
    moves: list[Tensor] = []
    early.decoder.embedding.register_post_accumulate_grad_hook(moves.append)
    early.run()
    assert len(moves) == STEPS
    assert early.optimizer.state[early.decoder.embedding]["step"] == STEPS


def test_one_gradient_exists_at_a_time(tmp_path: Path) -> None:
    decoder = with_adapter(tiny_decoder("tied", torch.float64), WholeConfig())
    weights = trainable(decoder).values()
    existing: list[int] = []
    for weight in weights:  # before the hooks that move it
        weight.register_post_accumulate_grad_hook(lambda _: existing.append(sum(w.grad is not None for w in weights)))
    Trainer(decoder, random_examples(LENGTHS), [], changed(), tmp_path).run()
    assert existing == [1] * (len(weights) * STEPS)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    early = trainer(tmp_path, changed())
    early.decoder.norm.weight.data.fill_(math.nan)
    with pytest.raises(ConfigError, match=r"step 1: the loss is nan"):
        early.run()


@pytest.mark.parametrize(
    ("lengths", "beside", "batch_size", "ratio", "row_tokens", "needed"),
    [
        ([20, 31], 0, 3, 0.0, 90, None),  # a row has one token less to read than it is long
        ([20, 31], 0, 3, 0.0, 89, 90),
        ([20, 31], 10, 3, 0.5, 110, None),  # and two everyday questions
        ([20, 31], 10, 3, 0.5, 109, 110),
        ([31], 0, 1, 0.0, 10, None),  # alone it is one pass, however long
        ([31], 10, 1, 0.25, 39, 40),
    ],
)
def test_steps_that_might_need_two_passes_are_refused(
    lengths: list[int], beside: int, batch_size: int, ratio: float, row_tokens: int, needed: int | None
) -> None:
    config = changed(batch_size=batch_size, rehearsal_ratio=ratio, row_tokens=row_tokens)
    rows = random_examples(lengths)
    if needed is None:
        refuse_two_passes(config, rows, beside)
        return
    with pytest.raises(ConfigError, match=rf"Set row_tokens={needed}, or a lower batch_size"):
        refuse_two_passes(config, rows, beside)
