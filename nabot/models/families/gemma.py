"""Gemma 2 (arXiv 2408.00118) and 3 (arXiv 2503.19786), text alone. In: their files' fields.

Traps that are handled here: safetensors hold norm weights minus 1 and GGUF as they are; config.json leaves out what is as
transformers has it by default; a Gemma 3 that sees pictures keeps its decoder under `text_config`; GGUF does not tell
which layers are local, nor by what queries are scaled.
"""

from dataclasses import replace
from typing import Any

from nabot.models.config import DecoderConfig, RopeConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import ATTENTION, HEAD_NORMS, MLP, Family, GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata
from nabot.models.gemma import Gemma

_PERIODS = {"gemma2": 2, "gemma3": 6}  # every so many layers one is global
_WINDOWS = {"gemma2": 4096, "gemma3": 0}  # where a GGUF file tells none, as the first ones of Gemma 2; so llama.cpp
_SCALED_BY_WIDTH = {"gemma2": 46, "gemma3": 62}  # layers of the 27B, whose queries are scaled by D / H instead of E
_DEFAULTS: dict[str, Any] = {
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "tie_word_embeddings": True,
}
_GEMMA2 = {**_DEFAULTS, "vocab_size": 256_000, "max_position_embeddings": 8192}
_GEMMA3 = {**_DEFAULTS, "vocab_size": 262_208, "max_position_embeddings": 131_072}
_GLOBAL_THETA, _LOCAL_THETA = 1_000_000.0, 10_000.0  # of Gemma 3


def _gemma2_from_json(json: ConfigJson) -> DecoderConfig:
    json = ConfigJson({**_GEMMA2, **json.raw}, json.path)
    config = _common(json, "gemma2", _PERIODS["gemma2"])
    caps = (json.raw.get("attn_logit_softcapping", 50.0), json.raw.get("final_logit_softcapping", 30.0))
    return replace(config, score_cap=caps[0] or 0.0, logit_cap=caps[1] or 0.0)


def _gemma3_from_json(json: ConfigJson, family: str = "gemma3_text") -> DecoderConfig:
    json = ConfigJson({**_GEMMA3, **json.raw}, json.path)
    json.refuse_unless("attn_logit_softcapping", None)
    without_rope = ConfigJson({**json.raw, "rope_parameters": None, "rope_scaling": None}, json.path)
    config = _common(without_rope, family, json.get("sliding_window_pattern", _PERIODS["gemma3"]))
    config = replace(config, head_norm="head", logit_cap=json.get("final_logit_softcapping", 0.0))
    new = json.get("rope_parameters", {})
    of_global = {**(new.get("full_attention") or {}), **json.get("rope_scaling", {})}
    of_local = {"rope_theta": json.get("rope_local_base_freq", _LOCAL_THETA), **(new.get("sliding_attention") or {})}
    return _with_ropes(config, json.rope_from(of_global, _GLOBAL_THETA), json.rope_from(of_local))


def _with_pictures_from_json(json: ConfigJson) -> DecoderConfig:
    json.refuse_unless("quantization_config", None)
    tied = {"tie_word_embeddings": json.get("tie_word_embeddings", True)}  # the head is not the inner model's
    return _gemma3_from_json(ConfigJson({**json["text_config"], **tied}, json.path), "gemma3")


def _common(json: ConfigJson, family: str, period: int) -> DecoderConfig:
    json.refuse_unless("hidden_activation", "gelu_pytorch_tanh")
    json.refuse_unless("use_bidirectional_attention", False)
    config, bias = json.common(family), json.get("attention_bias", False)
    return replace(
        config,
        qkv_bias=bias,
        out_bias=bias,
        query_scale=(json["query_pre_attn_scalar"] / config.head_width) ** -0.5,
        local=json.local(json.raw["sliding_window"], lambda layer: (layer + 1) % period != 0, config.rope),
    )


def _with_ropes(config: DecoderConfig, of_global: RopeConfig, of_local: RopeConfig) -> DecoderConfig:
    local = None if config.local is None else replace(config.local, rope=of_local)
    return replace(config, rope=of_global, local=local)


def _gemma2_from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    return replace(
        _common_of_gguf(metadata, "gemma2", "gemma2"),
        score_cap=metadata.real("attn_logit_softcapping", 50.0),
        logit_cap=metadata.real("final_logit_softcapping", 30.0),
    )


def _gemma3_from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    config = _common_of_gguf(metadata, "gemma3_text", "gemma3")
    config = replace(config, head_norm="head", logit_cap=metadata.real("final_logit_softcapping", 0.0))
    of_global = metadata.rope(config.head_width, _GLOBAL_THETA)
    return _with_ropes(config, of_global, RopeConfig(metadata.real("rope.freq_base_swa", _LOCAL_THETA)))


def _common_of_gguf(metadata: GgufMetadata, family: str, architecture: str) -> DecoderConfig:
    config = metadata.common(family)
    by_width = config.num_layers == _SCALED_BY_WIDTH[architecture]
    scalar = config.width / config.num_heads if by_width else config.head_width
    local = metadata.local(_PERIODS[architecture], config.rope, _WINDOWS[architecture])
    return replace(config, query_scale=(scalar / config.head_width) ** -0.5, local=local)


def _text_alone(name: str) -> str | None:
    """Names of a model that sees pictures, as either generation of transformers writes them."""
    for old, new in (("language_model.model.", "model."), ("model.language_model.", "model."), ("language_model.", "")):
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name if name == "lm_head.weight" else None


_NAMES = {
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    **ATTENTION,
    **MLP,
}
_GGUF2 = GgufForm("gemma2", _gemma2_from_gguf, _NAMES)
_GGUF3 = GgufForm("gemma3", _gemma3_from_gguf, {**_NAMES, **HEAD_NORMS})
GEMMA2 = Family("gemma2", "Gemma2ForCausalLM", _gemma2_from_json, _GGUF2, Gemma, norms_less_one=True)
GEMMA3 = Family("gemma3_text", "Gemma3ForCausalLM", _gemma3_from_json, _GGUF3, Gemma, norms_less_one=True)
GEMMA3_WITH_PICTURES = Family(
    "gemma3",
    "Gemma3ForConditionalGeneration",
    _with_pictures_from_json,
    _GGUF3,
    Gemma,
    _text_alone,
    norms_less_one=True,
)
