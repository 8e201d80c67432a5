"""Embedding and head that learn wholly: the base beside them stays as it is, whatever it is held in."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_models import longer, random_examples, random_tokens, tiny_decoder, tiny_hf, with_lora
from torch.testing import assert_close

from nabot.adapters import LoraConfig, attach, detach, fuse, has_learned, lora_groups, mean_the_same, put_on
from nabot.adapters.ends import learn_as_one, learned_ends, put_ends
from nabot.adapters.lora import attach_lora
from nabot.errors import ConfigError
from nabot.models.loading import load_decoder
from nabot.models.quantised import quantise
from nabot.train.batches import collate
from nabot.train.loss import answer_loss
from nabot.train.step import train_step, trainable

TOKENS_BT = random_tokens(2, 17)
BOTH = LoraConfig(rank=4, alpha=8, save_whole="embed_tokens,lm_head")
WHOLE = ["embed_tokens", "lm_head", "lm_head, embed_tokens"]


@pytest.mark.parametrize("names", WHOLE)
@pytest.mark.parametrize("variant", ["gqa", "tied"])
@torch.no_grad()
def test_fresh_ones_change_nothing(variant: str, names: str) -> None:
    decoder = tiny_decoder(variant, torch.float64)
    before = decoder(TOKENS_BT)
    attach(decoder, LoraConfig(rank=4, save_whole=names))
    assert torch.equal(decoder(TOKENS_BT), before)
    assert not has_learned(decoder)
    next(iter(learned_ends(decoder).values())).mul_(2)
    assert has_learned(decoder)


@pytest.mark.parametrize("names", WHOLE)
@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_taken_off_the_base_is_as_it_was_bit_for_bit(variant: str, names: str) -> None:
    decoder = tiny_decoder(variant, torch.float64)
    before, slots = decoder(TOKENS_BT), {name: weight.clone() for name, weight in decoder.slots()}
    with_lora(decoder, LoraConfig(rank=4, save_whole=names))
    optimizer = torch.optim.SGD(trainable(decoder).values(), lr=0.1)
    train_step(decoder, [collate(random_examples([9, 5]))], optimizer, max_norm=0)
    learned = decoder(TOKENS_BT)
    assert (learned - before).abs().max() > 0.1
    taken = detach(decoder)
    assert torch.equal(decoder(TOKENS_BT), before)
    assert dict(decoder.slots()).keys() == slots.keys()
    assert all(torch.equal(weight, slots[name]) for name, weight in decoder.slots())
    assert not any(p.requires_grad for p in decoder.parameters())
    put_on(decoder, taken)
    assert torch.equal(decoder(TOKENS_BT), learned)


@pytest.mark.parametrize("names", WHOLE)
@pytest.mark.parametrize("variant", ["gqa", "tied"])
@torch.no_grad()
def test_fused_equals_attached(variant: str, names: str) -> None:
    decoder = with_lora(tiny_decoder(variant, torch.float64), LoraConfig(rank=4, save_whole=names))
    attached = decoder(TOKENS_BT)
    fuse(decoder)
    assert not learned_ends(decoder)
    assert_close(decoder(TOKENS_BT), attached, atol=1e-10, rtol=0)


@pytest.mark.parametrize("names", [["embed_tokens"], ["lm_head"], ["embed_tokens", "lm_head"]])
def test_ends_that_have_learned_apart_cannot_be_fused_into_one_weight(names: list[str]) -> None:
    decoder = tiny_decoder("tied")
    attach_lora(decoder, LoraConfig(rank=4))
    put_ends(decoder, names, as_one=False)
    for weight in learned_ends(decoder).values():
        weight.add_(0.1)
    before = decoder(TOKENS_BT)
    with pytest.raises(ConfigError, match="one weight for both"):
        fuse(decoder)
    assert torch.equal(decoder(TOKENS_BT), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_of_a_longer_vocabulary_the_new_rows_alone_learn(variant: str, dtype: torch.dtype) -> None:
    decoder, plain = longer(tiny_decoder(variant, dtype)), tiny_decoder(variant, dtype)
    old_B = torch.arange(0, 90)
    attach(decoder, BOTH)
    with torch.no_grad():
        assert torch.equal(decoder(TOKENS_BT), plain(TOKENS_BT))
    assert not has_learned(decoder)
    assert {len(rows) for rows in learned_ends(decoder).values()} == {7}
    optimizer = torch.optim.SGD(trainable(decoder).values(), lr=0.1)
    train_step(decoder, [collate(random_examples([40, 40, 40]))], optimizer, max_norm=0)
    assert has_learned(decoder)
    assert torch.equal(decoder.embed(old_B), plain.embed(old_B))
    assert (decoder.embed(torch.arange(90, 97)) - plain.embed(torch.arange(90, 97))).abs().max() > 0
    hidden = torch.randn(5, 64, dtype=dtype)
    new, old = decoder.head(hidden), plain.head(hidden)
    assert_close(new[:, :90], old[:, :90], rtol=1e-6 if dtype == torch.float64 else 0.02, atol=0.02)
    assert (new - old)[:, 90:].abs().max() > 1e-2
    with torch.no_grad():
        attached = decoder(TOKENS_BT)
        fuse(decoder)
        assert_close(decoder(TOKENS_BT), attached, atol=1e-10 if dtype == torch.float64 else 0.3, rtol=0)


@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_new_rows_learn_the_same_whether_the_loss_or_autograd_makes_their_gradient(variant: str) -> None:
    part, gradients = collate(random_examples([40, 40, 40])), []
    for way in ("loss", "autograd"):
        decoder = with_lora(longer(tiny_decoder(variant, torch.float64)), BOTH)
        if way == "loss":
            answer_loss(decoder, part).sum().backward()
        else:
            logits = decoder.head(decoder.hidden(decoder.embed(part.tokens_N), part.batch)[part.places_M])
            F.cross_entropy(logits, part.wanted.tokens_MK[:, 0], reduction="sum").backward()
        gradients.append({name: p.grad for name, p in trainable(decoder).items()})
    for name, gradient in gradients[0].items():
        assert_close(gradient, gradients[1][name], atol=1e-10, rtol=1e-8)


def test_the_loss_of_a_head_that_learns_reaches_it() -> None:
    for names, is_frozen in (("embed_tokens", True), ("lm_head", False)):
        decoder = with_lora(tiny_decoder("gqa"), LoraConfig(rank=4, save_whole=names))
        head = decoder.dense_head
        assert head is not None
        assert (head.learned is None) == is_frozen
        answer_loss(decoder, collate(random_examples([9, 5]))).sum().backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in trainable(decoder).values())


@pytest.mark.parametrize("variant", ["gqa", "tied"])
@torch.no_grad()
def test_beside_bfloat16_they_are_float32(variant: str) -> None:
    decoder = tiny_decoder(variant, torch.bfloat16)
    before = decoder(TOKENS_BT)
    attach(decoder, BOTH)
    assert {weight.dtype for weight in learned_ends(decoder).values()} == {torch.float32}
    assert torch.equal(decoder(TOKENS_BT), before)
    assert decoder.embed(TOKENS_BT[0]).dtype == torch.bfloat16


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("base_bits", ["nf4", "int8"])
def test_beside_weights_of_few_bits_they_learn_too(base_bits: str, tied: bool, tmp_path) -> None:
    tiny_hf("gqa", tie_word_embeddings=tied).save_pretrained(tmp_path)
    decoder = load_decoder(tmp_path, base_bits=base_bits)
    with torch.no_grad():
        before = decoder(TOKENS_BT)
        attach(decoder, BOTH)
        assert_close(decoder(TOKENS_BT), before, atol=1e-5, rtol=1e-5)
    optimizer = torch.optim.SGD(trainable(decoder).values(), lr=0.1)
    train_step(decoder, [collate(random_examples([9, 5]))], optimizer, max_norm=0)
    assert has_learned(decoder)
    detach(decoder)
    with torch.no_grad():
        assert torch.equal(decoder(TOKENS_BT), before)


def test_a_name_that_is_neither_is_refused_and_nothing_is_attached() -> None:
    decoder = tiny_decoder("gqa")
    with pytest.raises(ConfigError, match=r"save_whole cannot be 'embed_token'. Nearest: embed_tokens. Allowed: embed"):
        attach(decoder, LoraConfig(save_whole="lm_head,embed_token"))
    assert not any(lora_groups(decoder))
    assert not learned_ends(decoder)


def test_two_adapters_are_the_same_in_whatever_words_the_ends_are_named() -> None:
    none, both = replace(BOTH, save_whole=""), replace(BOTH, save_whole="lm_head,embed_tokens")
    assert mean_the_same(tiny_decoder("gqa"), both, BOTH)
    assert not mean_the_same(tiny_decoder("gqa"), none, BOTH)
    one = replace(BOTH, save_whole="embed_tokens")
    assert not mean_the_same(tiny_decoder("gqa"), one, BOTH)
    assert mean_the_same(tiny_decoder("tied"), one, BOTH)  # one weight is both


def test_a_packed_decoder_is_as_tied_as_before() -> None:
    decoder = tiny_decoder("tied")
    quantise(decoder).prepare()
    attach(decoder, BOTH)
    assert learn_as_one(decoder)
