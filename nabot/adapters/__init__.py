"""What learns: put on a decoder from outside, taken off again, saved in PEFT's layout.

`attach(decoder, LoraConfig(rank=8))` swaps linear groups for groups that learn, `VirtualConfig` puts virtual tokens
before every conversation or into it, `WholeConfig` lets the weights themselves learn. `save_adapter` and
`load_adapter` are inverse; `fuse` writes what LoRA has learned into the weights, `unfuse` takes it out again.
"""

from nabot.adapters.combining import combine
from nabot.adapters.fusing import fuse, unfuse
from nabot.adapters.lora import LoraConfig, lora_groups, set_dropout
from nabot.adapters.methods import (
    METHODS,
    AdapterConfig,
    attach,
    detach,
    kind_of_rate,
    mean_the_same,
    method_of,
    put_on,
)
from nabot.adapters.peft_files import adapter_tensors, has_learned, load_adapter, save_adapter, set_adapter_tensors
from nabot.adapters.virtual import VirtualConfig, question_ids, virtual_tokens
from nabot.adapters.whole import WholeConfig

__all__ = [
    "METHODS",
    "AdapterConfig",
    "LoraConfig",
    "VirtualConfig",
    "WholeConfig",
    "adapter_tensors",
    "attach",
    "combine",
    "detach",
    "fuse",
    "has_learned",
    "kind_of_rate",
    "load_adapter",
    "lora_groups",
    "mean_the_same",
    "method_of",
    "put_on",
    "question_ids",
    "save_adapter",
    "set_adapter_tensors",
    "set_dropout",
    "unfuse",
    "virtual_tokens",
]
