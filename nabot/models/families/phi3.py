"""Phi-3 and those built like it (Abdin et al. 2024, arXiv 2404.14219): fused modules. In: their files' fields.

Those for 128k tokens stretch their rotation by "longrope": one set of divisors up to the length that was trained first,
another beyond, so that keys of a growing document would change. nabot keeps to the first set, and reads no further.
"""

import math
from dataclasses import replace

from nabot.models.config import DecoderConfig, RopeConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import NORMS_BEFORE, Family, GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata

_SHORT, _LONG = "rope_factors_short.weight", "rope_factors_long.weight"


def _from_json(json: ConfigJson) -> DecoderConfig:
    json.refuse_unless("hidden_act", "silu")
    json = ConfigJson({"rms_norm_eps": 1e-5, **json.raw}, json.path)
    parameters = json.rope_parameters()
    kind = parameters.get("rope_type") or parameters.get("type")
    if kind not in ("longrope", "su", "yarn"):  # all three mean this, says transformers
        config = json.common("phi3")
    else:
        plain = {**parameters, "rope_type": "default"}
        common = ConfigJson({**json.raw, "rope_parameters": plain, "rope_scaling": None}, json.path).common("phi3")
        first = json["original_max_position_embeddings"]
        stretch = parameters.get("factor") or common.max_positions / first
        factor = parameters.get("attention_factor") or _attention_factor(stretch, first)
        short = tuple(map(float, parameters["short_factor"]))
        json.refuse_length("short_factor", short, common.head_width // 2)
        config = _within(common, first, short, factor)
    return replace(config, fused=True, local=json.local(json.get("sliding_window"), lambda layer: True, config.rope))


def _from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    config = metadata.common("phi3")
    if metadata.has_tensor(_SHORT):
        first = metadata.number("rope.scaling.original_context_length")
        short = metadata.numbers_of(_SHORT, config.head_width // 2)
        factor = metadata.real("rope.scaling.attn_factor", 1.0)
        config = _within(config, first, short, factor)
    return replace(config, fused=True, local=metadata.local(config.num_layers + 1, config.rope))


def _within(config: DecoderConfig, first: int, short: tuple[float, ...], factor: float) -> DecoderConfig:
    assert config.rope is not None
    rope = RopeConfig(config.rope.theta, divisors=short, attention_factor=factor)
    return replace(config, rope=rope, max_positions=min(first, config.max_positions))


def _attention_factor(stretch: float, first: int) -> float:
    """Source: transformers, `_compute_longrope_parameters`."""
    return math.sqrt(1 + math.log(stretch) / math.log(first)) if stretch > 1 else 1.0


_NAMES = {
    **NORMS_BEFORE,
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_up": "mlp.gate_up_proj",
    "ffn_down": "mlp.down_proj",
}
PHI3 = Family("phi3", "Phi3ForCausalLM", _from_json, GgufForm("phi3", _from_gguf, _NAMES, no_weights=(_SHORT, _LONG)))
