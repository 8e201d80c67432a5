"""Virtual tokens around questions are what more rows of the vocabulary would be."""

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from tiny_models import VOCAB, random_tokens, tiny_decoder, with_adapter
from torch import Tensor
from torch.testing import assert_close

from nabot.adapters import (
    VirtualConfig,
    adapter_tensors,
    attach,
    has_learned,
    load_adapter,
    question_ids,
    save_adapter,
    virtual_tokens,
)
from nabot.engine.cache import SlotCache
from nabot.errors import CheckpointError, ConfigError
from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.recompute import Recompute

P = 5
CONFIGS = {
    "prompt": VirtualConfig(method="prompt", virtual_tokens=P, places="question"),
    "lstm": VirtualConfig(method="ptuning", virtual_tokens=P, encoder="lstm", encoder_width=12, places="question"),
    "mlp": VirtualConfig(method="ptuning", virtual_tokens=P, encoder="mlp", places="question"),
}
BEFORE, BEHIND = [VOCAB, VOCAB + 1], [VOCAB + 2, VOCAB + 3, VOCAB + 4]
TEXT = [5, 9, 2, 14, 3]


def documents() -> list[list[int]]:
    """One with two questions, one with one, one with none."""
    a, b, c = (random_tokens(n, seed=n).tolist() for n in (2, 3, 15))
    return [[*a, *BEFORE, *a, *BEHIND, *b], [*BEFORE, *a, *BEHIND], c]


def asked_twice() -> list[list[int]]:
    return [[*ids, *ids] for ids in documents()]


def with_more_rows(decoder: Decoder, variant: str) -> Decoder:
    """The same weights, and the virtual tokens as ordinary rows of a longer embedding."""
    found = virtual_tokens(decoder)
    assert found is not None
    longer, own = tiny_decoder(variant, torch.float64, vocab_size=VOCAB + P), dict(decoder.slots())
    for name, place in longer.slots():
        place[: len(own[name])].copy_(own[name])
    longer.embedding.data[VOCAB:] = found.table().detach()
    return longer


def packed(decoder: Decoder, rows: list[list[int]], shared: int = 0) -> Tensor:
    """Logits of the model's own vocabulary, all documents in one run; the first `shared` tokens stand there once."""
    tokens = torch.tensor([*rows[0][:shared], *(n for ids in rows for n in ids[shared:])])
    batch = TokenBatch.of_documents([len(ids) - shared for ids in rows], shared=shared)
    return decoder.head(decoder.hidden(decoder.embed(tokens), batch))[:, :VOCAB]


@pytest.mark.parametrize("variant", ["gqa", "tied"])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("checkpoint", ["none", "blocks", "attention"])
def test_logits_and_gradients_are_those_of_more_rows_in_the_vocabulary(
    checkpoint: Recompute, config: str, variant: str
) -> None:
    ours = with_adapter(tiny_decoder(variant, torch.float64), CONFIGS[config])
    theirs = with_more_rows(ours, variant)
    theirs.embedding.requires_grad_(True)
    ours.checkpoint = checkpoint
    logits, expected = packed(ours, asked_twice()), packed(theirs, asked_twice())
    assert_close(logits, expected, atol=1e-10, rtol=1e-10)
    weights = torch.randn(logits.shape, dtype=torch.float64)
    found = virtual_tokens(ours)
    assert found is not None
    table = found.table()
    learning = [p for p in ours.parameters() if p.requires_grad]
    grads = torch.autograd.grad((logits * weights).sum(), learning)
    (rows,) = torch.autograd.grad((expected * weights).sum(), [theirs.embedding])
    assert rows[VOCAB:].abs().min() > 0
    for grad, exact in zip(grads, torch.autograd.grad(table, learning, rows[VOCAB:]), strict=True):
        assert_close(grad, exact, atol=1e-10, rtol=1e-10)


def test_a_shared_beginning_with_a_question_in_it_changes_nothing() -> None:
    ours = with_adapter(tiny_decoder("gqa", torch.float64), CONFIGS["prompt"])
    head = documents()[0]
    rows = [[*head, *ids] for ids in documents()]
    together = packed(ours, rows, shared=len(head))
    alone = [packed(ours, [ids]) for ids in rows]
    assert_close(together, torch.cat([alone[0][: len(head)], *(x[len(head) :] for x in alone)]), atol=1e-10, rtol=1e-10)


@torch.no_grad()
def test_cached_decoding_gives_the_same_logits() -> None:
    ours = with_adapter(tiny_decoder("gqa", torch.float64), CONFIGS["lstm"])
    ids = documents()[0]
    full = with_more_rows(ours, "gqa")(torch.tensor([ids]))[0, :, :VOCAB]
    for first in range(1, len(ids)):
        cache = SlotCache(ours.config, dtype=torch.float64, device=torch.device("cpu"))
        cache.reserve(1, len(ids))
        for part in (ids[:first], ids[first:]):
            batch = TokenBatch.of_documents([len(part)], starts=cache.starts([0]), store=cache.writer([0], [len(part)]))
            logits = ours.head(ours.hidden(ours.embed(torch.tensor(part)), batch))
            cache.tokens[0] += part
        assert_close(logits, full[first:], atol=1e-10, rtol=1e-10)


def test_without_a_question_the_model_is_the_base_and_there_is_a_gradient_of_zero() -> None:
    base = tiny_decoder("gqa", torch.float64)
    plain = packed(base, [documents()[2]])
    ours = with_adapter(base, CONFIGS["lstm"])
    logits = packed(ours, [documents()[2]])
    assert torch.equal(logits, plain)
    logits.sum().backward()
    assert all(not p.grad.any() for p in ours.parameters() if p.requires_grad and p.grad is not None)


@pytest.mark.parametrize("config", CONFIGS)
def test_fresh_ones_are_the_text_that_they_begin_as(config: str) -> None:
    decoder = tiny_decoder("gqa", torch.float64)
    ids = dict(zip([*BEFORE, *BEHIND], TEXT, strict=True))
    expected = packed(decoder, [[ids.get(n, n) for n in row] for row in documents()])
    attach(decoder, CONFIGS[config], TEXT)
    assert_close(packed(decoder, documents()), expected, atol=1e-10, rtol=1e-10)
    assert not has_learned(decoder)


def test_their_ids_follow_the_vocabulary_half_before_and_half_behind() -> None:
    decoder = tiny_decoder("gqa")
    assert [*map(list, question_ids(decoder))] == [[], []]
    attach(decoder, CONFIGS["prompt"], TEXT)
    assert [*map(list, question_ids(decoder))] == [BEFORE, BEHIND]
    in_front = with_adapter(tiny_decoder("gqa"), VirtualConfig(virtual_tokens=P))
    assert [*map(list, question_ids(in_front))] == [[], []]


def test_positions_are_taken_by_those_that_are_among_the_ids_alone() -> None:
    decoder = with_adapter(tiny_decoder("gqa"), CONFIGS["prompt"])
    assert decoder.longest == decoder.config.max_positions


# ---- on disk


@pytest.mark.parametrize("config", CONFIGS)
def test_what_was_learned_comes_back_from_its_folder(config: str, tmp_path: Path) -> None:
    ours = with_adapter(tiny_decoder("gqa"), CONFIGS[config])
    save_adapter(ours, tmp_path / "adapter")
    again = tiny_decoder("gqa")
    found = load_adapter(again, tmp_path / "adapter")
    assert found == VirtualConfig(CONFIGS[config].method, P, encoder="none", places="question")
    assert torch.equal(packed(again, documents()), packed(ours, documents()))
    assert adapter_tensors(again).keys() == {"prompt_embeddings"}
    assert question_ids(again) == question_ids(ours)


@pytest.mark.parametrize("config", ["prompt", "lstm"])
def test_peft_refuses_them_instead_of_putting_them_in_front(config: str, tmp_path: Path) -> None:
    save_adapter(with_adapter(tiny_decoder("gqa"), CONFIGS[config]), tmp_path / "adapter")
    with pytest.raises(KeyError, match="NABOT_P"):
        peft.PeftConfig.from_pretrained(tmp_path / "adapter")


@pytest.mark.parametrize(
    "changes",
    [{"places": None}, {"places": "elsewhere"}, {"places": ["question"]}, {"peft_type": "PROMPT_TUNING"}],
)
def test_places_that_are_unknown_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    save_adapter(with_adapter(tiny_decoder("gqa"), CONFIGS["prompt"]), folder)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    decoder = tiny_decoder("gqa")
    with pytest.raises(CheckpointError, match="places"):
        load_adapter(decoder, folder)
    assert virtual_tokens(decoder) is None


# ---- what is refused


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (VirtualConfig(method="prefix", places="question"), r"places is 'question', expected: front \(prefix\)"),
        (VirtualConfig(virtual_tokens=1, places="question"), "virtual_tokens is 1, expected: 2 … 127"),
        (VirtualConfig(virtual_tokens=128, places="question"), "virtual_tokens is 128, expected: 2 … 127"),
    ],
)
def test_settings_that_do_not_fit_are_refused(config: VirtualConfig, told: str) -> None:
    decoder = tiny_decoder("gqa")
    with pytest.raises(ConfigError, match=told):
        attach(decoder, config, TEXT)
    assert virtual_tokens(decoder) is None
