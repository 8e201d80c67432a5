"""What the backward pass needs may wait elsewhere: the gradients are the same, and the weights stay where they are."""

import pytest
import torch
from tiny_models import gradients, random_examples, tiny_decoder, with_adapter
from torch import Tensor
from torch.autograd.graph import save_on_cpu
from torch.testing import assert_close

from nabot.adapters import AdapterConfig, LoraConfig, VirtualConfig, WholeConfig
from nabot.errors import ConfigError
from nabot.models.recompute import Recompute
from nabot.train.batches import collate
from nabot.train.loss import answer_loss
from nabot.train.offload import offloaded, refuse_without_card

ADAPTERS = [LoraConfig(rank=4, alpha=8), VirtualConfig(method="prefix", virtual_tokens=6), WholeConfig()]


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_without_a_card_there_is_nowhere_to_offload_to(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)the device here is {device}.*checkpoint=blocks"):
        refuse_without_card(torch.device(device))


def test_a_card_is_taken() -> None:
    refuse_without_card(torch.device("cuda", 0))


@pytest.mark.parametrize("kind", ["none", "blocks", "attention"])
@pytest.mark.parametrize("adapter", ADAPTERS, ids=["lora", "prefix", "full"])
def test_the_gradients_are_the_same(adapter: AdapterConfig, kind: Recompute) -> None:
    model = with_adapter(tiny_decoder("tied", torch.float64), adapter)
    part = collate(random_examples([40, 3, 17, 16, 33, 2, 25]))
    answer_loss(model, part).mean().backward()
    expected = gradients(model)
    model.zero_grad()
    model.checkpoint = kind
    with offloaded(model):
        answer_loss(model, part).mean().backward()
    assert gradients(model).keys() == expected.keys()
    for name, grad in gradients(model).items():
        assert_close(grad, expected[name], atol=1e-12, rtol=1e-10)


def test_weights_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    model, copied = with_adapter(tiny_decoder("gqa"), WholeConfig()), []

    class Watched(save_on_cpu):
        def __init__(self, **how: bool) -> None:
            super().__init__(**how)
            copy = self.pack_hook
            self.pack_hook = lambda tensor: (copied.append(tensor), copy(tensor))[1]

    monkeypatch.setattr("nabot.train.offload.save_on_cpu", Watched)
    with offloaded(model):
        answer_loss(model, collate(random_examples([40, 3, 17])))

    def place(tensor: Tensor) -> int:
        return tensor.untyped_storage().data_ptr()

    assert copied
    assert not {place(t) for t in copied} & {place(p) for p in model.parameters()}
