"""The weights themselves learn: all of them, or those of the top layers. In: a decoder, out: the same, trainable.

Not an adapter, but compared with them: what is saved is every weight that learned, under its Hugging Face name, in the
dtype that it computed with: that is what the held-out loss was measured on. Where it had a finer master
(`nabot/train/masters.py`), the digits beyond that stay in the run's checkpoints.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nabot.adapters.filling import fill
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder, Norm
from nabot.models.linear import LinearGroup, linear_groups
from nabot.models.packed import PackedGroup
from nabot.text import say

TYPES = ("NABOT_WEIGHTS",)  # PEFT has no such layout


@dataclass(frozen=True)
class WholeConfig:
    """`top_layers`: how many layers learn, counted from the top, with the last norm; 0: everything does."""

    top_layers: int = 0


def attach_whole(decoder: Decoder, config: WholeConfig) -> None:
    """Lets the weights learn. Raises ConfigError if there are fewer layers, or if the weights are packed."""
    if config.top_layers > len(decoder.layers):
        allowed = say("settings.at_most", most=len(decoder.layers))
        raise ConfigError(say("settings.bad_value", key="top_layers", value=config.top_layers, allowed=allowed))
    _let_learn(decoder, config)


def _let_learn(decoder: Decoder, config: WholeConfig) -> None:
    packed = next((group for _, _, group in linear_groups(decoder) if isinstance(group, PackedGroup)), None)
    if packed is not None:
        raise ConfigError(say("models.packed_frozen", name=packed.path))
    for part in _parts(decoder, config.top_layers):
        part.requires_grad_(True)


def detach_whole(decoder: Decoder) -> None:
    """No weight learns any more; what has been learned stays."""
    for module in (decoder, *_weighted(decoder)):
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)


def is_attached(decoder: Decoder) -> bool:
    return bool(tensors_of(decoder))


def tensors_of(decoder: Decoder) -> dict[str, Tensor]:
    """Hugging Face name → weight, of the weights that learn; views, not copies."""
    learning = [m for m in _weighted(decoder) if not isinstance(m, PackedGroup) and m.weight.requires_grad]
    found = dict(slot for module in learning for slot in module.slots())
    if decoder.embedding.requires_grad:
        found[decoder.embedding_name] = decoder.embedding.data
    return found


def has_learned(decoder: Decoder) -> bool:
    return True  # nothing is kept that the weights could be compared with


def config_json(decoder: Decoder) -> dict[str, Any]:
    everything = decoder.embedding.requires_grad
    top_layers = 0 if everything else sum(next(block.parameters()).requires_grad for block in decoder.layers)
    return {"peft_type": TYPES[0], "top_layers": top_layers}


def load(decoder: Decoder, raw: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> WholeConfig:
    """Puts the weights in place of the base's. Raises CheckpointError naming the tensor; then nothing is changed."""
    config = WholeConfig(top_layers=raw.get("top_layers", 0))
    if not isinstance(config.top_layers, int) or not 0 <= config.top_layers <= len(decoder.layers):
        raise CheckpointError(say("adapters.bad_config", path=folder, reason=f"top_layers {config.top_layers!r:.40}"))
    _let_learn(decoder, config)
    try:
        fill(tensors_of(decoder), tensors, folder)
    except CheckpointError:
        detach_whole(decoder)
        raise
    for _, _, group in linear_groups(decoder):
        group.note_change()
    return config


def _parts(decoder: Decoder, top_layers: int) -> list[nn.Module]:
    return [*decoder.layers[-top_layers:], decoder.norm] if top_layers else [decoder]


def _weighted(decoder: Decoder) -> list[LinearGroup | Norm]:
    return [module for module in decoder.modules() if isinstance(module, LinearGroup | Norm)]
