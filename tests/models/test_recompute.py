"""What is computed again in the backward pass: all of a block, or all but the kernels of attention."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_models import random_examples, random_tokens, tiny_decoder, with_adapter
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nabot.adapters import AdapterConfig, LoraConfig, VirtualConfig, WholeConfig
from nabot.models.decoder import Decoder
from nabot.models.recompute import Recompute
from nabot.train.batches import collate
from nabot.train.loss import answer_loss

ADAPTERS = {
    "lora": LoraConfig(rank=4, alpha=8, dropout=0.2),
    "prefix": VirtualConfig(method="prefix", virtual_tokens=6),
    "full": WholeConfig(),
}


class Counted(TorchDispatchMode):
    """How often each operator runs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.calls[name] = self.calls.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


def packed_rows(model: Decoder) -> Tensor:
    return answer_loss(model, collate(random_examples([40, 3, 17, 16, 33, 2, 25]))).sum()


def rows_of_one_length(model: Decoder) -> Tensor:
    return model(random_tokens(3, 19)).square().sum()


def calls(adapter: AdapterConfig, kind: Recompute, loss: Callable[[Decoder], Tensor]) -> tuple[int, int]:
    """Of attention's kernels in a forward and backward pass, and of matrix products."""
    model = with_adapter(tiny_decoder("mha"), adapter).train()
    model.checkpoint = kind
    with Counted() as counted:
        loss(model).backward()
    kernels = [name for name in counted.calls if name == "attend" or "scaled_dot_product" in name]
    forwards = sum(counted.calls[name] for name in kernels if "backward" not in name)
    return forwards, counted.calls["mm"]


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("loss", [packed_rows, rows_of_one_length])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_blocks_run_attention_twice_and_attention_once(adapter: str, loss: Callable[[Decoder], Tensor]) -> None:
    once, products = calls(ADAPTERS[adapter], "none", loss)
    assert once >= 2
    assert calls(ADAPTERS[adapter], "blocks", loss)[0] == 2 * once
    again, more_products = calls(ADAPTERS[adapter], "attention", loss)
    assert again == once
    assert more_products > products


def test_without_gradients_nothing_is_kept_and_nothing_runs_twice() -> None:
    model = with_adapter(tiny_decoder("mha"), ADAPTERS["lora"])
    counts = []
    for kind in ("none", "attention"):
        model.checkpoint = kind  # type: ignore[assignment]
        with Counted() as counted, torch.no_grad():
            packed_rows(model)
        counts.append(counted.calls)
    assert counts[0] == counts[1]
