"""Reading GGUF metadata. In: an opened file, out: the parts of a DecoderConfig that most families say in the same words.

Traps that are handled here: `rope_freqs.weight` carries the stretching of Llama 3.1; mixtures of experts call themselves
by the name of the family that they are made of.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nabot.errors import CheckpointError
from nabot.ggufio import GgufFile
from nabot.models.config import DecoderConfig, Local, RopeConfig
from nabot.models.gguf_tensors import InFile
from nabot.text import say

ROPE_FREQUENCIES = "rope_freqs.weight"
_ROPE_KINDS = ("none", "linear", "yarn")


class GgufMetadata:
    """The numbers of a file; keys are without the architecture that stands before them."""

    def __init__(self, file: GgufFile) -> None:
        self._file = file
        self._architecture = file.metadata["general.architecture"]

    @property
    def path(self) -> Path:
        """For messages."""
        return self._file.path

    def has_tensor(self, name: str) -> bool:
        return name in self._file.tensors

    def name_of(self, key: str) -> str:
        """As the file has it."""
        return f"{self._architecture}.{key}"

    def get(self, key: str, default: Any = None) -> Any:
        return self._file.metadata.get(self.name_of(key), default)

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number above 0. Raises CheckpointError if it is missing."""
        value = self.get(key, default)
        if not isinstance(value, int) or value < 1:
            raise CheckpointError(say("models.config_field_missing", path=self.path, field=self.name_of(key)))
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """Any number. Raises CheckpointError if it is missing."""
        value = self.get(key, default)
        if not isinstance(value, int | float):
            raise CheckpointError(say("models.config_field_missing", path=self.path, field=self.name_of(key)))
        return float(value)

    def refuse_unless(self, key: str, expected: object) -> None:
        """Raises CheckpointError for a key that is there with another value than the one that nabot computes."""
        seen, field = self.get(key, expected), self.name_of(key)
        if seen != expected:
            raise CheckpointError(
                say("models.unsupported_field", path=self.path, field=field, seen=seen, expected=expected)
            )

    def common(
        self, family: str, eps: str = "attention.layer_norm_rms_epsilon", rotary_width: int = 0
    ) -> DecoderConfig:
        """The decoder as nearly all families describe it; each replaces what it has otherwise.

        `eps`: the key of the norms' epsilon. `rotary_width`: how many features of a head turn; 0: all.
        """
        if self._file.metadata.get("split.count", 1) > 1:
            count = self._file.metadata["split.count"]
            raise CheckpointError(say("models.split_gguf", path=self.path, count=count))
        heads, width = self.number("attention.head_count"), self.number("embedding_length")
        head_width = self.number("attention.key_length", width // heads)
        self.refuse_unless("expert_count", 0)
        self.refuse_unless("attention.causal", True)
        self.refuse_unless("rope.dimension_count", rotary_width or head_width)
        self.refuse_unless("attention.value_length", head_width)
        embedding = self._file.tensors.get("token_embd.weight")
        return DecoderConfig(
            family=family,
            vocab_size=0 if embedding is None else embedding.shape[0],
            width=width,
            num_layers=self.number("block_count"),
            num_heads=heads,
            num_kv_heads=self.number("attention.head_count_kv", heads),
            head_width=head_width,
            mlp_width=self.number("feed_forward_length"),
            max_positions=self.number("context_length"),
            rope=self.rope(rotary_width or head_width),
            rotary_width=rotary_width,
            norm_eps=self.real(eps),
            tie_embeddings=not self.has_tensor("output.weight"),
        )

    def rope(self, head_width: int, default_theta: float = 10_000.0) -> RopeConfig:
        """Raises CheckpointError for a kind that would be computed wrongly."""
        kind = self.get("rope.scaling.type", "linear")  # llama.cpp's own default, with a factor of 1
        if kind not in _ROPE_KINDS or (kind == "yarn" and self.has_tensor(ROPE_FREQUENCIES)):
            raise CheckpointError(say("models.unknown_rope", path=self.path, seen=kind, known=", ".join(_ROPE_KINDS)))
        old_factor = self.real("rope.scale_linear", 1.0)  # the key before 2023-12
        factor = self.real("rope.scaling.factor", old_factor) if kind != "none" else 1.0
        divisors: tuple[float, ...] = ()
        if self.has_tensor(ROPE_FREQUENCIES):
            divisors = tuple(factor * divisor for divisor in self.numbers_of(ROPE_FREQUENCIES, head_width // 2))
        theta = self.real("rope.freq_base", default_theta)
        if kind == "yarn":
            return self._yarn(theta, factor)
        length = self.real("rope.scaling.attn_factor", 1.0)  # llama.cpp multiplies by it whatever the kind
        stretched = RopeConfig(theta, kind=kind, factor=factor, attention_factor=length)
        return replace(stretched, kind="llama3", divisors=divisors) if divisors else stretched

    def _yarn(self, theta: float, factor: float) -> RopeConfig:
        self.refuse_unless("rope.scaling.yarn_ext_factor", 1.0)
        self.refuse_unless("rope.scaling.yarn_log_multiplier", 0.0)
        said = self.real("rope.scaling.attn_factor", 1.0) * self.real("rope.scaling.yarn_attn_factor", 1.0)
        return RopeConfig(
            theta,
            kind="yarn",
            factor=factor,
            original_positions=self.number("rope.scaling.original_context_length", self.number("context_length")),
            beta_fast=self.real("rope.scaling.yarn_beta_fast", 32.0),
            beta_slow=self.real("rope.scaling.yarn_beta_slow", 1.0),
            attention_factor=said * (0.1 * math.log(max(factor, 1.0)) + 1),
        )

    def local(self, period: int, rope: RopeConfig | None, default_window: int = 0) -> Local | None:
        """The layers that have a window: where the file does not tell, all but every `period`-th; 0: none."""
        window, count = self.get("attention.sliding_window", default_window), self.number("block_count")
        said = self.get("attention.sliding_window_pattern", period)
        if isinstance(said, int):
            layers = tuple(said > 0 and (layer + 1) % said != 0 for layer in range(count))
        else:
            layers = tuple(bool(is_local) for is_local in said)
        if len(layers) != count:
            self.refuse_unless("attention.sliding_window_pattern", count)
        return Local(window, layers, rope) if window and any(layers) else None

    def numbers_of(self, tensor: str, count: int) -> tuple[float, ...]:
        """What a tensor holds. Raises CheckpointError unless it has that many numbers."""
        info = self._file.tensors[tensor]
        place = torch.empty(count)
        if info.shape != place.shape:
            seen, expected = list(info.shape), list(place.shape)
            raise CheckpointError(
                say("models.wrong_shape", origin=self.path, name=tensor, seen=seen, expected=expected)
            )
        InFile(self.path, info, None)(place)
        return tuple(place.tolist())
