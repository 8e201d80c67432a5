"""Reading config.json. In: its fields, out: the parts of a DecoderConfig that most families say in the same words.

Traps that are handled here: transformers 5 writes `rope_parameters`, older ones `rope_scaling` and `rope_theta`; the kind
of a rope stands under `rope_type` or `type`.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from nabot.errors import CheckpointError
from nabot.models.config import DecoderConfig, Local, RopeConfig
from nabot.text import say

# "dynamic" raises its base for documents that are longer than `max_position_embeddings`, and those nabot does not read.
_ROPE_KINDS = {
    "default": "none",
    "none": "none",
    "dynamic": "none",
    "linear": "linear",
    "llama3": "llama3",
    "yarn": "yarn",
}
_LAYER_TYPES = ("full_attention", "sliding_attention")


class ConfigJson:
    """A parsed config.json; `path` is for messages. A field that is missing raises KeyError."""

    def __init__(self, raw: Mapping[str, Any], path: Path) -> None:
        self.raw, self.path = raw, path

    def __getitem__(self, field: str) -> Any:
        return self.raw[field]

    def get(self, field: str, default: Any = None) -> Any:
        """The field; the default where it is missing or null."""
        value = self.raw.get(field)
        return default if value is None else value

    def refuse_unless(self, field: str, expected: object) -> None:
        """Raises CheckpointError for a field that is there with another value than the one that nabot computes."""
        seen = self.get(field, expected)
        if seen != expected:
            self._refuse(field, seen, expected)

    def _refuse(self, field: str, seen: object, expected: object) -> NoReturn:
        raise CheckpointError(
            say("models.unsupported_field", path=self.path, field=field, seen=seen, expected=expected)
        )

    def common(self, family: str) -> DecoderConfig:
        """The decoder as nearly all families describe it; each replaces what it has otherwise. No activation is checked."""
        self.refuse_unless("quantization_config", None)
        self.refuse_unless("partial_rotary_factor", 1.0)
        heads = self["num_attention_heads"]
        return DecoderConfig(
            family=family,
            vocab_size=self["vocab_size"],
            width=self["hidden_size"],
            num_layers=self["num_hidden_layers"],
            num_heads=heads,
            num_kv_heads=self.get("num_key_value_heads", heads),
            head_width=self.get("head_dim", self["hidden_size"] // heads),
            mlp_width=self["intermediate_size"],
            max_positions=self.get("max_position_embeddings", 2048),
            rope=self.rope(),
            norm_eps=self.get("rms_norm_eps", 1e-6),
            tie_embeddings=self.get("tie_word_embeddings", False),
        )

    def rope(self) -> RopeConfig:
        """Raises CheckpointError for a kind that would be computed wrongly."""
        return self.rope_from(self.get("rope_parameters", self.get("rope_scaling", {})))

    def rope_from(self, parameters: Mapping[str, Any], theta: float = 10_000.0) -> RopeConfig:
        """The same from a table of its own; `theta`: where neither it nor config.json says one."""
        kind = parameters.get("rope_type") or parameters.get("type") or "default"
        if kind not in _ROPE_KINDS:
            known = ", ".join(sorted(_ROPE_KINDS))
            raise CheckpointError(say("models.unknown_rope", path=self.path, seen=kind, known=known))
        if not parameters.get("truncate", True):
            self._refuse("truncate", False, True)
        return RopeConfig(
            theta=float(parameters.get("rope_theta") or self.get("rope_theta", theta)),
            kind=_ROPE_KINDS[kind],  # type: ignore[arg-type]
            factor=float(parameters.get("factor", 1.0)),
            low_freq_factor=float(parameters.get("low_freq_factor", 1.0)),
            high_freq_factor=float(parameters.get("high_freq_factor", 4.0)),
            original_positions=int(parameters.get("original_max_position_embeddings") or self._trained_positions()),
            beta_fast=float(parameters.get("beta_fast") or 32.0),
            beta_slow=float(parameters.get("beta_slow") or 1.0),
            attention_factor=_attention_factor(parameters) if kind == "yarn" else 1.0,
        )

    def _trained_positions(self) -> int:
        return int(self.get("original_max_position_embeddings", self.get("max_position_embeddings", 2048)))

    def local(self, window: int | None, is_local: Callable[[int], bool], rope: RopeConfig | None) -> Local | None:
        """The layers that have a window: those of `layer_types` or, where there is no such field, of `is_local`."""
        count = self["num_hidden_layers"]
        kinds = self.get("layer_types")
        unknown = next((kind for kind in kinds or () if kind not in _LAYER_TYPES), None)
        if unknown is not None:
            self._refuse("layer_types", unknown, " / ".join(_LAYER_TYPES))
        layers = tuple(kind == _LAYER_TYPES[1] for kind in kinds) if kinds else tuple(map(is_local, range(count)))
        if len(layers) != count:
            self._refuse("layer_types", len(layers), count)
        return Local(window, layers, rope) if window and any(layers) else None


def _attention_factor(parameters: Mapping[str, Any]) -> float:
    """Of yarn.   Source: Peng et al. 2023, arXiv 2309.00071 §3.4; the two `mscale` are DeepSeek's."""
    said = parameters.get("attention_factor")
    if said is not None:
        return float(said)
    logarithm = 0.1 * math.log(max(float(parameters.get("factor", 1.0)), 1.0))
    above, below = parameters.get("mscale"), parameters.get("mscale_all_dim")
    if above and below:
        return (above * logarithm + 1) / (below * logarithm + 1)
    return logarithm + 1
