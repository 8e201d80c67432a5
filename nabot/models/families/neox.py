"""GPT-NeoX, Pythia, Polyglot-ko (Black et al. 2022, arXiv 2204.06745). In: their files' fields.

Traps that are handled here: what a part of a head turns, and by what base, has other names in config.json than elsewhere,
and older files call the head `embed_out` and carry masks.
"""

from dataclasses import replace

from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import Family, GgufForm, without_buffers
from nabot.models.families.gguf_metadata import GgufMetadata
from nabot.models.neox import Neox


def _from_json(json: ConfigJson) -> DecoderConfig:
    json.refuse_unless("hidden_act", "gelu")
    parameters = dict(json.rope_parameters())
    part = parameters.pop("partial_rotary_factor", json.get("rotary_pct", 0.25))
    # what turns is said here; and it has all heads
    others = dict.fromkeys(("partial_rotary_factor", "rope_parameters", "rope_scaling", "num_key_value_heads"))
    config = ConfigJson({**json.raw, **others}, json.path).common("gpt_neox")
    rotary_width, bias = int(part * config.head_width), json.get("attention_bias", True)
    rope = json.rope_from(parameters, json.get("rotary_emb_base", 10_000.0)) if rotary_width else None
    config = replace(config, rope=rope, rotary_width=rotary_width, qkv_bias=bias, out_bias=bias)
    return _with_rest(config, json.get("layer_norm_eps", 1e-5), json.get("use_parallel_residual", True))


def _from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    head_width = metadata.number("embedding_length") // metadata.number("attention.head_count")
    eps, rotary_width = "attention.layer_norm_epsilon", metadata.number("rope.dimension_count", head_width)
    config = metadata.common("gpt_neox", eps, rotary_width)
    config = replace(config, qkv_bias=metadata.has_tensor("blk.0.attn_qkv.bias"))
    config = replace(config, out_bias=metadata.has_tensor("blk.0.attn_output.bias"))
    return _with_rest(config, config.norm_eps, bool(metadata.get("use_parallel_residual", True)))


def _with_rest(config: DecoderConfig, norm_eps: float, parallel: bool) -> DecoderConfig:
    return replace(config, norm_eps=norm_eps, parallel=parallel, mlp_bias=True, gated_mlp=False)


def _rename(name: str) -> str | None:
    if name.endswith(("attention.bias", "attention.masked_bias")):
        return None
    return without_buffers(name.replace("embed_out.", "lm_head."))


_GGUF = GgufForm(
    "gptneox",
    _from_gguf,
    {
        "attn_norm": "input_layernorm",
        "attn_qkv": "attention.query_key_value",
        "attn_output": "attention.dense",
        "ffn_norm": "post_attention_layernorm",
        "ffn_up": "mlp.dense_h_to_4h",
        "ffn_down": "mlp.dense_4h_to_h",
    },
    {"token_embd": "gpt_neox.embed_in", "output_norm": "gpt_neox.final_layer_norm", "output": "lm_head"},
    layers="gpt_neox.layers",
    by_kind=("attn_qkv",),
)
NEOX = Family("gpt_neox", "GPTNeoXForCausalLM", _from_json, _GGUF, Neox, _rename)
