"""What nabot has to know about an architecture. In: nothing, out: the record that each family fills in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nabot.models.config import DecoderConfig
from nabot.models.decoder import Decoder
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.gguf_metadata import ROPE_FREQUENCIES, GgufMetadata

TOP: Mapping[str, str] = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
ATTENTION: Mapping[str, str] = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
}
MLP: Mapping[str, str] = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
NORMS_BEFORE: Mapping[str, str] = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}

NORMS_AFTER: Mapping[str, str] = {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
HEAD_NORMS: Mapping[str, str] = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}


@dataclass(frozen=True)
class GgufForm:
    """A family in GGUF files. Names are without their ending (".weight"), ours as Hugging Face's modules have them.

    `in_layer`: "attn_q" of "blk.3.attn_q" → what follows "{layers}.3." here. `in_pairs`: those whose rows llama.cpp keeps
    as neighbouring pairs instead of the two halves of a head; only architecture `llama` has any. `by_kind`: those that hold
    all queries, then all keys, then all values there, and head by head here.
    """

    architecture: str  # general.architecture
    read: Callable[[GgufMetadata], DecoderConfig]
    in_layer: Mapping[str, str]
    top: Mapping[str, str] = field(default_factory=lambda: TOP)
    layers: str = "model.layers"
    in_pairs: tuple[str, ...] = ()
    by_kind: tuple[str, ...] = ()
    no_weights: tuple[str, ...] = (ROPE_FREQUENCIES,)  # tensors that the metadata's reader takes


def without_buffers(name: str) -> str | None:
    """Old checkpoints carry what is computed from the config."""
    return None if name.endswith("rotary_emb.inv_freq") else name


@dataclass(frozen=True)
class Family:
    """One architecture. `read` raises CheckpointError for what nabot would compute wrongly, KeyError for a lacking field.

    `rename`: tensor name in a safetensors file → our slot, or None for what is no weight of the decoder.
    """

    model_type: str  # of config.json, and `DecoderConfig.family`
    architecture: str  # the class that config.json names
    read: Callable[[ConfigJson], DecoderConfig]
    gguf: GgufForm | None = None
    decoder: type[Decoder] = Decoder
    rename: Callable[[str], str | None] = without_buffers
    norms_less_one: bool = False  # safetensors hold norm weights minus 1; GGUF has them as they are multiplied
