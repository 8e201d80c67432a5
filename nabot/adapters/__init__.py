"""What learns: put on a decoder from outside, taken off again, saved in PEFT's layout.

`attach(decoder, LoraConfig(rank=8))` swaps linear groups for groups that learn; `save_adapter` and `load_adapter` are
inverse; `fuse` adds what was learned into the weights.
"""

from nabot.adapters.lora import LoraConfig, attach, detach, fuse, lora_groups, set_dropout, shape_of
from nabot.adapters.peft_files import adapter_tensors, has_learned, load_adapter, save_adapter, set_adapter_tensors

__all__ = [
    "LoraConfig",
    "adapter_tensors",
    "attach",
    "detach",
    "fuse",
    "has_learned",
    "load_adapter",
    "lora_groups",
    "save_adapter",
    "set_adapter_tensors",
    "set_dropout",
    "shape_of",
]
