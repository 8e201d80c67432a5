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
from nabot.adapters.lora import shape_of
from nabot.adapters.peft_files import set_adapter_tensors
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder
from nabot.train.step import trainable

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
    "dora": {"target_modules": ALL, "r": 4, "lora_alpha": 8, "use_dora": True},
    "dora_of_some": {
        "target_modules": ["k_proj", "up_proj"],
        "layers_to_transform": [0],
        "r": 4,
        "lora_alpha": 4,
        "use_dora": True,
        "use_rslora": True,
    },
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
    "some_layers": LoraConfig(rank=2, alpha=4, layers="1"),
    "rslora": LoraConfig(rank=4, alpha=4, rslora=True, rank_pattern={"k_proj": 9}),
    "dora": LoraConfig(rank=4, alpha=8, dora=True),
    "dora_of_some": LoraConfig(rank=4, alpha=4, targets="k_proj,up_proj", layers="0", dora=True, rslora=True),
}


def their_adapter(base: Any, seed: int = 0, **settings: Any) -> Any:
    """A PEFT model whose A and B are all random; what learns wholly is off its start."""
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    rng = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=rng) / parameter.shape[1] ** 0.5)
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=rng) * 0.2)
        if "magnitude" in name:
            parameter.data.mul_(1 + 0.2 * torch.randn(parameter.shape, generator=rng))
        if "modules_to_save" in name:
            parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=rng))
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


def our_gradients(decoder: Decoder) -> dict[str, torch.Tensor]:
    """By PEFT's names. Puts them in place of what has learned."""
    for parameter in trainable(decoder).values():
        assert parameter.grad is not None
        parameter.data = parameter.grad
    return adapter_tensors(decoder)


def their_gradients(model: Any) -> dict[str, torch.Tensor]:
    return {
        name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector"): parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def assert_same_gradients(ours: Decoder, theirs: Any, tolerance: float = 1e-5) -> None:
    upstream = torch.randn(*TOKENS_BT.shape, 97, generator=torch.Generator().manual_seed(3))
    (ours(TOKENS_BT) * upstream).sum().backward()
    (theirs(TOKENS_BT).logits * upstream).sum().backward()
    mine, expected = our_gradients(ours), their_gradients(theirs)
    assert mine.keys() == expected.keys()
    for name, gradient in expected.items():
        learning = mine[name][tuple(map(slice, gradient.shape))]  # PiSSA's start stands behind it
        assert_close(learning, gradient, atol=tolerance * gradient.abs().max().item(), rtol=1e-4)


@pytest.mark.parametrize("case", OURS)
def test_equal_matrices_give_equal_gradients(case: str) -> None:
    theirs = their_adapter(tiny_hf("gqa"), **THEIRS[case])
    ours = tiny_decoder("gqa")
    attach(ours, OURS[case])
    set_adapter_tensors(ours, peft.get_peft_model_state_dict(theirs), Path("memory"))
    assert_same_gradients(ours, theirs)


PISSA = {
    "plain": LoraConfig(rank=4, alpha=8, lora_start="pissa"),
    "some": LoraConfig(
        rank=3, alpha=5, targets="q_proj,v_proj,down_proj", rank_pattern={"v_proj": 5}, lora_start="pissa"
    ),
    "rslora": LoraConfig(rank=4, alpha=4, rslora=True, layers="1", lora_start="pissa"),
    "dora": LoraConfig(rank=4, alpha=8, dora=True, lora_start="pissa"),
}


def their_pissa(config: LoraConfig, init: str = "pissa") -> Any:
    """PEFT's, which has taken A and B out of the base."""
    targets = ALL if config.targets == "all-linear" else config.targets.split(",")
    return peft.get_peft_model(
        tiny_hf("gqa"),
        peft.LoraConfig(
            task_type="CAUSAL_LM",
            target_modules=targets,
            r=config.rank,
            lora_alpha=config.alpha,
            rank_pattern=dict(config.rank_pattern),
            layers_to_transform=[1] if config.layers else None,
            init_lora_weights=init,
            use_rslora=config.rslora,
            use_dora=config.dora,
        ),
    ).eval()


@pytest.mark.parametrize("case", PISSA)
def test_pissa_begins_with_the_same_parts(case: str) -> None:
    theirs, ours = their_pissa(PISSA[case]), tiny_decoder("gqa")
    attach(ours, PISSA[case])
    pairs = {name: (a, b) for group in lora_groups(ours) for name, a, b in group.tensors()}
    expected = peft.get_peft_model_state_dict(theirs)
    for name, (a, b) in pairs.items():
        their_a, their_b = (expected[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
        assert a.shape == their_a.shape
        assert_close(b @ a, their_b @ their_a, atol=1e-4, rtol=1e-4)  # each pair may have the other sign
    assert_same_logits(ours, theirs)


def learned_pissa(config: LoraConfig) -> tuple[Decoder, Any]:
    """Ours and PEFT's, moved away from the start to the same place."""
    theirs, ours = their_pissa(config), tiny_decoder("gqa")
    torch.manual_seed(0)
    attach(ours, config)
    rng = torch.Generator().manual_seed(4)
    for parameter in trainable(ours).values():
        parameter.data.mul_(1 + 0.3 * torch.randn(parameter.shape, generator=rng))
    learned = {
        f"base_model.model.{name}.{part}": tensor
        for group in lora_groups(ours)
        for name, a, b in group.tensors()
        for part, tensor in (("lora_A.weight", a), ("lora_B.weight", b))
    }
    if config.dora:
        learned |= {name: tensor for name, tensor in adapter_tensors(ours).items() if "magnitude" in name}
    peft.set_peft_model_state_dict(theirs, learned)
    return ours, theirs


@pytest.mark.parametrize("case", PISSA)
def test_pissa_learns_as_in_peft(case: str) -> None:
    ours, theirs = learned_pissa(PISSA[case])
    with torch.no_grad():
        assert (ours(TOKENS_BT) - tiny_decoder("gqa")(TOKENS_BT)).abs().max() > 0.05
    assert_same_logits(ours, theirs, 5e-5)  # PEFT has rounded its base: 2e-5 off what float64 gives, ours 2e-6
    assert_same_gradients(ours, theirs, 5e-5)


@pytest.mark.parametrize("case", PISSA)
def test_pissa_is_saved_as_lora_on_the_base_as_it_is(case: str, tmp_path: Path) -> None:
    ours, _ = learned_pissa(PISSA[case])
    save_adapter(ours, tmp_path / "adapter", "base")
    base = tiny_hf("gqa")
    assert_same_logits(ours, peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval())
    again = tiny_decoder("gqa")
    load_adapter(again, tmp_path / "adapter")
    with torch.no_grad():
        assert torch.equal(again(TOKENS_BT), ours(TOKENS_BT))  # a bot is re-read and compared before it counts


@pytest.mark.parametrize("case", ["plain", "some", "rslora"])  # PEFT loses the magnitudes of DoRA here
def test_pissa_is_saved_as_peft_converts_it(case: str, tmp_path: Path) -> None:
    config = PISSA[case]
    theirs = their_pissa(config)
    theirs.peft_config["default"].init_lora_weights = True  # as its guide says: not to be taken out of the base again
    theirs.save_pretrained(tmp_path / "start")
    ours, learned = learned_pissa(config)
    peft.set_peft_model_state_dict(theirs, peft.get_peft_model_state_dict(learned))
    theirs.save_pretrained(tmp_path / "theirs", path_initial_model_for_weight_conversion=str(tmp_path / "start"))
    save_adapter(ours, tmp_path / "ours", "base")
    one, other = (load_file(tmp_path / side / "adapter_model.safetensors") for side in ("ours", "theirs"))
    assert {name: tensor.shape for name, tensor in one.items()} == {name: t.shape for name, t in other.items()}
    said = [json.loads((tmp_path / side / "adapter_config.json").read_text()) for side in ("ours", "theirs")]
    assert said[0]["r"] == said[1]["r"]
    assert said[0]["lora_alpha"] == pytest.approx(said[1]["lora_alpha"])
    loaded = tiny_decoder("gqa")
    load_adapter(loaded, tmp_path / "theirs")
    with torch.no_grad():
        assert_close(loaded(TOKENS_BT), ours(TOKENS_BT), atol=5e-5, rtol=5e-5)


BIASES = {
    "adapted": LoraConfig(rank=4, alpha=8, bias="lora_only"),
    "some_adapted": LoraConfig(rank=4, alpha=8, targets="v_proj,up_proj", bias="lora_only"),
    "all": LoraConfig(rank=4, alpha=8, targets="v_proj,up_proj", bias="all"),
    "all_in_some_layers": LoraConfig(rank=4, alpha=8, layers="1", bias="all"),
    "all_with_dora": LoraConfig(rank=4, alpha=8, dora=True, bias="all"),
}


def their_biases(config: LoraConfig, variant: str = "both_biases") -> Any:
    model = their_adapter(
        tiny_hf(variant),
        target_modules=ALL if config.targets == "all-linear" else config.targets.split(","),
        layers_to_transform=[1] if config.layers else None,
        r=config.rank,
        lora_alpha=config.alpha,
        use_dora=config.dora,
        bias=config.bias,
    )
    rng = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") and parameter.requires_grad:
            parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=rng))
    return model


@pytest.mark.parametrize("case", BIASES)
def test_biases_learn_as_in_peft(case: str) -> None:
    theirs, ours = their_biases(BIASES[case]), tiny_decoder("both_biases")
    attach(ours, BIASES[case])
    set_adapter_tensors(ours, peft.get_peft_model_state_dict(theirs), Path("memory"))
    assert_same_logits(ours, theirs)
    assert_same_gradients(ours, theirs)


@pytest.mark.parametrize("variant", ["attention_bias", "mlp_bias", "gqa"])
@pytest.mark.parametrize("case", BIASES)
def test_biases_go_through_files_both_ways(case: str, variant: str, tmp_path: Path) -> None:
    theirs, ours = their_biases(BIASES[case], variant), tiny_decoder(variant)
    theirs.save_pretrained(tmp_path / "theirs")
    assert load_adapter(ours, tmp_path / "theirs").bias == BIASES[case].bias  # type: ignore[union-attr]
    assert_same_logits(ours, theirs)
    save_adapter(ours, tmp_path / "ours", "base")
    assert_same_logits(ours, peft.PeftModel.from_pretrained(tiny_hf(variant), tmp_path / "ours").eval())


@pytest.mark.parametrize("dora", [False, True])
def test_dropout_falls_on_the_same_inputs(dora: bool) -> None:
    theirs = their_adapter(tiny_hf("both_biases"), target_modules=["o_proj"], r=4, lora_dropout=0.5, use_dora=dora)
    ours = tiny_decoder("both_biases")
    attach(ours, LoraConfig(rank=4, alpha=8, dropout=0.5, targets="o_proj", dora=dora))
    set_adapter_tensors(ours, peft.get_peft_model_state_dict(theirs), Path("memory"))
    logits = []
    for model in (theirs.train(), ours.train()):
        torch.manual_seed(0)
        logits.append(model(TOKENS_BT))
    assert_close(logits[1], logits[0].logits, atol=1e-5, rtol=1e-5)
    assert (logits[1] - ours.eval()(TOKENS_BT)).abs().max() > 0.1


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


@pytest.mark.parametrize("case", ["some_layers", "without_some", "unequal", "rslora", "dora"])
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


@pytest.mark.parametrize("case", OURS)
def test_a_loaded_adapter_says_how_it_was_made(case: str, tmp_path: Path) -> None:
    save_adapter(with_lora(tiny_decoder("gqa"), OURS[case]), tmp_path / "adapter", "base")
    loaded = load_adapter(tiny_decoder("gqa"), tmp_path / "adapter")
    assert isinstance(loaded, LoraConfig)
    assert (loaded.rank, loaded.alpha) == (OURS[case].rank, OURS[case].alpha)
    assert (loaded.rslora, loaded.dora) == (OURS[case].rslora, OURS[case].dora)
    assert shape_of(tiny_decoder("gqa"), loaded) == shape_of(tiny_decoder("gqa"), OURS[case])


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
        {"fan_in_fan_out": True},
        {"bias": "some"},
        {"lora_bias": True},
        {"modules_to_save": ["norm"]},
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


def test_dora_without_magnitudes_is_refused(adapter: Path) -> None:
    change_config(adapter, use_dora=True)
    assert_refused(adapter, r"lacks .*lora_magnitude_vector")


def test_a_missing_pair_of_some_layers_is_named(tmp_path: Path) -> None:
    save_adapter(with_lora(tiny_decoder("gqa"), LoraConfig(rank=4, layers="1")), tmp_path / "adapter", "base")
    change_tensors(tmp_path / "adapter", {NAME + "A.weight": None, NAME + "B.weight": None})
    assert_refused(tmp_path / "adapter", r"lacks model\.layers\.1\.mlp\.up_proj")


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
