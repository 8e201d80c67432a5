"""MPT (MosaicML 2023, mosaicml/llm-foundry). In: its files' fields.

Traps that are handled here: config.json has words of its own, half of them in `attn_config`; positions that are learned
(`learned_pos_emb`) exist only without ALiBi.
"""

from dataclasses import replace
from typing import Any

from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import Family, GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata
from nabot.models.mpt import Mpt

_COMPUTED: dict[str, Any] = {
    "quantization_config": None,
    "no_bias": True,
    "logit_scale": None,  # llm-foundry has it, transformers does not
    "attn_config.alibi": True,
    "attn_config.attn_type": "multihead_attention",
    "attn_config.prefix_lm": False,
    "attn_config.qk_gn": False,
    "attn_config.qk_ln": False,
    "attn_config.rope": False,
    "attn_config.sliding_window_size": -1,
}


def _from_json(json: ConfigJson) -> DecoderConfig:
    attention = {f"attn_config.{field}": value for field, value in json.get("attn_config", {}).items()}
    json = ConfigJson({**json.raw, **attention}, json.path)
    heads, width = json["n_heads"], json["d_model"]
    for field, computed in (_COMPUTED | {"attn_config.kv_n_heads": heads}).items():
        json.refuse_unless(field, computed)
    if json.get("norm_type") != "layernorm":
        json.refuse_unless("norm_type", "low_precision_layernorm")
    scale = json.get("attn_config.softmax_scale", 0.0)
    return DecoderConfig(
        family="mpt",
        vocab_size=json["vocab_size"],
        width=width,
        num_layers=json["n_layers"],
        num_heads=heads,
        num_kv_heads=heads,
        head_width=width // heads,
        mlp_width=int(json.get("expansion_ratio", 4) * width),
        max_positions=json.get("max_seq_len", 2048),
        rope=None,
        norm_eps=json.get("layer_norm_epsilon", 1e-5),
        tie_embeddings=json.get("tie_word_embeddings", True),
        query_scale=scale * (width // heads) ** 0.5 if scale else 1.0,
        alibi=float(json.get("attn_config.alibi_bias_max", 8)),
        clip_qkv=json.get("attn_config.clip_qkv", 0.0),
        gated_mlp=False,
    )


def _from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    config, alibi = metadata.common("mpt", "attention.layer_norm_epsilon"), metadata.real("attention.max_alibi_bias")
    metadata.refuse_unless("attention.head_count_kv", config.num_heads)
    if not alibi:
        metadata.refuse_unless("attention.max_alibi_bias", 8.0)
    clip = metadata.real("attention.clamp_kqv", 0.0)
    return replace(config, rope=None, alibi=alibi, clip_qkv=clip, gated_mlp=False)


_GGUF = GgufForm(
    "mpt",
    _from_gguf,
    {
        "attn_norm": "norm_1",
        "attn_qkv": "attn.Wqkv",
        "attn_output": "attn.out_proj",
        "ffn_norm": "norm_2",
        "ffn_up": "ffn.up_proj",
        "ffn_down": "ffn.down_proj",
    },
    {"token_embd": "transformer.wte", "output_norm": "transformer.norm_f", "output": "lm_head"},
    layers="transformer.blocks",
)
MPT = Family("mpt", "MPTForCausalLM", _from_json, _GGUF, Mpt)
