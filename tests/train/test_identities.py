"""However a step is cut into passes, whatever order its rows have: the same loss and the same gradient."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import gradients, random_examples, tiny_decoder, with_adapter
from torch import Tensor
from torch.testing import assert_close

from nabot.adapters import LoraConfig, VirtualConfig, WholeConfig
from nabot.models.decoder import Decoder
from nabot.models.recompute import Recompute
from nabot.train.batches import Example, collate, microbatches
from nabot.train.config import TrainConfig
from nabot.train.loop import Trainer
from nabot.train.loss import answer_loss
from nabot.train.step import mean_loss, train_step, trainable

LENGTHS = [40, 3, 17, 16, 33, 2, 25]
RECOMPUTED: tuple[Recompute, ...] = ("blocks", "attention")
ADAPTERS = {
    "all_linear": LoraConfig(rank=4, alpha=8),
    "subset": LoraConfig(rank=3, alpha=5, targets="v_proj,down_proj", rank_pattern={"v_proj": 1}),
    "upper_layer": LoraConfig(rank=2, alpha=4, targets=r"/.*layers\.1\..*/"),  # the lower one stays frozen
    "both_ends": LoraConfig(rank=3, alpha=6, save_whole="embed_tokens,lm_head"),
    "embedding": LoraConfig(rank=3, alpha=6, targets="v_proj", save_whole="embed_tokens"),
    "prompt": VirtualConfig(method="prompt", virtual_tokens=5),
    "ptuning": VirtualConfig(method="ptuning", virtual_tokens=4, encoder="lstm", encoder_width=12),
    "prefix": VirtualConfig(method="prefix", virtual_tokens=6),
    "prefix_by_network": VirtualConfig(method="prefix", virtual_tokens=3, encoder="mlp", encoder_width=12),
    "full": WholeConfig(),
    "freeze": WholeConfig(top_layers=1),
}
Outcome = tuple[float, dict[str, Tensor]]


def decoder(variant: str = "gqa", adapter: str = "all_linear", dtype: torch.dtype = torch.float64) -> Decoder:
    return with_adapter(tiny_decoder(variant, dtype), ADAPTERS[adapter])


def stepped(model: Decoder, parts: Sequence[Sequence[Example]]) -> Outcome:
    """Loss and gradients of one train_step over these passes; the learning rate is 0, so nothing moves."""
    optimizer = torch.optim.SGD(trainable(model).values(), lr=0.0)
    caught: dict[str, Tensor] = {}
    optimizer.register_step_pre_hook(lambda *_: caught.update(gradients(model)))
    stats = train_step(model, [collate(examples) for examples in parts], optimizer, max_norm=0)
    return stats.loss, caught


def assert_same(one: Outcome, other: Outcome, dtype: torch.dtype = torch.float64) -> None:
    relative = 1e-10 if dtype == torch.float64 else 1e-5
    assert one[0] == pytest.approx(other[0], rel=relative)
    assert one[1].keys() == other[1].keys()
    assert one[1]
    largest = max(grad.abs().max().item() for grad in one[1].values())
    assert largest > 1e-4
    for name, grad in one[1].items():
        assert_close(
            grad, other[1][name], atol=relative * largest, rtol=relative, msg=lambda text, n=name: f"{n}: {text}"
        )


def plain(model: Decoder, examples: Sequence[Example]) -> Outcome:
    """The definition: every row alone through autograd, −Σ ln p of trained tokens over their number."""
    model.zero_grad()
    total = torch.zeros((), dtype=model.embedding.dtype)
    for example in examples:
        logs_TV = model(torch.tensor([example.inputs]))[0].log_softmax(-1)
        total = total - logs_TV[list(example.places), list(example.targets)].sum()
    mean = total / sum(len(e.targets) for e in examples)
    mean.backward()
    return mean.item(), gradients(model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("variant", ["mha", "gqa", "tied", "both_biases", "rope_llama3"])
def test_a_packed_step_equals_the_rows_one_by_one(variant: str, adapter: str, dtype: torch.dtype) -> None:
    model, rows = decoder(variant, adapter, dtype), random_examples(LENGTHS)
    assert_same(stepped(model, [rows]), plain(model, rows), dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("beginning", [1, 6, 21])
def test_a_shared_system_prompt_changes_nothing(beginning: int, adapter: str, dtype: torch.dtype) -> None:
    model, rows = decoder("gqa", adapter, dtype), random_examples(LENGTHS, beginning=beginning)
    saved = sum(len(row.inputs) for row in rows) - collate(rows).num_tokens
    assert saved >= (0 if beginning == 1 else (len(rows) - 1) * (beginning - 1))  # where one asks, all stand alone
    assert_same(stepped(model, [rows]), plain(model, rows), dtype)


def test_rows_that_are_beginnings_of_each_other_are_kept_apart() -> None:
    model = decoder()
    ids = list(range(1, 30))
    last = [False] * 28
    rows = [Example.of(ids[:n], [*last[: n - 1], True]) for n in (9, 9, 10, 29)]
    assert_same(stepped(model, [rows]), plain(model, rows))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("row_tokens", [1, 20, 45, 64, 10_000])
def test_accumulated_equals_whole(row_tokens: int, dtype: torch.dtype) -> None:
    model, rows = decoder(dtype=dtype), random_examples(LENGTHS)
    optimizer = torch.optim.SGD(trainable(model).values(), lr=0.0)
    caught: dict[str, Tensor] = {}
    optimizer.register_step_pre_hook(lambda *_: caught.update(gradients(model)))
    parts = microbatches(rows, row_tokens)
    assert (len(parts) == 1) == (row_tokens == 10_000)
    stats = train_step(model, parts, optimizer, max_norm=0)
    assert_same((stats.loss, caught), stepped(model, [rows]), dtype)


@settings(deadline=None, max_examples=20)
@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=7),
    seed=st.integers(0, 1000),
    row_tokens=st.integers(1, 200),
    beginning=st.integers(0, 20),
    data=st.data(),
)
def test_neither_packing_nor_order_matters(
    lengths: list[int], seed: int, row_tokens: int, beginning: int, data: st.DataObject
) -> None:
    model, rows = decoder(), random_examples(lengths, seed, beginning)
    shuffled = data.draw(st.permutations(rows))
    packed = microbatches(shuffled, row_tokens)
    assert sum(p.num_targets for p in packed) == sum(len(r.targets) for r in rows)
    loss = sum(answer_loss(model, part).sum() for part in packed) / sum(p.num_targets for p in packed)
    model.zero_grad()
    loss.backward()  # type: ignore[union-attr]
    assert_same((loss.item(), gradients(model)), plain(model, rows))  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", RECOMPUTED)
@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_checkpointed_equals_plain(adapter: str, dtype: torch.dtype, kind: Recompute) -> None:
    model, rows = decoder("gqa", adapter, dtype), random_examples(LENGTHS)
    whole = stepped(model, [rows[:4], rows[4:]])
    model.checkpoint = kind
    assert_same(stepped(model, [rows[:4], rows[4:]]), whole, dtype)


def test_checkpointed_equals_plain_under_dropout() -> None:
    model = with_adapter(tiny_decoder("gqa", torch.float64), LoraConfig(rank=4, alpha=8, dropout=0.3)).train()
    rows, outcomes = random_examples(LENGTHS), []
    for kind in ("none", *RECOMPUTED):
        model.checkpoint = kind
        torch.manual_seed(3)
        outcomes.append(stepped(model, [rows]))
    for outcome in outcomes[1:]:
        assert_same(outcome, outcomes[0])


def test_checkpointing_keeps_less_for_the_backward_pass() -> None:
    def kept_bytes(kind: Recompute) -> int:
        model = decoder(dtype=torch.float32)
        model.checkpoint = kind
        count = [0]

        def keep(tensor: Tensor) -> Tensor:
            if not isinstance(tensor, torch.nn.Parameter):
                count[0] += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            answer_loss(model, collate(random_examples(LENGTHS)))
        return count[0]

    assert kept_bytes("blocks") < kept_bytes("none") / 4


def test_dropout_is_off_when_a_loss_is_measured() -> None:
    model = with_adapter(tiny_decoder("gqa", torch.float64), LoraConfig(rank=4, alpha=8, dropout=0.5)).train()
    parts = microbatches(random_examples(LENGTHS), 64)
    first = mean_loss(model, parts)
    assert mean_loss(model, parts) == first
    assert model.training
    still = sum(answer_loss(model.eval(), part).sum().item() for part in parts) / sum(p.num_targets for p in parts)
    assert first == pytest.approx(still, rel=1e-12)


def clipped(max_norm: float) -> tuple[float, dict[str, Tensor]]:
    """The norm that the step reports, and the gradient that the optimizer saw."""
    model = decoder()
    optimizer = torch.optim.SGD(trainable(model).values(), lr=0.0)
    caught: dict[str, Tensor] = {}
    optimizer.register_step_pre_hook(lambda *_: caught.update(gradients(model)))
    stats = train_step(model, [collate(random_examples(LENGTHS))], optimizer, max_norm)
    return stats.grad_norm, caught


def test_long_gradients_are_scaled_down_and_short_ones_left() -> None:
    norm, free = clipped(0)
    assert norm == pytest.approx(torch.cat([g.flatten() for g in free.values()]).norm().item())
    for limit, factor in ((norm / 4, 1 / 4), (norm * 4, 1.0)):
        reported, seen = clipped(limit)
        assert reported == pytest.approx(norm)
        for name, grad in free.items():
            assert_close(seen[name], grad * factor, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("spoil", [lambda p: p.fill_(torch.inf), lambda p: p.fill_(torch.nan)])
def test_a_step_without_a_finite_loss_leaves_weights_and_optimizer_alone(spoil: Callable[[Tensor], Tensor]) -> None:
    model = decoder(dtype=torch.float32)
    spoil(model.norm.weight.data)
    before = {name: p.detach().clone() for name, p in trainable(model).items()}
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=0.1)
    train_step(model, [collate(random_examples(LENGTHS))], optimizer, max_norm=1.0)
    assert not optimizer.state
    assert all(torch.equal(p, before[name]) for name, p in trainable(model).items())


def test_the_rate_of_b_is_a_multiple_of_that_of_a(tmp_path: Path) -> None:
    def moved(lora_plus: float) -> dict[str, Tensor]:
        model = decoder(dtype=torch.float64)
        before = {name: p.detach().clone() for name, p in trainable(model).items()}
        config = TrainConfig(learning_rate=1e-3, epochs=1, warmup_ratio=0, max_norm=0, lora_plus=lora_plus)
        Trainer(model, random_examples(LENGTHS), [], config, tmp_path / str(lora_plus)).run()
        return {name: p.detach() - before[name] for name, p in trainable(model).items()}

    plain, plus = moved(1.0), moved(16.0)
    for name, change in plain.items():
        assert_close(plus[name], change * (16 if ".lora_b." in name else 1), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_what_learns_wholly_has_the_rate_of_full_tuning(variant: str, tmp_path: Path) -> None:
    model = with_adapter(tiny_decoder(variant, torch.float64), ADAPTERS["both_ends"])
    before = {name: p.detach().clone() for name, p in trainable(model).items()}
    config = TrainConfig(learning_rate=1e-2, epochs=1, warmup_ratio=0, max_norm=0, adam_epsilon=1e-30)
    Trainer(model, random_examples(LENGTHS), [], config, tmp_path).run()  # one step of Adam: each moves by its rate
    for name, p in trainable(model).items():
        rate = 1e-2 * 5e-5 / 2e-3 if name.endswith(".learned") else 1e-2
        assert (p - before[name]).abs().max().item() == pytest.approx(rate, rel=1e-6)


def test_machines_that_share_a_step_get_the_gradient_of_the_whole() -> None:
    model, rows = decoder(), random_examples(LENGTHS)
    whole = stepped(model, [rows])
    total = sum(len(r.targets) for r in rows)
    shares = []
    for part in (rows[:3], rows[3:]):  # each machine knows the number of trained tokens of all
        optimizer = torch.optim.SGD(trainable(model).values(), lr=0.0)
        caught: dict[str, Tensor] = {}
        optimizer.register_step_pre_hook(lambda *_, c=caught: c.update(gradients(model)))
        train_step(model, [collate(part)], optimizer, 0, global_sum=lambda _: float(total))
        shares.append(caught)
    summed = {name: shares[0][name] + shares[1][name] for name in whole[1]}
    assert_same((whole[0], summed), whole)
