"""Adapters of any method change places on one base."""

import gc

import pytest
import torch
from tiny_models import random_tokens, tiny_decoder, with_adapter

from nabot.adapters import AdapterConfig, LoraConfig, VirtualConfig, attach, detach, put_on
from nabot.errors import ConfigError

TOKENS_BT = random_tokens(2, 9)
ADAPTERS: dict[str, AdapterConfig] = {
    "lora": LoraConfig(rank=4, alpha=8),
    "dora": LoraConfig(rank=4, alpha=8, dora=True),
    "both_ends": LoraConfig(rank=4, alpha=8, save_whole="embed_tokens,lm_head"),
    "prompt": VirtualConfig(method="prompt", virtual_tokens=3),
    "prefix": VirtualConfig(method="prefix", virtual_tokens=3),
    "around_questions": VirtualConfig(method="prompt", virtual_tokens=4, places="question"),
}


def num_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("variant", ["gqa", "tied"])
@torch.no_grad()
def test_a_thousand_switches_change_nothing_and_leak_nothing(variant: str) -> None:
    decoder = tiny_decoder(variant)
    base, answers, kept = decoder(TOKENS_BT), {}, {}
    for name, config in ADAPTERS.items():
        with_adapter(decoder, config)
        answers[name], kept[name] = decoder(TOKENS_BT), detach(decoder)
    names, before = list(ADAPTERS), 0
    for number in range(1000):
        name = names[number % len(names)]
        put_on(decoder, kept[name])
        if number % 50 < len(names):
            assert torch.equal(decoder(TOKENS_BT), answers[name])
        detach(decoder)
        if number == 99:
            before = num_tensors()
    assert num_tensors() <= before
    assert torch.equal(decoder(TOKENS_BT), base)


@pytest.mark.parametrize("second", ADAPTERS)
@pytest.mark.parametrize("first", ADAPTERS)
def test_a_second_adapter_is_refused(first: str, second: str) -> None:
    decoder = with_adapter(tiny_decoder("gqa"), ADAPTERS[first])
    before = decoder(TOKENS_BT)
    with pytest.raises(ConfigError, match="attached already"):
        attach(decoder, ADAPTERS[second], [1, 2])
    assert torch.equal(decoder(TOKENS_BT), before)
