"""Weights that learn in bfloat16: the optimizer moves their float32 masters, which are the truth."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_model import conversations
from tiny_models import random_examples, tiny_decoder
from torch import Tensor

import nabot
from nabot.adapters import LoraConfig, WholeConfig, attach
from nabot.models.decoder import Decoder
from nabot.train.batches import collate, microbatches
from nabot.train.checkpoints import checkpoints
from nabot.train.config import TrainConfig
from nabot.train.loop import Hooks, Trainer
from nabot.train.loss import answer_loss
from nabot.train.masters import Masters
from nabot.train.step import trainable

LENGTHS = [20, 7, 31, 12, 5, 26, 9, 14, 22, 3]
CONFIG = TrainConfig(
    learning_rate=1e-3, batch_size=3, row_tokens=40, epochs=2, eval_every=2, weight_decay=0.01, rehearsal_ratio=0
)
STEPS = 7
FEW = [12, 9]


def learning(adapter: WholeConfig = WholeConfig(), dtype: torch.dtype = torch.bfloat16) -> Decoder:
    decoder = tiny_decoder("gqa", dtype)
    attach(decoder, adapter)
    return decoder


def trainer(folder: Path, config: TrainConfig = CONFIG, stop_at: int | None = None) -> Trainer:
    rows, held_out = random_examples(LENGTHS, seed=1), random_examples([15, 6], seed=2)
    made = Trainer(learning(), rows, held_out, config, folder)
    made.hooks = Hooks(should_stop=lambda: made.state.step == stop_at)
    return made


def copies(tensors: dict[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def moved_share(before: dict[str, Tensor], after: dict[str, Tensor]) -> float:
    """Of the linears' numbers, those that are not what they were."""
    names = [name for name, tensor in before.items() if tensor.dim() == 2 and "layers" in name]
    assert names
    changed = sum(int((before[name] != after[name]).sum()) for name in names)
    return changed / sum(before[name].numel() for name in names)


def plain_adamw(decoder: Decoder, steps: int, rate: float) -> None:
    """What torch's own AdamW makes of the weights where they are."""
    optimizer = torch.optim.AdamW(trainable(decoder).values(), lr=rate, weight_decay=0)
    part = collate(random_examples(FEW))
    for _ in range(steps):
        optimizer.zero_grad()
        answer_loss(decoder, part).mean().backward()
        optimizer.step()


def test_at_a_usual_rate_bfloat16_alone_rounds_most_updates_away_and_masters_none(tmp_path: Path) -> None:
    rate, steps = 2e-5, 40
    plain = learning()
    before = copies(trainable(plain))
    plain_adamw(plain, steps, rate)
    assert moved_share(before, copies(trainable(plain))) < 0.2

    rows = random_examples(FEW)
    config = TrainConfig(
        learning_rate=rate, schedule="constant", warmup_ratio=0, batch_size=len(rows), epochs=steps, max_norm=0
    )
    mastered = Trainer(learning(), rows, [], config, tmp_path)
    begun = copies(mastered.masters.moved)
    mastered.run()
    assert mastered.state.step == steps
    assert moved_share(begun, copies(mastered.masters.moved)) > 0.99
    assert moved_share(before, copies(trainable(mastered.decoder))) > 0.5  # what added up has reached the weights


def test_masters_move_as_adamw_moves_float32_weights_by_the_same_gradients(tmp_path: Path) -> None:
    ours = trainer(
        tmp_path, TrainConfig(**{**vars(CONFIG), "max_norm": 0.0, "schedule": "constant", "warmup_ratio": 0})
    )
    decoder = learning()
    theirs = {name: p.detach().float().requires_grad_() for name, p in trainable(decoder).items()}
    optimizer = torch.optim.AdamW(theirs.values(), lr=1e-3, weight_decay=0.01)
    for _ in range(3):
        parts = microbatches(ours._next_examples(), CONFIG.row_tokens)
        ours._one_step()
        for part in parts:
            (answer_loss(decoder, part).sum() / sum(p.num_targets for p in parts)).backward()
            for name, p in trainable(decoder).items():
                assert p.grad is not None
                total = theirs[name].grad
                theirs[name].grad = p.grad.float() if total is None else total + p.grad.float()
                p.grad = None
        optimizer.step()
        optimizer.zero_grad()
        for name, p in trainable(decoder).items():
            p.data.copy_(theirs[name])
    for name, master in ours.masters.moved.items():
        torch.testing.assert_close(master.data, theirs[name].data, atol=1e-7, rtol=1e-6)


def test_a_weight_is_the_rounding_of_its_master(tmp_path: Path) -> None:
    done = trainer(tmp_path)
    done.run()
    assert done.state.step == STEPS
    for name, weight in trainable(done.decoder).items():
        master = done.masters.moved[name]
        assert (weight.dtype, master.dtype) == (torch.bfloat16, torch.float32)
        assert torch.equal(weight, master.bfloat16())
        assert weight.grad is master.grad is None


def test_gradients_of_several_passes_add_up_in_float32() -> None:
    decoder, alone = learning(), []
    parts = [collate([row]) for row in random_examples([20, 7, 31])]
    for part in parts:
        other = copy.deepcopy(decoder)
        answer_loss(other, part).sum().backward()
        alone.append({name: p.grad.float() for name, p in trainable(other).items() if p.grad is not None})
    masters = Masters(trainable(decoder))
    for part in parts:
        answer_loss(decoder, part).sum().backward()
    for name, master in masters.moved.items():
        assert master.grad is not None
        assert torch.equal(master.grad, alone[0][name] + alone[1][name] + alone[2][name])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_of_float32_are_their_own_masters(dtype: torch.dtype) -> None:
    weights = trainable(learning(dtype=dtype))
    assert all(master is weights[name] for name, master in Masters(weights).moved.items())


def test_an_adapter_on_a_base_in_bfloat16_needs_no_masters() -> None:
    decoder = tiny_decoder("gqa", torch.bfloat16)
    attach(decoder, LoraConfig(rank=2))
    weights = trainable(decoder)
    assert all(master is weights[name] for name, master in Masters(weights).moved.items())


@pytest.mark.parametrize("in_backward", [False, True])
def test_a_stopped_and_resumed_run_is_the_same_bit_for_bit(in_backward: bool, tmp_path: Path) -> None:
    changes = {"optimizer_in_backward": True, "max_norm": 0.0, "row_tokens": 128} if in_backward else {}
    config = TrainConfig(**{**vars(CONFIG), **changes})
    whole = trainer(tmp_path / "whole", config)
    assert whole.run()
    assert not trainer(tmp_path / "stopped", config, stop_at=3).run()
    resumed = trainer(tmp_path / "stopped", config)
    assert resumed.resume()
    assert resumed.run()
    for ours, theirs in (
        (resumed.masters.moved, whole.masters.moved),
        (trainable(resumed.decoder), trainable(whole.decoder)),
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(p, theirs[name]) for name, p in ours.items())
    for name, master in resumed.masters.moved.items():
        own, other = resumed.optimizer.state[master], whole.optimizer.state[whole.masters.moved[name]]
        assert own
        assert all(torch.equal(own[key], other[key]) for key in own)


def test_the_best_masters_come_back_with_their_weights(tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(CONFIG), "keep": "best", "learning_rate": 3.0, "eval_every": 1})
    done = trainer(tmp_path, config)
    done.run()
    assert done.state.best_step is not None
    assert done.state.best_step < STEPS
    done.restore_best()
    best = load_file(tmp_path / "best" / f"step-{done.state.best_step:06d}" / "weights.safetensors")
    for name, master in done.masters.moved.items():
        assert torch.equal(master, best[name])
        assert torch.equal(trainable(done.decoder)[name], best[name].bfloat16())


def test_a_finished_bot_holds_what_its_weights_were_rounded_to(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    out = tmp_path / "bot"
    asked = {"method": "full", "dtype": "bfloat16", "epochs": 2, "rehearsal_ratio": 0}
    bot = nabot.tune(conversations(), base=str(tiny_model_folder), out=out, **asked)
    saved = load_file(out / "adapter" / "adapter_model.safetensors")
    masters = load_file(checkpoints(out / "run" / "checkpoints")[-1] / "weights.safetensors")
    assert {t.dtype for t in saved.values()} == {torch.bfloat16}
    assert {t.dtype for t in masters.values()} == {torch.float32}
    assert torch.equal(saved["model.embed_tokens.weight"], masters["embedding"].bfloat16())
    question = [{"role": "user", "content": "What about tea?"}]
    assert isinstance(bot.chat(question, temperature=0), str)
    decoder, _ = nabot.load_model(str(tiny_model_folder), dtype="float32")
    nabot.load_adapter(decoder, out / "adapter")
    assert torch.equal(decoder.embedding, saved["model.embed_tokens.weight"].float())
