"""Qwen2, 2.5 (arXiv 2407.10671) and 3 (arXiv 2505.09388), dense. In: their files' fields."""

from dataclasses import replace

from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import ATTENTION, HEAD_NORMS, MLP, NORMS_BEFORE, Family, GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata


def _qwen2_from_json(json: ConfigJson) -> DecoderConfig:
    return replace(_common(json, "qwen2"), qkv_bias=True)


def _qwen3_from_json(json: ConfigJson) -> DecoderConfig:
    bias = json.get("attention_bias", False)
    return replace(_common(json, "qwen3"), qkv_bias=bias, out_bias=bias, head_norm="head")


def _common(json: ConfigJson, family: str) -> DecoderConfig:
    json.refuse_unless("hidden_act", "silu")
    common = json.common(family)
    window = json.raw.get("sliding_window", 4096) if json.get("use_sliding_window", False) else None
    first = json.get("max_window_layers", 28)
    return replace(common, local=json.local(window, lambda layer: layer >= first, common.rope))


def _qwen2_from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    return replace(metadata.common("qwen2"), qkv_bias=True)


def _qwen3_from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    qkv_bias, out_bias = (metadata.has_tensor(f"blk.0.attn_{name}.bias") for name in ("q", "output"))
    return replace(metadata.common("qwen3"), qkv_bias=qkv_bias, out_bias=out_bias, head_norm="head")


_PLAIN = {**NORMS_BEFORE, **ATTENTION, **MLP}
QWEN2 = Family("qwen2", "Qwen2ForCausalLM", _qwen2_from_json, GgufForm("qwen2", _qwen2_from_gguf, _PLAIN))
QWEN3 = Family(
    "qwen3", "Qwen3ForCausalLM", _qwen3_from_json, GgufForm("qwen3", _qwen3_from_gguf, {**_PLAIN, **HEAD_NORMS})
)
