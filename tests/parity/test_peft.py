"""LoRA against Hugging Face PEFT: the same matrices give the same logits, and files go both ways."""

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import random_tokens, tiny_decoder, tiny_hf, with_lora
from torch.testing import assert_close

from nabot.adapters import LoraConfig, adapter_tensors, attach, load_adapter, lora_groups, save_adapter
from nabot.adapters.peft_files import set_adapter_tensors
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder

TOKENS_BT = random_tokens(2, 40)
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
THEIRS: dict[str, dict[str, Any]] = {
    "all_linear": {"target_modules": ALL, "r": 4, "lora_alpha": 8},
    "said_all_linear": {"target_modules": "all-linear", "r": 4, "lora_alpha": 8},
    "q_and_v": {"target_modules": ["q_proj", "v_proj"], "r": 8, "lora_alpha": 16},
    "one_module": {"target_modules": ["model.layers.1.mlp.down_proj"], "r": 4, "lora_alpha": 8},
    "regex": {"target_modules": r"model\.layers\.1\..*(q_proj|up_proj)", "r": 4, "lora_alpha": 8},
    "some_layers": {"target_modules": ALL, "layers_to_transform": [1], "r": 2, "lora_alpha": 4},
    "without_some": {"target_modules": ALL, "exclude_modules": ["k_proj"], "r": 2, "lora_alpha": 4},
    "unequal": {
        "target_modules": ALL,
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 7},
        "alpha_pattern": {"v_proj": 3, r".*layers\.0\.mlp\.\w+": 5},
    },
    "rslora": {"target_modules": ALL, "r": 4, "lora_alpha": 4, "use_rslora": True, "rank_pattern": {"k_proj": 9}},
}
OURS = {
    "all_linear": LoraConfig(rank=4, alpha=8),
    "q_and_v": LoraConfig(rank=8, alpha=16, targets="q_proj,v_proj"),
    "one_module": LoraConfig(rank=4, alpha=8, targets="model.layers.1.mlp.down_proj"),
    "regex": LoraConfig(rank=4, alpha=8, targets=r"/model\.layers\.1\..*(q_proj|up_proj)/"),
    "unequal": LoraConfig(
        rank=4,
        alpha=8,
        rank_pattern={"q_proj": 2, "layers.1.mlp.up_proj": 7},
        alpha_pattern={"v_proj": 3, r"layers\.0\.mlp\.\w+": 5},
    ),
}


def their_adapter(base: Any, seed: int = 0, **settings: Any) -> Any:
    """A PEFT model whose A and B are all random."""
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    rng = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=rng) / parameter.shape[1] ** 0.5)
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=rng) * 0.2)
    return model


@torch.no_grad()
def assert_same_logits(ours: Decoder, theirs: Any, tolerance: float = 1e-5) -> None:
    logits = theirs(TOKENS_BT).logits
    assert_close(ours(TOKENS_BT), logits, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("case", OURS)
def test_equal_matrices_give_equal_logits(case: str) -> None:
    theirs = their_adapter(tiny_hf("gqa"), **THEIRS[case])
    ours = tiny_decoder("gqa")
    attach(ours, OURS[case])
    set_adapter_tensors(ours, peft.get_peft_model_state_dict(theirs), Path("memory"))
    assert_same_logits(ours, theirs)


@pytest.mark.parametrize("case", THEIRS)
def test_adapters_saved_by_peft_are_loaded(case: str, tmp_path: Path) -> None:
    theirs = their_adapter(tiny_hf("gqa"), **THEIRS[case])
    theirs.save_pretrained(tmp_path)
    ours = tiny_decoder("gqa")
    load_adapter(ours, tmp_path)
    assert_same_logits(ours, theirs)
    with torch.no_grad():
        assert (ours(TOKENS_BT) - tiny_decoder("gqa")(TOKENS_BT)).abs().max() > 0.05


@pytest.mark.parametrize("variant", ["mha", "tied", "both_biases"])
def test_adapters_of_other_models_are_loaded(variant: str, tmp_path: Path) -> None:
    theirs = their_adapter(tiny_hf(variant), **THEIRS["all_linear"])
    theirs.save_pretrained(tmp_path)
    ours = tiny_decoder(variant)
    load_adapter(ours, tmp_path)
    assert_same_logits(ours, theirs)


@pytest.mark.parametrize("case", OURS)
def test_peft_loads_what_nabot_saved(case: str, tmp_path: Path) -> None:
    ours = with_lora(tiny_decoder("gqa"), OURS[case])
    save_adapter(ours, tmp_path / "adapter", "base")
    theirs = peft.PeftModel.from_pretrained(tiny_hf("gqa"), tmp_path / "adapter").eval()
    assert_same_logits(ours, theirs)
    kept = peft.get_peft_model_state_dict(theirs, save_embedding_layers=False)
    assert kept.keys() == adapter_tensors(ours).keys()


@pytest.mark.parametrize("case", ["some_layers", "without_some", "unequal", "rslora"])
def test_loaded_and_saved_again_it_is_the_same_adapter(case: str, tmp_path: Path) -> None:
    theirs = their_adapter(tiny_hf("gqa"), **THEIRS[case])
    theirs.save_pretrained(tmp_path / "theirs")
    ours = tiny_decoder("gqa")
    load_adapter(ours, tmp_path / "theirs")
    save_adapter(ours, tmp_path / "ours", "base")
    again = peft.PeftModel.from_pretrained(tiny_hf("gqa"), tmp_path / "ours").eval()
    assert_same_logits(ours, again)
    third = tiny_decoder("gqa")
    load_adapter(third, tmp_path / "ours")
    assert torch.equal(third(TOKENS_BT), ours(TOKENS_BT))


def test_the_real_model_with_an_adapter_gives_the_same_logits(
    smollm2_gguf: Path, smollm2_by_transformers: Any, tmp_path: Path
) -> None:
    theirs = their_adapter(smollm2_by_transformers, target_modules=ALL, r=8, lora_alpha=16)
    theirs.save_pretrained(tmp_path, save_embedding_layers=False)
    with torch.no_grad():
        logits = theirs(TOKENS_BT).logits
        plain = theirs.unload()(TOKENS_BT).logits
    ours = load_decoder(smollm2_gguf)
    load_adapter(ours, tmp_path)
    with torch.no_grad():
        assert (logits - plain).abs().max() > 1
        assert_close(ours(TOKENS_BT), logits, atol=1e-3, rtol=0)


# ---- what is refused


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A good adapter for the variant "gqa", to be damaged."""
    save_adapter(with_lora(tiny_decoder("gqa")), tmp_path / "adapter", "base")
    return tmp_path / "adapter"


def change_tensors(folder: Path, rename: dict[str, str | None]) -> None:
    """None takes a tensor away."""
    path = folder / "adapter_model.safetensors"
    kept = {rename.get(name, name): tensor for name, tensor in load_file(path).items()}
    save_file({name: tensor for name, tensor in kept.items() if name}, path)


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def assert_refused(folder: Path, told: str, variant: str = "gqa", **changes: Any) -> None:
    """Refused with these words, and the decoder is as it was."""
    decoder = tiny_decoder(variant, **changes)
    before = decoder(TOKENS_BT)
    with pytest.raises(CheckpointError, match=told) as caught:
        load_adapter(decoder, folder)
    assert str(folder) in str(caught.value)
    assert not any(lora_groups(decoder))
    assert torch.equal(decoder(TOKENS_BT), before)


NAME = "base_model.model.model.layers.1.mlp.up_proj.lora_"


def test_a_missing_tensor_is_named(adapter: Path) -> None:
    change_tensors(adapter, {NAME + "B.weight": None})
    assert_refused(adapter, r"lacks .*layers\.1\.mlp\.up_proj\.lora_B")


def test_a_missing_pair_is_named(adapter: Path) -> None:
    change_tensors(adapter, {NAME + "A.weight": None, NAME + "B.weight": None})
    assert_refused(adapter, r"lacks model\.layers\.1\.mlp\.up_proj")


@pytest.mark.parametrize(
    "wrong",
    [
        "base_model.model.model.layers.7.mlp.up_proj.lora_B.weight",
        "model.layers.1.mlp.up_proj.lora_B.weight",
        NAME + "B.default.weight",
        NAME + "magnitude_vector",
        "base_model.model.model.layers.1.mlp.up_prj.lora_B.weight",
    ],
)
def test_a_wrong_tensor_name_is_named(wrong: str, adapter: Path) -> None:
    change_tensors(adapter, {NAME + "B.weight": wrong})
    with pytest.raises(CheckpointError, match=r"up_proj|up_prj"):
        load_adapter(tiny_decoder("gqa"), adapter)
    assert_refused(adapter, r"up_pro?j")


def test_an_extra_tensor_is_named(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    extra = {"base_model.model.lm_head.lora_A.weight": torch.zeros(4, 64)}
    save_file(load_file(path) | extra, path)
    assert_refused(adapter, "lm_head")


def test_a_base_of_other_shapes_is_named_with_both(adapter: Path) -> None:
    assert_refused(adapter, r"k_proj\.lora_B\.weight has shape \[32, 4\], this model needs \[64, 4\]", variant="mha")
    assert_refused(adapter, r"has shape \[96, 4\], this model needs \[128, 4\]", intermediate_size=128)


def test_a_base_with_fewer_layers_is_refused(adapter: Path) -> None:
    assert_refused(adapter, r"layers\.1", num_hidden_layers=1)


def test_a_base_with_more_layers_is_refused(adapter: Path) -> None:
    assert_refused(adapter, r"lacks model\.layers\.2", num_hidden_layers=3)


def test_a_rank_that_the_matrices_do_not_share_is_refused(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors[NAME + "A.weight"] = tensors[NAME + "A.weight"][:2].contiguous()
    save_file(tensors, path)
    assert_refused(adapter, r"up_proj\.lora_B\.weight has shape \[96, 4\], this model needs \[96, 2\]")


@pytest.mark.parametrize(
    "fields",
    [
        {"use_dora": True},
        {"fan_in_fan_out": True},
        {"bias": "lora_only"},
        {"lora_bias": True},
        {"modules_to_save": ["lm_head"]},
        {"layer_replication": [[0, 2]]},
        {"trainable_token_indices": [1]},
        {"alora_invocation_tokens": [1, 2]},
        {"use_qalora": True},
        {"init_lora_weights": "pissa_niter_4"},  # the base was changed too
    ],
)
def test_what_changes_the_arithmetic_is_refused_by_name(fields: dict[str, Any], adapter: Path) -> None:
    change_config(adapter, **fields)
    assert_refused(adapter, next(iter(fields)))


def test_a_real_dora_adapter_is_refused(tmp_path: Path) -> None:
    their_adapter(tiny_hf("gqa"), use_dora=True, **THEIRS["q_and_v"]).save_pretrained(tmp_path)
    assert_refused(tmp_path, "use_dora")


def test_an_unknown_method_is_refused_by_name(tmp_path: Path) -> None:
    config = peft.IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj"], feedforward_modules=[])
    peft.get_peft_model(tiny_hf("gqa"), config).save_pretrained(tmp_path)
    assert_refused(tmp_path, "IA3")


def test_an_empty_adapter_is_refused(adapter: Path) -> None:
    save_file({}, adapter / "adapter_model.safetensors")
    assert_refused(adapter, "no tensor")


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_broken_config_is_explained(text: str, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text(text, encoding="utf-8")
    assert_refused(adapter, r"adapter_config\.json")


BROKEN = [
    ("adapter_config.json", None),
    ("adapter_model.safetensors", None),
    ("adapter_model.safetensors", 0),
    ("adapter_model.safetensors", 500),
]


@pytest.mark.parametrize(("name", "size"), BROKEN)
def test_a_file_that_is_missing_or_cut_off_is_named(name: str, size: int | None, adapter: Path) -> None:
    path = adapter / name
    data = path.read_bytes()
    path.unlink()
    if size is not None:
        path.write_bytes(data[:size])
    assert_refused(adapter, name.replace(".", r"\."))


def test_a_second_adapter_is_refused(adapter: Path) -> None:
    decoder = with_lora(tiny_decoder("gqa"))
    before = decoder(TOKENS_BT)
    with pytest.raises(ConfigError, match="already"):
        load_adapter(decoder, adapter)
    assert torch.equal(decoder(TOKENS_BT), before)


def test_a_decoder_without_an_adapter_has_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no adapter"):
        save_adapter(tiny_decoder("gqa"), tmp_path / "adapter", "base")
    assert not (tmp_path / "adapter").exists()
