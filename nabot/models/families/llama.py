"""LLaMA 1, 2, 3.x and all that calls itself so (Touvron et al. 2023, arXiv 2302.13971). In: its files' fields."""

from dataclasses import replace

from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import ATTENTION, MLP, NORMS_BEFORE, Family, GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata


def _from_json(json: ConfigJson) -> DecoderConfig:
    json.refuse_unless("hidden_act", "silu")
    bias = json.get("attention_bias", False)
    return replace(json.common("llama"), qkv_bias=bias, out_bias=bias, mlp_bias=json.get("mlp_bias", False))


def _from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    return replace(
        metadata.common("llama"),
        qkv_bias=metadata.has_tensor("blk.0.attn_q.bias"),
        out_bias=metadata.has_tensor("blk.0.attn_output.bias"),
        mlp_bias=metadata.has_tensor("blk.0.ffn_gate.bias"),
    )


LLAMA_GGUF = GgufForm("llama", _from_gguf, {**NORMS_BEFORE, **ATTENTION, **MLP}, in_pairs=("attn_q", "attn_k"))
LLAMA = Family("llama", "LlamaForCausalLM", _from_json, LLAMA_GGUF)
