"""What was fused is taken out again: the base's weights bit for bit, and the adapter as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_models import random_tokens, with_lora
from torch.testing import assert_close

from nabot.adapters import LoraConfig, VirtualConfig, adapter_tensors, attach, fuse, lora_groups, unfuse
from nabot.errors import CheckpointError, ConfigError
from nabot.models import gguf, huggingface
from nabot.models.blocks import eight_bits
from nabot.models.loading import load_decoder
from nabot.models.nf4 import NormalFloat4
from nabot.models.quantised import quantise
from nabot.models.stored import StoredTensor

TOKENS_BT = random_tokens(2, 19)


def stored(model: Path) -> Iterator[StoredTensor]:
    if model.suffix == ".gguf":
        return gguf.read_tensors(*gguf.open_model(model))
    return huggingface.read_tensors(model, huggingface.read_config(model))


@torch.no_grad()
def assert_comes_back(model: Path, config: LoraConfig, dtype: torch.dtype = torch.float32) -> None:
    decoder = with_lora(load_decoder(model, dtype=dtype), config)
    before = {name: weight.clone() for name, weight in decoder.slots()}
    adapter, logits = adapter_tensors(decoder), decoder(TOKENS_BT)
    taken = fuse(decoder)
    assert not any(lora_groups(decoder))
    assert any(not torch.equal(weight, before[name]) for name, weight in decoder.slots())
    unfuse(taken, stored(model), model)
    assert all(torch.equal(weight, before[name]) for name, weight in decoder.slots())
    assert all(torch.equal(tensor, adapter[name]) for name, tensor in adapter_tensors(decoder).items())
    assert torch.equal(decoder(TOKENS_BT), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(rank=4),
        LoraConfig(rank=4, targets="v_proj,up_proj", dora=True),
        LoraConfig(rank=4, save_whole="embed_tokens,lm_head"),
    ],
)
def test_a_folder_gives_the_weights_back_to_the_bit(
    config: LoraConfig, dtype: torch.dtype, tiny_model_folder: Path
) -> None:
    assert_comes_back(tiny_model_folder, config, dtype)


@torch.no_grad()
def test_weights_that_were_packed_for_speed_are_packed_anew(tiny_model_folder: Path) -> None:
    decoder = with_lora(load_decoder(tiny_model_folder, dtype=torch.float32), LoraConfig(rank=4))
    logits = decoder(TOKENS_BT[:, :1])
    quantise(decoder).prepare()
    near = decoder(TOKENS_BT[:, :1])
    taken = fuse(decoder)
    assert_close(decoder(TOKENS_BT[:, :1]), logits, atol=0.05, rtol=0.05)
    unfuse(taken, stored(tiny_model_folder), tiny_model_folder)
    assert_close(decoder(TOKENS_BT[:, :1]), near, atol=1e-6, rtol=1e-6)


def test_virtual_tokens_are_no_part_of_the_weights(tiny_model_folder: Path) -> None:
    decoder = load_decoder(tiny_model_folder, dtype=torch.float32)
    attach(decoder, VirtualConfig(virtual_tokens=3, start="vocab"))
    with pytest.raises(ConfigError, match="nothing to fuse"):
        fuse(decoder)


def test_a_gguf_file_gives_the_weights_back_to_the_bit(smollm2_gguf: Path) -> None:
    assert_comes_back(smollm2_gguf, LoraConfig(rank=4, targets="k_proj,down_proj"))


@pytest.mark.parametrize("base_bits", ["nf4", "int8"])
@torch.no_grad()
def test_weights_of_few_bits_are_refused_with_what_rounding_would_lose(base_bits: str, tiny_model_folder: Path) -> None:
    decoder = with_lora(load_decoder(tiny_model_folder, base_bits=base_bits), LoraConfig(rank=4, alpha=0.02))
    before, first = decoder(TOKENS_BT), next(lora_groups(decoder))
    with pytest.raises(ConfigError, match=r"q_proj\.weight.*base_bits=dense") as caught:
        fuse(decoder)
    assert torch.equal(decoder(TOKENS_BT), before)
    name, weight = next(iter(first.fused()))
    packed = NormalFloat4(weight) if base_bits == "nf4" else eight_bits(weight)
    packed.unpack_into(rounded := torch.empty_like(weight), 0)
    share = (rounded - weight).norm() / (weight - first.base.member(name)).norm()
    assert f"would be {share:.0%} of what was learned" in str(caught.value)
    assert share > (1 if base_bits == "nf4" else 0.1)


def test_a_weight_that_the_file_lacks_is_named(tiny_model_folder: Path) -> None:
    taken = fuse(with_lora(load_decoder(tiny_model_folder)))
    others = (t for t in stored(tiny_model_folder) if not t.name.endswith("layers.1.mlp.up_proj.weight"))
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj\.weight is missing"):
        unfuse(taken, others, tiny_model_folder)
