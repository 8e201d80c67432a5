"""OLMo 2 (arXiv 2501.00656): norms behind, and queries and keys normed as wholes. In: its files' fields."""

from dataclasses import replace

from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import ATTENTION, HEAD_NORMS, MLP, NORMS_AFTER, Family, GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata
from nabot.models.norms_after import NormsAfter


def _from_json(json: ConfigJson) -> DecoderConfig:
    json.refuse_unless("hidden_act", "silu")
    bias = json.get("attention_bias", False)
    eps = json.get("rms_norm_eps", 1e-5)
    return replace(json.common("olmo2"), qkv_bias=bias, out_bias=bias, head_norm="width", norm_eps=eps)


def _from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    metadata.refuse_unless("attention.sliding_window", 0)  # OLMo 3 goes by this name, too
    return replace(metadata.common("olmo2"), head_norm="width")


_NAMES = {**NORMS_AFTER, **ATTENTION, **MLP, **HEAD_NORMS}
OLMO2 = Family("olmo2", "Olmo2ForCausalLM", _from_json, GgufForm("olmo2", _from_gguf, _NAMES), NormsAfter)
