"""The loss of a dense head: a sum over trained tokens, chunk by chunk, with a gradient made in the forward pass."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_models import random_examples, tiny_decoder, with_lora
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from nabot.models.decoder import DenseHead
from nabot.recipes.rehearsal import softened
from nabot.train import loss as module
from nabot.train.batches import Example, SoftTargets, collate
from nabot.train.loss import answer_loss, dense_head_loss
from nabot.train.step import train_step, trainable

pytestmark = pytest.mark.usefixtures("operators")


def case(places: int, dtype: torch.dtype = torch.float64, alternatives: int = 1) -> tuple[Tensor, Tensor, SoftTargets]:
    """Hidden states, a head of 23 tokens, and what should come next: one token, or some that share the place."""
    rng = torch.Generator().manual_seed(places)
    hidden = torch.randn(places, 8, generator=rng, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(23, 8, generator=rng, dtype=torch.float64).to(dtype)
    tokens = torch.stack(
        [torch.randperm(23, generator=rng)[:alternatives] for _ in range(places)] or [torch.zeros(1).long()]
    )
    shares = torch.rand(places, alternatives, generator=rng, dtype=torch.float64)
    weight_of_places = 1.0 if alternatives == 1 else 3.0
    return hidden, weight, SoftTargets(tokens[:places], weight_of_places * shares / shares.sum(-1, keepdim=True))


def entropy(wanted: SoftTargets) -> Tensor:
    """What of the cross-entropy no head can take away."""
    shares = wanted.shares_MK
    return -(shares * (shares / shares.sum(-1, keepdim=True)).log()).sum()


def dense(wanted: SoftTargets, hidden: Tensor) -> Tensor:
    """The shares of all 23 tokens, as `F.cross_entropy` takes them."""
    shares = wanted.shares_MK.to(hidden.dtype)
    return torch.zeros(len(shares), 23, dtype=hidden.dtype).scatter(1, wanted.tokens_MK, shares)


@pytest.mark.parametrize("alternatives", [1, 5])
def test_it_passes_gradcheck(alternatives: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    hidden, weight, wanted = case(11, alternatives=alternatives)
    assert gradcheck(lambda h: dense_head_loss(h, DenseHead(weight), wanted), (hidden,))


@pytest.mark.parametrize("learning", [1, 9, 23])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rows_of_the_head_that_learn_get_the_gradient_of_autograd(
    dtype: torch.dtype, learning: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    hidden, weight, wanted = case(11, dtype, alternatives=5)
    kind = torch.promote_types(dtype, torch.float32)
    rows = torch.nn.Parameter(weight[-learning:].to(kind, copy=True))
    ours = torch.autograd.grad(dense_head_loss(hidden, DenseHead(weight, rows), wanted).sum() / 7, (hidden, rows))
    whole = torch.cat([weight[:-learning].to(kind), rows])
    loss = F.cross_entropy(hidden.to(kind) @ whole.t(), dense(wanted, hidden.to(kind)), reduction="sum") / 7
    near = {"atol": 0.02, "rtol": 0.02} if dtype == torch.bfloat16 else {"atol": 1e-6, "rtol": 1e-5}
    for mine, theirs in zip(ours, torch.autograd.grad(loss, (hidden, rows)), strict=True):
        assert mine.dtype == theirs.dtype
        assert_close(mine, theirs, **near)


def test_where_rows_learn_places_that_count_differently_are_refused() -> None:
    hidden, weight, wanted = case(3)
    losses = dense_head_loss(hidden, DenseHead(weight, torch.nn.Parameter(weight[20:].clone())), wanted)
    with pytest.raises(AssertionError, match="every place counts the same"):
        (losses * torch.arange(3)).sum().backward()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("alternatives", [1, 6])
@pytest.mark.parametrize("places", [1, 4, 5, 11, 600])
def test_it_equals_cross_entropy_and_its_gradient(
    places: int, alternatives: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    if places < 600:
        monkeypatch.setattr(module, "CHUNK", 4)
    hidden, weight, wanted = case(places, dtype, alternatives)
    ours, twin = (
        dense_head_loss(hidden, DenseHead(weight), wanted).sum(),
        F.cross_entropy(hidden @ weight.t(), dense(wanted, hidden), reduction="sum") - entropy(wanted).to(dtype),
    )
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    assert_close(ours, twin, atol=tolerance, rtol=tolerance)
    mine, expected = (torch.autograd.grad(3 * out, hidden)[0] for out in (ours, twin))
    assert_close(mine, expected, atol=tolerance, rtol=tolerance)


def test_large_logits_do_not_overflow() -> None:
    hidden, weight, wanted = case(9, torch.float32)
    far = (hidden.detach() * 1e4).requires_grad_()
    loss = dense_head_loss(far, DenseHead(weight), wanted).sum()
    loss.backward()
    twin = F.cross_entropy(far.double() @ weight.double().t(), wanted.tokens_MK.squeeze(1), reduction="sum")
    assert_close(loss.double(), twin)
    assert far.grad is not None
    assert torch.isfinite(far.grad).all()


def test_no_place_costs_nothing() -> None:
    hidden, weight, wanted = case(0)
    loss = dense_head_loss(hidden, DenseHead(weight), wanted)
    loss.sum().backward()
    assert loss.numel() == 0


def test_without_a_gradient_none_is_made() -> None:
    hidden, weight, wanted = case(9)
    with torch.no_grad():
        loss = dense_head_loss(hidden, DenseHead(weight), wanted)
    assert not loss.requires_grad
    assert_close(loss, dense_head_loss(hidden, DenseHead(weight), wanted).detach())


@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_answer_loss_is_minus_log_probability_of_the_trained_tokens(variant: str) -> None:
    decoder = tiny_decoder(variant, torch.float64)
    ids = [5, 17, 3, 96, 0, 41, 41, 8]
    trained = [True, False, False, True, True, False, True, False]  # the first can have no loss
    with torch.no_grad():
        logs_TV = decoder(torch.tensor([ids]))[0].log_softmax(-1)
        loss = answer_loss(decoder, collate([Example.of(ids, trained)]))
    expected = -torch.stack([logs_TV[n - 1, ids[n]] for n in (3, 4, 6)])
    assert_close(loss, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("learning_head", [False, True])
def test_examples_with_shares_and_without_meet_in_one_pass(learning_head: bool) -> None:
    decoder = tiny_decoder("tied", torch.float64)
    if learning_head:
        decoder.embedding.requires_grad_()
    plain, other = random_examples([7, 9], seed=3)
    count, rng = len(other.places), torch.Generator().manual_seed(4)
    shares = torch.rand(count, 97, generator=rng, dtype=torch.float64).softmax(-1)
    soft = SoftTargets(torch.arange(97).expand(count, 97), shares)
    loss = answer_loss(decoder, collate([plain, replace(other, soft=soft)]))
    with torch.no_grad():
        logs_TV = decoder(torch.tensor([other.inputs]))[0].log_softmax(-1)[list(other.places)]
        expected = torch.cat([answer_loss(decoder, collate([plain])), (shares * (shares.log() - logs_TV)).sum(-1)])
    assert_close(loss, expected, atol=1e-10, rtol=1e-10, check_stride=False)


def test_tokens_behind_the_last_trained_one_are_not_computed() -> None:
    example = Example.of([1, 2, 3, 4, 5], [False, False, True, False, False])
    assert example == Example(inputs=(1, 2), places=(1,), targets=(3,))


def test_a_head_that_learns_takes_the_plain_path_with_the_same_loss() -> None:
    decoder = with_lora(tiny_decoder("gqa", torch.float64))
    part = collate(random_examples([12, 30, 7]))
    frozen = answer_loss(decoder, part)
    assert decoder.output is not None
    decoder.output.weight.requires_grad_()
    assert decoder.dense_head is None
    learning = answer_loss(decoder, part)
    assert_close(learning, frozen, atol=1e-10, rtol=1e-10)
    learning.sum().backward()
    assert decoder.output.weight.grad is not None


def test_a_row_without_a_trained_token_adds_nothing() -> None:
    decoder = with_lora(tiny_decoder("gqa", torch.float64))
    rows = random_examples([12, 30, 7])
    nothing = Example.of([1, 2, 3], [False, False, False])
    assert_close(
        answer_loss(decoder, collate([nothing, *rows])), answer_loss(decoder, collate(rows)), atol=1e-10, rtol=0
    )


def test_a_step_tells_the_rows_loss_apart_from_the_drift_of_what_is_rehearsed() -> None:
    decoder = with_lora(tiny_decoder("gqa", torch.float64))
    plain, other = random_examples([7, 9], seed=3)
    (soft,) = softened(tiny_decoder("gqa", torch.float64), [other], weight=6.0)
    with torch.no_grad():
        rows, rehearsed = answer_loss(decoder, collate([plain])), answer_loss(decoder, collate([soft]))
    stats = train_step(decoder, [collate([plain, soft])], torch.optim.SGD(trainable(decoder).values(), lr=0), 0)
    assert stats.num_targets == len(plain.places)
    assert stats.loss == pytest.approx(rows.mean().item())
    assert stats.drift == pytest.approx(rehearsed.mean().item() / 6, rel=1e-6)
    assert stats.drift > 0


def test_a_token_may_be_wanted_twice() -> None:
    hidden, weight, _ = case(3)
    twice = SoftTargets(torch.tensor([[4, 4, 7]] * 3), torch.tensor([[0.25, 0.5, 0.25]] * 3, dtype=torch.float64))
    once = SoftTargets(torch.tensor([[4, 7]] * 3), torch.tensor([[0.75, 0.25]] * 3, dtype=torch.float64))
    head = DenseHead(weight)
    ours, theirs = (torch.autograd.grad(dense_head_loss(hidden, head, w).sum(), hidden)[0] for w in (twice, once))
    assert_close(ours, theirs)


@pytest.mark.parametrize("token", [-1, 23])
def test_a_token_that_the_head_does_not_have_is_refused(token: int) -> None:
    hidden, weight, wanted = case(3)
    wanted.tokens_MK[1, 0] = token
    with pytest.raises(IndexError):
        dense_head_loss(hidden, DenseHead(weight), wanted)
