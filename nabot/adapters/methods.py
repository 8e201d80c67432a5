"""Every way to tune, behind two functions. In: a decoder and what kind of adapter, out: the decoder with or without it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from nabot.adapters.ends import End, attach_ends, end_places, meant_ends
from nabot.adapters.lora import LoraConfig, LoraGroup, attach_lora, lora_places, shape_of
from nabot.adapters.targets import end_names
from nabot.adapters.virtual import VirtualConfig, VirtualTokens, attach_virtual, virtual_places, virtual_tokens
from nabot.adapters.whole import WholeConfig, attach_whole, detach_whole
from nabot.adapters.whole import tensors_of as weights_that_learn
from nabot.errors import ConfigError
from nabot.models.decoder import Decoder
from nabot.text import say

METHODS = ("lora", "prefix", "prompt", "ptuning", "full", "freeze")
AdapterConfig = LoraConfig | VirtualConfig | WholeConfig
Place = tuple[nn.Module, str, LoraGroup | End]  # owner, attribute, and what stands there in place of its `base`


@dataclass(frozen=True)
class Detached:
    """What was taken off a decoder, to be put on the same one again without a file: a switch between adapters."""

    places: tuple[Place | tuple[nn.Module, str, VirtualTokens], ...]


def attach(decoder: Decoder, config: AdapterConfig, text: Sequence[int] = ()) -> None:
    """Puts a fresh adapter on the decoder; it answers as before until it learns, but for virtual tokens (`text`).

    Draws from torch's RNG. Raises ConfigError if the settings do not fit the decoder, or an adapter is attached already.
    """
    refuse_second(decoder)
    if isinstance(config, LoraConfig):
        ends = end_names(config.save_whole)  # before anything is attached
        attach_lora(decoder, config)
        attach_ends(decoder, ends)
    elif isinstance(config, VirtualConfig):
        attach_virtual(decoder, config, text)
    else:
        attach_whole(decoder, config)


def detach(decoder: Decoder) -> Detached:
    """Takes off whatever is attached. Weights that have learned stay as they are."""
    taken = Detached((*places(decoder), *virtual_places(decoder)))
    for owner, attribute, part in taken.places:
        setattr(owner, attribute, part.base)
    detach_whole(decoder)
    return taken


def places(decoder: Decoder) -> list[Place]:
    """What LoRA has put in the place of something else."""
    return [*lora_places(decoder), *end_places(decoder)]


def put_on(decoder: Decoder, adapter: Detached) -> None:
    """The inverse of `detach`. Raises ConfigError if another adapter is attached."""
    refuse_second(decoder)
    for owner, attribute, part in adapter.places:
        setattr(owner, attribute, part)


def is_attached(decoder: Decoder) -> bool:
    """Whether anything is."""
    return virtual_tokens(decoder) is not None or bool(places(decoder) or weights_that_learn(decoder))


def refuse_second(decoder: Decoder) -> None:
    """Raises ConfigError if an adapter is attached already."""
    if is_attached(decoder):
        raise ConfigError(say("adapters.attached_already"))


def method_of(config: AdapterConfig) -> str:
    """Its name among METHODS."""
    if isinstance(config, VirtualConfig):
        return config.method
    if isinstance(config, WholeConfig):
        return "freeze" if config.top_layers else "full"
    return "lora"


def mean_the_same(decoder: Decoder, one: LoraConfig, other: LoraConfig) -> bool:
    """Whether they attach the same, in whatever words. Raises ConfigError if a target or an end names nothing."""
    ends = [meant_ends(decoder, end_names(config.save_whole)) for config in (one, other)]
    return ends[0] == ends[1] and shape_of(decoder, one) == shape_of(decoder, other)


def kind_of_rate(config: AdapterConfig) -> str:
    """Whose learning rate suits it: a network that writes virtual tokens wants a far lower one than their rows."""
    if not isinstance(config, VirtualConfig):
        return method_of(config)
    if config.chosen_encoder() != "none":
        return "network"
    return "prefix" if config.method == "prefix" else "prompt"
