"""The numbers that make one LLaMA-family decoder differ from another. In: nothing, out: a frozen record.

Numbers parametrise, structure forks: what cannot be said with these fields is another architecture and another file.
"""

from dataclasses import dataclass
from typing import Literal

RopeKind = Literal["none", "linear", "llama3"]


@dataclass(frozen=True)
class RopeConfig:
    """Rotary position embedding (Su et al. 2021) and how its frequencies are stretched beyond the trained length.

    "none": as trained; "linear": positions divided by `factor` (Chen et al. 2023); "llama3": low frequencies divided by
    `factor`, high ones kept, a smooth passage between (Llama 3.1, `original_positions` = trained length). `divisors`,
    one for each frequency, is the same thing precomputed, as GGUF files carry it; it wins over the three numbers.
    """

    theta: float = 10_000.0
    kind: RopeKind = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 8192
    divisors: tuple[float, ...] = ()


@dataclass(frozen=True)
class DecoderConfig:
    """Shapes and constants of a decoder; `width` is D, `mlp_width` F, `head_width` E of `nabot.shapes`."""

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    mlp_width: int
    max_positions: int
    rope: RopeConfig = RopeConfig()
    norm_eps: float = 1e-6
    tie_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False

    @property
    def num_parameters(self) -> int:
        """Weights of the decoder, biases left out."""
        attention = 2 * self.width * (self.num_heads + self.num_kv_heads) * self.head_width
        layer = attention + 3 * self.width * self.mlp_width + 2 * self.width
        embeddings = self.vocab_size * self.width * (1 if self.tie_embeddings else 2)
        return self.num_layers * layer + embeddings + self.width
