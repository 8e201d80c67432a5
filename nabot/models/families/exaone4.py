"""EXAONE 4 (arXiv 2507.11407): norms behind, heads normed, local layers that turn and global ones that do not.

In: its files' fields. Without a window (the 1.2B) every layer is global, and turns.
"""

from dataclasses import replace

from nabot.models.config import DecoderConfig, Local
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import ATTENTION, HEAD_NORMS, MLP, NORMS_AFTER, Family, GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata
from nabot.models.norms_after import NormsAfter

_PERIOD = 4  # three local layers, then a global one


def _from_json(json: ConfigJson) -> DecoderConfig:
    json.refuse_unless("hidden_act", "silu")
    config = replace(json.common("exaone4"), norm_eps=json.get("rms_norm_eps", 1e-5))
    window = json.raw.get("sliding_window", 4096)
    pattern = json.get("sliding_window_pattern", _PERIOD)  # a number, or "LLLG"
    letters = pattern if isinstance(pattern, str) else "L" * (pattern - 1) + "G"
    local = json.local(window, lambda layer: letters[layer % len(letters)] == "L", config.rope)
    return _hybrid(config, window, local)


def _from_gguf(metadata: GgufMetadata) -> DecoderConfig:
    config = metadata.common("exaone4")
    return _hybrid(config, metadata.get("attention.sliding_window", 0), metadata.local(_PERIOD, config.rope))


def _hybrid(config: DecoderConfig, window: int | None, local: Local | None) -> DecoderConfig:
    return replace(config, head_norm="head", rope=None if window else config.rope, local=local)


_NAMES = {**NORMS_AFTER, **ATTENTION, **MLP, **HEAD_NORMS}
EXAONE4 = Family("exaone4", "Exaone4ForCausalLM", _from_json, GgufForm("exaone4", _from_gguf, _NAMES), NormsAfter)
