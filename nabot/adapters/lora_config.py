"""What LoRA adapts and how much. In: nothing, out: a frozen record whose fields are flat keys of `--set`."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nabot.adapters.targets import ALL_LINEAR


@dataclass(frozen=True)
class LoraConfig:
    """What to adapt and how much; the words are PEFT's, so that its files say the same.

    `targets`: "all-linear" (every linear but the head), member names separated by commas ("q_proj,v_proj"), or
    "/regex/" over full module names. `rank_pattern`, `alpha_pattern`: other values for modules whose name ends in the
    key (a regex), e.g. {"layers.0.self_attn.q_proj": 4}. `layers`: numbers from 0, "8-29" or "0,1,5"; "": all.
    """

    rank: int = 16
    alpha: float = 32.0  # alpha / rank = 2 keeps the learning rate right when the rank changes
    dropout: float = 0.0
    targets: str = ALL_LINEAR  # Dettmers et al. 2023, §4: all linears matter more than the rank
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    layers: str = ""  # the way back ends at the lowest of them
    rslora: bool = False  # scale alpha / √rank, so that high ranks learn, too (Kalajdzievski 2023, arXiv 2312.03732)
    bias: Literal["none", "lora_only", "all"] = "none"  # which of the model's own biases learn, too
    lora_start: Literal["random", "pissa"] = "random"  # pissa: W's own largest parts (Meng et al. 2024, 2404.02948)
    save_whole: str = ""  # "embed_tokens,lm_head" or one of them: learn wholly beside, see `ends.py`
    dora: bool = False  # the length of every row of W learns apart from its direction (Liu et al. 2024, 2402.09353)

    def rank_of(self, name: str) -> int:
        """Rank of the module with this full name."""
        return int(_pattern_value(self.rank_pattern, name, self.rank))

    def alpha_of(self, name: str) -> float:
        """alpha of the module with this full name."""
        return float(_pattern_value(self.alpha_pattern, name, self.alpha))

    def scale_of(self, name: str) -> float:
        """What B A is multiplied by in the module with this full name."""
        rank = self.rank_of(name)
        return self.alpha_of(name) / (math.sqrt(rank) if self.rslora else rank)


def _pattern_value(pattern: Mapping[str, Any], name: str, default: Any) -> Any:
    return next((v for key, v in pattern.items() if re.fullmatch(rf"(.*\.)?({key})", name)), default)
