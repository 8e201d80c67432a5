"""Embedding and head that learn wholly beside LoRA, against PEFT's `modules_to_save`, on tied and untied models."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_peft import TOKENS_BT, assert_refused, assert_same_logits, change_config, our_gradients, their_adapter
from tiny_families import save_tiny, tiny_theirs
from tiny_models import longer, tiny_decoder, tiny_hf, with_lora
from torch.testing import assert_close

from nabot.adapters import LoraConfig, adapter_tensors, attach, load_adapter, save_adapter
from nabot.adapters.ends import learned_ends
from nabot.adapters.peft_files import set_adapter_tensors
from nabot.models.loading import load_decoder

NAMES = ["embed_tokens", "lm_head", "embed_tokens,lm_head"]
HEAD, EMBEDDING = "base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.weight"
# PEFT unties a tied model, with a warning, unless it is told to keep it tied; an untied one cannot be tied by it.
WAYS = [("gqa", False), ("tied", False), ("tied", True)]
pytestmark = pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")


def theirs_with(variant: str, names: str, *, tying: bool = False) -> Any:
    return their_adapter(
        tiny_hf(variant),
        target_modules=["q_proj", "up_proj"],
        r=4,
        lora_alpha=8,
        modules_to_save=names.split(","),
        ensure_weight_tying=tying,
    )


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize(("variant", "tying"), WAYS)
def test_files_go_both_ways(variant: str, tying: bool, names: str, tmp_path: Path) -> None:
    theirs, ours, again = theirs_with(variant, names, tying=tying), tiny_decoder(variant), tiny_decoder(variant)
    theirs.save_pretrained(tmp_path / "theirs")
    load_adapter(ours, tmp_path / "theirs")
    assert_same_logits(ours, theirs)
    with torch.no_grad():
        assert (ours(TOKENS_BT) - again(TOKENS_BT)).abs().max() > 0.5
    save_adapter(ours, tmp_path / "ours", "base")
    assert_same_logits(ours, peft.PeftModel.from_pretrained(tiny_hf(variant), tmp_path / "ours").eval())
    load_adapter(again, tmp_path / "ours")
    assert torch.equal(again(TOKENS_BT), ours(TOKENS_BT))
    one, other = (load_file(tmp_path / side / "adapter_model.safetensors") for side in ("ours", "theirs"))
    assert one.keys() == other.keys()


@pytest.mark.parametrize(
    ("variant", "modules", "ends"),
    [("neox", ["query_key_value", "dense_4h_to_h"], ["embed_in", "lm_head"]), ("mpt", ["Wqkv", "up_proj"], ["wte"])],
)
@torch.no_grad()
def test_files_go_both_ways_where_modules_have_other_names(
    variant: str, modules: list[str], ends: list[str], tmp_path: Path
) -> None:
    save_tiny(variant, tmp_path / "base")
    for number, whole in enumerate((None, ends)):
        theirs = their_adapter(
            deepcopy(tiny_theirs(variant)), target_modules=modules, r=4, lora_alpha=8, modules_to_save=whole
        )
        read, written = tmp_path / f"theirs{number}", tmp_path / f"ours{number}"
        theirs.save_pretrained(read)
        load_adapter(ours := load_decoder(tmp_path / "base"), read)
        assert_same_logits(ours, theirs)
        assert (ours(TOKENS_BT) - tiny_theirs(variant)(TOKENS_BT).logits).abs().max() > 0.5
        save_adapter(ours, written, "base")
        assert_same_logits(ours, peft.PeftModel.from_pretrained(deepcopy(tiny_theirs(variant)), written).eval())
        one, other = (load_file(side / "adapter_model.safetensors") for side in (read, written))
        assert one.keys() == other.keys()


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_what_nabot_tuned_is_read_by_peft(variant: str, names: str, tmp_path: Path) -> None:
    ours = with_lora(tiny_decoder(variant), LoraConfig(rank=4, alpha=8, targets="q_proj,up_proj", save_whole=names))
    save_adapter(ours, tmp_path / "adapter", "base")
    theirs = peft.PeftModel.from_pretrained(tiny_hf(variant), tmp_path / "adapter").eval()
    assert_same_logits(ours, theirs)
    kept = peft.get_peft_model_state_dict(theirs, save_embedding_layers=False)
    assert kept.keys() == adapter_tensors(ours).keys()


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_gradients_are_those_of_autograd_on_pefts_module(variant: str, names: str) -> None:
    theirs, ours = theirs_with(variant, names, tying=variant == "tied"), tiny_decoder(variant)
    attach(ours, LoraConfig(rank=4, alpha=8, targets="q_proj,up_proj", save_whole=names))
    set_adapter_tensors(ours, peft.get_peft_model_state_dict(theirs), Path("memory"))
    upstream = torch.randn(*TOKENS_BT.shape, 97, generator=torch.Generator().manual_seed(3))
    (ours(TOKENS_BT) * upstream).sum().backward()
    (theirs(TOKENS_BT).logits * upstream).sum().backward()
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.grad
    expected, mine = peft.get_peft_model_state_dict(theirs), our_gradients(ours)
    assert mine.keys() == expected.keys()
    for name, gradient in expected.items():
        assert_close(mine[name], gradient, atol=1e-5 * gradient.abs().max().item(), rtol=1e-4)


@pytest.mark.parametrize("names", NAMES)
def test_a_tied_model_goes_on_having_one_weight(names: str, tmp_path: Path) -> None:
    ours = with_lora(tiny_decoder("tied"), LoraConfig(rank=4, save_whole=names))
    one, other = learned_ends(ours).values()
    assert one.data_ptr() == other.data_ptr()
    save_adapter(ours, tmp_path / "adapter", "base")
    said = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert said["ensure_weight_tying"]
    config = load_adapter(again := tiny_decoder("tied"), tmp_path / "adapter")
    assert isinstance(config, LoraConfig)
    assert config.save_whole == "embed_tokens,lm_head"
    one, other = learned_ends(again).values()
    assert one.data_ptr() == other.data_ptr()


@pytest.mark.parametrize("name", [HEAD, EMBEDDING])
def test_a_missing_weight_is_named(name: str, tmp_path: Path) -> None:
    theirs_with("gqa", "embed_tokens,lm_head").save_pretrained(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    save_file({key: tensor for key, tensor in load_file(path).items() if key != name}, path)
    assert_refused(tmp_path, f"lacks {name}")


def test_a_weight_that_the_config_does_not_name_is_refused(tmp_path: Path) -> None:
    theirs_with("gqa", "embed_tokens,lm_head").save_pretrained(tmp_path)
    change_config(tmp_path, modules_to_save=["embed_tokens"])
    assert_refused(tmp_path, "holds base_model.model.lm_head.weight")


def test_a_vocabulary_of_another_size_is_named_with_both(tmp_path: Path) -> None:
    theirs_with("gqa", "embed_tokens").save_pretrained(tmp_path)
    assert_refused(tmp_path, r"embed_tokens\.weight has shape \[97, 64\], this model needs \[99, 64\]", vocab_size=99)


# ---- rows of tokens that were added

ROWS = [*range(90, 97)]
ROW_WAYS = [
    ("gqa", {"embed_tokens": ROWS, "lm_head": ROWS}),
    ("gqa", ROWS),
    ("tied", ROWS),
    ("tied", {"lm_head": ROWS}),
]


def theirs_with_rows(variant: str, rows: Any) -> Any:
    model = their_adapter(
        tiny_hf(variant), target_modules=["q_proj", "up_proj"], r=4, lora_alpha=8, trainable_token_indices=rows
    )
    rng = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        if "trainable_tokens_delta" in name:
            parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=rng))
    return model


@pytest.mark.parametrize(("variant", "rows"), ROW_WAYS)
def test_rows_of_tokens_go_both_ways(variant: str, rows: Any, tmp_path: Path) -> None:
    theirs, ours, again = theirs_with_rows(variant, rows), tiny_decoder(variant), tiny_decoder(variant)
    theirs.save_pretrained(tmp_path / "theirs")
    load_adapter(ours, tmp_path / "theirs")
    assert_same_logits(ours, theirs)
    with torch.no_grad():
        assert (ours(TOKENS_BT) - again(TOKENS_BT)).abs().max() > 0.5
    save_adapter(ours, tmp_path / "ours", "base")
    assert_same_logits(ours, peft.PeftModel.from_pretrained(tiny_hf(variant), tmp_path / "ours").eval())
    load_adapter(again, tmp_path / "ours")
    assert torch.equal(again(TOKENS_BT), ours(TOKENS_BT))
    one, other = (load_file(tmp_path / side / "adapter_model.safetensors") for side in ("ours", "theirs"))
    assert one.keys() == other.keys()


@pytest.mark.parametrize(("variant", "rows"), ROW_WAYS[::2])
def test_gradients_of_rows_are_those_of_autograd_on_pefts_module(variant: str, rows: Any) -> None:
    theirs, ours = theirs_with_rows(variant, rows), longer(tiny_decoder(variant))
    attach(ours, LoraConfig(rank=4, alpha=8, targets="q_proj,up_proj", save_whole="embed_tokens,lm_head"))
    set_adapter_tensors(ours, peft.get_peft_model_state_dict(theirs), Path("memory"))
    assert_same_logits(ours, theirs)
    upstream = torch.randn(*TOKENS_BT.shape, 97, generator=torch.Generator().manual_seed(3))
    (ours(TOKENS_BT) * upstream).sum().backward()
    (theirs(TOKENS_BT).logits * upstream).sum().backward()
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.grad
    expected, mine = peft.get_peft_model_state_dict(theirs), our_gradients(ours)
    assert mine.keys() == expected.keys()
    for name, gradient in expected.items():
        assert_close(mine[name], gradient, atol=1e-5 * gradient.abs().max().item(), rtol=1e-4)


@pytest.mark.parametrize(
    "rows", [[3, 95, 96], [90, 91], [*range(90, 98)], [*range(96, 89, -1)], ["90"], 7, {"lm_head": [90]}]
)
def test_rows_that_are_not_the_last_are_refused(rows: Any, tmp_path: Path) -> None:
    theirs_with_rows("gqa", ROWS).save_pretrained(tmp_path)
    change_config(tmp_path, trainable_token_indices=rows)
    assert_refused(tmp_path, "the last tokens of the vocabulary, up to 96")
