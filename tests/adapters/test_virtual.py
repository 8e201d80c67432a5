"""Virtual tokens begin as real text, and are refused where they cannot be what they claim."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import random_tokens, tiny_decoder, with_adapter
from torch.testing import assert_close

from nabot.adapters import (
    LoraConfig,
    VirtualConfig,
    attach,
    detach,
    has_learned,
    load_adapter,
    lora_groups,
    save_adapter,
    virtual_tokens,
)
from nabot.adapters.virtual import VirtualMethod, restore_virtual
from nabot.errors import CheckpointError, ConfigError

METHODS: tuple[VirtualMethod, ...] = ("prompt", "ptuning", "prefix")
TEXT = [5, 9, 2, 14]
TOKENS_BT = random_tokens(2, 9)


@pytest.mark.parametrize(
    ("method", "encoder"), [("prompt", ""), ("ptuning", "lstm"), ("ptuning", "mlp"), ("prefix", ""), ("prefix", "mlp")]
)
def test_fresh_ones_are_the_text_that_they_begin_as(method: VirtualMethod, encoder: Any) -> None:
    decoder = tiny_decoder("gqa", torch.float64)
    text_BP = torch.tensor([TEXT] * 2)
    expected = decoder(torch.cat([text_BP, TOKENS_BT], 1))[:, len(TEXT) :]
    attach(decoder, VirtualConfig(method=method, virtual_tokens=len(TEXT), encoder=encoder), TEXT)
    assert_close(decoder(TOKENS_BT), expected, atol=1e-10, rtol=1e-10)
    assert not has_learned(decoder)


def test_a_text_that_is_too_short_is_repeated_and_one_too_long_is_cut() -> None:
    decoder = tiny_decoder("gqa")
    for count, ids in ((6, [5, 9, 2, 14, 5, 9]), (2, [5, 9])):
        attach(decoder, VirtualConfig(virtual_tokens=count), TEXT)
        found = virtual_tokens(decoder)
        assert found is not None
        assert torch.equal(found.table(), decoder.embedding[ids])
        detach(decoder)


@pytest.mark.parametrize(("start", "expected"), [("text", 4), ("vocab", 32)])
def test_unasked_they_are_no_more_than_their_text_and_a_quarter_of_what_is_read(start: Any, expected: int) -> None:
    decoder = tiny_decoder("gqa")
    attach(decoder, VirtualConfig(method="prefix", start=start), TEXT)
    assert decoder.longest == 128 - expected


def test_the_first_keys_and_values_of_a_prefix_stay() -> None:
    decoder = with_adapter(tiny_decoder("gqa"), VirtualConfig(method="prefix", virtual_tokens=3))
    found = virtual_tokens(decoder)
    assert found is not None
    moved = found.table() != found.rows.get_buffer("start")
    assert not moved[0].any()
    assert moved[1:].all()


@pytest.mark.parametrize("method", METHODS)
def test_a_rate_counts_in_the_same_units_when_learned_rows_learn_on(method: VirtualMethod, tmp_path: Path) -> None:
    decoder = tiny_decoder("gqa")
    attach(decoder, VirtualConfig(method=method, virtual_tokens=4, encoder="none"), TEXT)
    found = virtual_tokens(decoder)
    assert found is not None
    found.rows.added.get_parameter("rows").data.fill_(3.0)
    save_adapter(decoder, tmp_path / "adapter")
    again = tiny_decoder("gqa")
    load_adapter(again, tmp_path / "adapter")
    learned = virtual_tokens(again)
    assert learned is not None
    assert torch.equal(learned.rows.get_buffer("unit"), found.rows.get_buffer("unit"))


def test_the_units_of_a_prefix_are_the_spreads_of_each_layers_keys_and_values() -> None:
    decoder = tiny_decoder("gqa")
    ids = torch.arange(0, len(decoder.embedding), len(decoder.embedding) // 64)
    spreads = [x.std().item() for pair in decoder.keys_and_values(decoder.embed(ids)) for x in pair]
    attach(decoder, VirtualConfig(method="prefix", virtual_tokens=6), TEXT)
    found = virtual_tokens(decoder)
    assert found is not None
    for unit, spread in zip(found.rows.get_buffer("unit")[1:].chunk(len(spreads), 1), spreads, strict=True):
        assert_close(unit, torch.full_like(unit, spread), atol=1e-6, rtol=1e-5)


def test_rows_of_zeros_out_of_a_file_can_learn() -> None:
    decoder = tiny_decoder("gqa")
    restore_virtual(decoder, "prefix", torch.zeros(3, 2 * 2 * 2 * 16, dtype=torch.bfloat16), "front")
    found = virtual_tokens(decoder)
    assert found is not None
    assert found.table().dtype == torch.float32
    assert found.rows.get_buffer("unit")[1:].min() > 0


def test_a_start_from_the_vocabulary_takes_rows_of_the_embedding() -> None:
    decoder = tiny_decoder("gqa")
    attach(decoder, VirtualConfig(virtual_tokens=7, start="vocab"))
    found = virtual_tokens(decoder)
    assert found is not None
    assert all(any(torch.equal(row, known) for known in decoder.embedding) for row in found.table())


def test_a_random_start_has_the_spread_of_the_embedding() -> None:
    decoder = tiny_decoder("gqa")
    decoder.embedding.data.mul_(0.1).add_(3.0)
    attach(decoder, VirtualConfig(virtual_tokens=100, start="random"))
    found = virtual_tokens(decoder)
    assert found is not None
    assert found.table().mean().item() == pytest.approx(3.0, abs=0.02)
    assert found.table().std().item() == pytest.approx(decoder.embedding.std().item(), rel=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_detached_the_model_is_the_base_bit_for_bit(method: VirtualMethod) -> None:
    decoder = tiny_decoder("gqa")
    before = decoder(TOKENS_BT)
    with_adapter(decoder, VirtualConfig(method=method, virtual_tokens=3))
    assert not torch.equal(decoder(TOKENS_BT), before)
    detach(decoder)
    assert torch.equal(decoder(TOKENS_BT), before)


@pytest.mark.parametrize("method", METHODS)
def test_what_was_learned_comes_back_from_its_folder(method: VirtualMethod, tmp_path: Path) -> None:
    ours = with_adapter(tiny_decoder("gqa"), VirtualConfig(method=method, virtual_tokens=3))
    assert has_learned(ours)
    save_adapter(ours, tmp_path / "adapter")
    again = tiny_decoder("gqa")
    load_adapter(again, tmp_path / "adapter")
    assert torch.equal(again(TOKENS_BT), ours(TOKENS_BT))


# ---- what is refused


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (VirtualConfig(virtual_tokens=128), "virtual_tokens is 128, expected: 1 … 127"),
        (VirtualConfig(encoder="lstm"), r"encoder is 'lstm', expected: none \(prompt\)"),
        (VirtualConfig(method="prefix", encoder="lstm"), r"none, mlp \(prefix\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(config: VirtualConfig, told: str) -> None:
    decoder = tiny_decoder("gqa")
    with pytest.raises(ConfigError, match=told):
        attach(decoder, config, TEXT)
    assert decoder.beginning is None


def test_a_start_from_no_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="start_text"):
        attach(tiny_decoder("gqa"), VirtualConfig())


def rewritten(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **config: Any) -> None:
    if tensors is not None:
        save_file(tensors, folder / "adapter_model.safetensors")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))


def a_surplus_tensor(folder: Path) -> None:
    rewritten(folder, {**load_file(folder / "adapter_model.safetensors"), "more": torch.zeros(2)})


def no_tensor(folder: Path) -> None:
    rewritten(folder, {})


def another_name(folder: Path) -> None:
    (tensor,) = load_file(folder / "adapter_model.safetensors").values()
    rewritten(folder, {"prompt_embedding": tensor})


def another_width(folder: Path) -> None:
    rewritten(folder, {"prompt_embeddings": torch.zeros(3, 10)})


def another_count(folder: Path) -> None:
    rewritten(folder, num_virtual_tokens=4)


def not_a_number(folder: Path) -> None:
    (tensor,) = load_file(folder / "adapter_model.safetensors").values()
    tensor[1, 1] = torch.nan
    rewritten(folder, {"prompt_embeddings": tensor})


def more_than_the_model_reads(folder: Path) -> None:
    rewritten(folder, {"prompt_embeddings": torch.zeros(200, 64)}, num_virtual_tokens=200)


def a_pickle(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (a_surplus_tensor, "holds more"),
        (no_tensor, "lacks prompt_embeddings"),
        (another_name, "prompt_embedding"),
        (another_width, r"shape \[3, 10\], this model needs \[3, 64\]"),
        (another_count, r"shape \[3, 64\], this model needs \[4, 64\]"),
        (not_a_number, "not finite"),
        (more_than_the_model_reads, "200 virtual tokens do not fit into a model that reads 128"),
        (a_pickle, "safe_serialization=True"),
    ],
)
def test_a_spoilt_folder_is_refused_and_nothing_attached(
    spoil: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    save_adapter(with_adapter(tiny_decoder("gqa"), VirtualConfig(virtual_tokens=3)), folder)
    spoil(folder)
    decoder = tiny_decoder("gqa")
    with pytest.raises(CheckpointError, match=told):
        load_adapter(decoder, folder)
    assert decoder.beginning is None


@pytest.mark.parametrize("changes", [{"lora_alpha": None}, {"target_modules": 5}, {"alpha_pattern": {"[": 3}}])
def test_values_of_another_type_than_pefts_are_explained(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    save_adapter(with_adapter(tiny_decoder("gqa"), LoraConfig(rank=4, alpha=8)), folder)
    rewritten(folder, **changes)
    decoder = tiny_decoder("gqa")
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        load_adapter(decoder, folder)
    assert not any(lora_groups(decoder))


def test_a_second_adapter_is_refused(tmp_path: Path) -> None:
    decoder = with_adapter(tiny_decoder("gqa"), VirtualConfig(virtual_tokens=3))
    save_adapter(decoder, tmp_path / "adapter")
    with pytest.raises(ConfigError, match="attached already"):
        load_adapter(decoder, tmp_path / "adapter")
