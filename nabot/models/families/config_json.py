"""Reading config.json. In: its fields, out: the parts of a DecoderConfig that most families say in the same words.

Traps that are handled here: transformers 5 writes `rope_parameters`, older ones `rope_scaling` and `rope_theta`; the kind
of a rope stands under `rope_type` or `type`.
"""

import math
from collections.abc import Callable, Mapping, Sized
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

    def refuse_length(self, field: str, seen: Sized, expected: int) -> None:
        """The same for a list that has not one entry for each of `expected` things."""
        if len(seen) != expected:
            self._refuse(field, len(seen), expected)

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
        return self.rope_from(self.rope_parameters())

    def rope_parameters(self) -> Mapping[str, Any]:
        """The table of the rope, under either name. Raises CheckpointError if both are there and say different things."""
        new: Mapping[str, Any] = self.get("rope_parameters", {})
        old: Mapping[str, Any] = self.get("rope_scaling", {})
        if new and old and {**new, **old} != new:
            self._refuse("rope_scaling", old, new)
        return new or old

    def rope_from(self, parameters: Mapping[str, Any], theta: float = 10_000.0) -> RopeConfig:
        """The same from a table of its own; `theta`: where neither it nor config.json says one."""
        kind = parameters.get("rope_type") or parameters.get("type") or "default"
        if kind not in _ROPE_KINDS:
            known = ", ".join(sorted(_ROPE_KINDS))
            raise CheckpointError(say("models.unknown_rope", path=self.path, seen=kind, known=known))
        table = ConfigJson(parameters, self.path)
        for field, computed in (("truncate", True), ("partial_rotary_factor", 1.0)):
            table.refuse_unless(field, computed)
        layers = next((key for key in _LAYER_TYPES if key in parameters), None)
        if layers is not None:
            self._refuse("rope_parameters", layers, "rope_type")
        factor, original = self._factor(kind, table), self._original_positions(table)
        return RopeConfig(
            theta=float(table.get("rope_theta") or self.get("rope_theta", theta)),
            kind=_ROPE_KINDS[kind],  # type: ignore[arg-type]
            factor=factor,
            low_freq_factor=float(table["low_freq_factor"]) if kind == "llama3" else 1.0,
            high_freq_factor=float(table["high_freq_factor"]) if kind == "llama3" else 4.0,
            original_positions=original,
            beta_fast=float(table.get("beta_fast") or 32.0),
            beta_slow=float(table.get("beta_slow") or 1.0),
            attention_factor=_attention_factor(parameters, factor) if kind == "yarn" else 1.0,
        )

    def _factor(self, kind: str, table: "ConfigJson") -> float:
        """Raises KeyError where a kind that stretches does not say by how much."""
        if _ROPE_KINDS[kind] == "none":
            return 1.0
        if kind == "yarn" and table.get("factor") is None and self.get("max_position_embeddings"):
            return float(self["max_position_embeddings"]) / self._original_positions(table)
        return float(table["factor"])

    def _original_positions(self, table: "ConfigJson") -> int:
        return int(table.get("original_max_position_embeddings") or self._trained_positions())

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
        self.refuse_length("layer_types", layers, count)
        return Local(window, layers, rope) if window and any(layers) else None


def _attention_factor(parameters: Mapping[str, Any], factor: float) -> float:
    """Of yarn.   Source: Peng et al. 2023, arXiv 2309.00071 §3.4; the two `mscale` are DeepSeek's."""
    said = parameters.get("attention_factor")
    if said is not None:
        return float(said)
    logarithm = 0.1 * math.log(max(factor, 1.0))
    above, below = parameters.get("mscale"), parameters.get("mscale_all_dim")
    if above and below:
        return (above * logarithm + 1) / (below * logarithm + 1)
    return logarithm + 1
