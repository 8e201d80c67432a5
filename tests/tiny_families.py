"""Models of a few thousand weights of every family, random but of sensible size, as transformers has and saves them."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

VOCAB = 97
_PLAIN: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
_DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.5, 2.0, 2.5, 3.0],
    "long_factor": [2.0] * 8,
}
_LOCAL_AND_GLOBAL = ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
_HEADS_APART = {
    "head_dim": 24,
    "query_pre_attn_scalar": 24,
    "tie_word_embeddings": True,
    "attn_logit_softcapping": 3.0,  # small, so that scores and logits come near them
    "final_logit_softcapping": 2.0,
}
_TWO_ROPES = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
}
_ALIBI = {"max_seq_len": 256, "tie_word_embeddings": True}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama_yarn": ("llama", {"rope_parameters": _YARN}),
    "llama_dynamic": ("llama", {"rope_parameters": _DYNAMIC}),
    "mistral": ("mistral", {"sliding_window": 7}),
    "mistral_wide_heads": ("mistral", {"sliding_window": None, "head_dim": 24}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2_window": ("qwen2", {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 2}),
    "qwen2_yarn": ("qwen2", {"rope_parameters": _YARN}),
    "qwen3": ("qwen3", {"head_dim": 24, "tie_word_embeddings": True}),
    "qwen3_bias": ("qwen3", {"head_dim": 16, "attention_bias": True}),
    "phi3": ("phi3", {"sliding_window": None}),
    "phi3_window": ("phi3", {"sliding_window": 20}),
    "phi3_longrope": ("phi3", {"rope_parameters": _LONGROPE, "original_max_position_embeddings": 128}),
    "olmo2": ("olmo2", {}),
    "olmo2_bias": ("olmo2", {"attention_bias": True, "num_key_value_heads": 4}),
    "exaone4": ("exaone4", {"sliding_window": 7, "layer_types": _LOCAL_AND_GLOBAL}),
    "exaone4_global": ("exaone4", {"sliding_window": None, "layer_types": ["full_attention"] * 4}),
    "gemma2": ("gemma2", {**_HEADS_APART, "sliding_window": 7, "query_pre_attn_scalar": 24}),
    "gemma2_no_caps": ("gemma2", {**_HEADS_APART, "attn_logit_softcapping": None, "final_logit_softcapping": None}),
    "gemma3": (
        "gemma3_text",
        {**_HEADS_APART, "attn_logit_softcapping": None, "sliding_window": 7, "layer_types": _LOCAL_AND_GLOBAL},
    ),
    "gemma3_scaled": (
        "gemma3_text",
        {**_HEADS_APART, "attn_logit_softcapping": None, "sliding_window": 200, "rope_parameters": _TWO_ROPES},
    ),
    "neox": ("gpt_neox", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
    "neox_yarn": ("gpt_neox", {"rope_parameters": {**_YARN, "partial_rotary_factor": 0.5}}),
    "neox_in_turn": (
        "gpt_neox",
        {
            "use_parallel_residual": False,
            "attention_bias": False,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0},
        },
    ),
    "mpt": ("mpt", _ALIBI),
    "mpt_six_heads": (
        "mpt",
        {**_ALIBI, "num_attention_heads": 6, "hidden_size": 96, "attn_config": {"clip_qkv": 1.0, "softmax_scale": 0.4}},
    ),
}
LONGEST = 120


@cache
def tiny_theirs(variant: str) -> Any:
    """A model of transformers, in float32. Leave it as it is."""
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, changes = VARIANTS[variant]
    config = AutoConfig.for_model(model_type, **{**_PLAIN, **changes}, attn_implementation="eager")
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(_drawn(name, weight, rng))
    return model.eval()


def _drawn(name: str, weight: Tensor, rng: torch.Generator) -> Tensor:
    drawn = torch.randn(weight.shape, generator=rng)
    if "norm" in name and name.endswith("weight"):
        # around what multiplies by 1: Gemma's start at 0
        return weight.detach() + 0.2 * drawn
    return 0.2 * drawn if weight.ndim == 1 else drawn / weight.shape[-1] ** 0.5


def save_tiny(variant: str, folder: Path) -> Path:
    """The same as a folder."""
    tiny_theirs(variant).save_pretrained(folder)
    return folder


def write_tiny_gguf(variant: str, path: Path) -> Path:
    """The same as llama.cpp's converter writes it."""
    import gguf

    model_type, _ = VARIANTS[variant]
    model = tiny_theirs(variant)
    architecture = {"gemma3_text": "gemma3", "mistral": "llama", "gpt_neox": "gptneox"}.get(model_type, model_type)
    number = next(n for n, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    writer = gguf.GGUFWriter(path, architecture)
    write_numbers = _write_alibi_numbers if architecture == "mpt" else _write_numbers
    write_numbers(writer, model.config.to_dict(), architecture)
    _write_vocabulary(writer)
    names = gguf.get_tensor_name_map(number, model.config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        stem, ending = name.rsplit(".", 1)
        plus = 1 if architecture.startswith("gemma") and stem.endswith("norm") else 0
        writer.add_tensor(
            f"{names.get_name(stem)}.{ending}", _as_llama_cpp(weight + plus, stem, model.config, architecture)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_vocabulary(writer: Any) -> None:
    """Without one llama.cpp does not load the file."""
    letters = [chr(number) for number in range(33, 33 + VOCAB - 1)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*letters, letters[0] + letters[1]])
    writer.add_token_types([1] * VOCAB)
    writer.add_token_merges([f"{letters[0]} {letters[1]}"])
    writer.add_eos_token_id(2)


def _as_llama_cpp(weight: Tensor, stem: str, config: Any, architecture: str) -> Any:
    if stem.endswith("query_key_value"):
        return weight.unflatten(0, (config.num_attention_heads, 3, -1)).transpose(0, 1).flatten(0, 2).numpy()
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(stem.rsplit(".", 1)[-1])
    if architecture != "llama" or heads is None:
        return weight.numpy()
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2).contiguous().numpy()


def _write_numbers(writer: Any, raw: dict[str, Any], architecture: str) -> None:
    import gguf

    head_width = raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"]
    writer.add_context_length(raw["max_position_embeddings"])
    writer.add_embedding_length(raw["hidden_size"])
    writer.add_block_count(raw["num_hidden_layers"])
    writer.add_feed_forward_length(raw["intermediate_size"])
    writer.add_head_count(raw["num_attention_heads"])
    if architecture == "gptneox":
        part = raw["rope_parameters"]["partial_rotary_factor"]
        writer.add_layer_norm_eps(raw["layer_norm_eps"])
        writer.add_parallel_residual(raw["use_parallel_residual"])
        writer.add_rope_dimension_count(int(part * head_width))
    else:
        writer.add_head_count_kv(raw["num_key_value_heads"])
        writer.add_layer_norm_rms_eps(raw["rms_norm_eps"])
        writer.add_key_length(head_width)
        writer.add_value_length(head_width)
        writer.add_rope_dimension_count(head_width)
    if architecture in ("gemma2", "gemma3", "exaone4", "phi3") and raw["sliding_window"]:
        writer.add_sliding_window(raw["sliding_window"])
    if architecture in ("gemma3", "exaone4") and raw["sliding_window"]:
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in raw["layer_types"]])
    for field, add in (
        ("attn_logit_softcapping", writer.add_attn_logit_softcapping),
        ("final_logit_softcapping", writer.add_final_logit_softcapping),
    ):
        if raw.get(field):
            add(raw[field])
    rope = raw["rope_parameters"]
    if architecture == "gemma3":
        writer.add_key_value(
            "gemma3.rope.freq_base_swa", rope["sliding_attention"]["rope_theta"], gguf.GGUFValueType.FLOAT32
        )
        rope = rope["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "longrope":
        factor = raw["max_position_embeddings"] / raw["original_max_position_embeddings"]
        writer.add_rope_scaling_orig_ctx_len(raw["original_max_position_embeddings"])
        writer.add_rope_scaling_attn_factors(
            (1 + math.log(factor) / math.log(raw["original_max_position_embeddings"])) ** 0.5
        )
        for length in ("short", "long"):
            writer.add_tensor(f"rope_factors_{length}.weight", torch.tensor(rope[f"{length}_factor"]).numpy())


def _write_alibi_numbers(writer: Any, raw: dict[str, Any], architecture: str) -> None:
    writer.add_context_length(raw["max_seq_len"])
    writer.add_embedding_length(raw["d_model"])
    writer.add_block_count(raw["n_layers"])
    writer.add_feed_forward_length(4 * raw["d_model"])
    writer.add_head_count(raw["n_heads"])
    writer.add_layer_norm_eps(raw["layer_norm_epsilon"])
    writer.add_max_alibi_bias(raw["attn_config"]["alibi_bias_max"])
    if raw["attn_config"]["clip_qkv"]:
        writer.add_clamp_kqv(raw["attn_config"]["clip_qkv"])
