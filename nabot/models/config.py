"""The numbers that make one decoder differ from another. In: nothing, out: a frozen record.

Numbers parametrise, structure forks: what cannot be said with these fields is another decoder and another file.
"""

from dataclasses import dataclass
from typing import Literal

RopeKind = Literal["none", "linear", "llama3", "yarn"]
HeadNormKind = Literal["none", "head", "width"]


@dataclass(frozen=True)
class RopeConfig:
    """Rotary position embedding (Su et al. 2021) and how its frequencies are stretched beyond the trained length.

    "none": as trained; "linear": positions divided by `factor` (Chen et al. 2023); "llama3": low frequencies divided by
    `factor`, high ones kept, a smooth passage between (Llama 3.1, `original_positions` = trained length); "yarn": the same
    with another passage, set by `beta_fast` and `beta_slow` (Peng et al. 2023, arXiv 2309.00071 §3.2). `divisors`, one for
    each frequency, is such a thing precomputed, as GGUF files carry it; it wins over the numbers. `attention_factor`
    lengthens what is turned.
    """

    theta: float = 10_000.0
    kind: RopeKind = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_positions: int = 8192
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 1.0
    divisors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Local:
    """Layers whose tokens see no further back than `window` of them, themselves included."""

    window: int
    layers: tuple[bool, ...]  # for each, whether it is one
    rope: RopeConfig | None  # theirs; None: they do not turn


@dataclass(frozen=True)
class DecoderConfig:
    """Shapes and constants of a decoder; `width` is D, `mlp_width` F, `head_width` E of `nabot.shapes`.

    `rope`: of the layers that see everything; None: they do not turn. `head_norm`: whether queries and keys are normed,
    head by head or all heads as one. `fused`: q, k and v are one module, and so are gate and up. `query_scale`: of the
    queries, before the E^-½ of all scores. Caps hold scores and logits within ± so much, by tanh; 0: they are as they are.
    `rotary_width`: how many features of a head turn; 0: all. `alibi`: of scores that fall with distance, the exponent of
    the flattest slope; 0: they do not. `clip_qkv`: q, k and v are cut off at ± so much; 0: they are not. `parallel`: the
    MLP reads what attention reads, instead of its sum with what attention gives. `first_new_token`: ids from it on were added
    by `nabot tokenizer extend`; 0: none were.
    """

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    mlp_width: int
    max_positions: int
    rope: RopeConfig | None = RopeConfig()
    local: Local | None = None
    norm_eps: float = 1e-6
    tie_embeddings: bool = False
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_norm: HeadNormKind = "none"
    fused: bool = False
    query_scale: float = 1.0
    score_cap: float = 0.0
    logit_cap: float = 0.0
    rotary_width: int = 0
    alibi: float = 0.0
    clip_qkv: float = 0.0
    parallel: bool = False
    gated_mlp: bool = True
    first_new_token: int = 0
    family: str = "llama"  # `Family.model_type`: what the files call it and which decoder computes it

    def rope_of(self, layer: int) -> RopeConfig | None:
        """How a layer turns its queries and keys."""
        return self.local.rope if self.local is not None and self.local.layers[layer] else self.rope

    @property
    def num_parameters(self) -> int:
        """Weights of the decoder; biases, and the norms that a few families have more, left out."""
        attention = 2 * self.width * (self.num_heads + self.num_kv_heads) * self.head_width
        layer = attention + (3 if self.gated_mlp else 2) * self.width * self.mlp_width + 2 * self.width
        heads = {"none": 0, "head": 2, "width": self.num_heads + self.num_kv_heads}[self.head_norm]
        layer += heads * self.head_width
        embeddings = self.vocab_size * self.width * (1 if self.tie_embeddings else 2)
        return self.num_layers * layer + embeddings + self.width
