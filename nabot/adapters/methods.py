"""Every way to tune, behind two functions. In: a decoder and what kind of adapter, out: the decoder with or without it."""

from collections.abc import Sequence

from nabot.adapters.lora import LoraConfig, attach_lora, detach_lora
from nabot.adapters.virtual import VirtualConfig, attach_virtual
from nabot.adapters.whole import WholeConfig, attach_whole, detach_whole
from nabot.models.decoder import Decoder

METHODS = ("lora", "prefix", "prompt", "ptuning", "full", "freeze")
AdapterConfig = LoraConfig | VirtualConfig | WholeConfig


def attach(decoder: Decoder, config: AdapterConfig, text: Sequence[int] = ()) -> None:
    """Puts a fresh adapter on the decoder; it answers as before until it learns, but for virtual tokens (`text`).

    Draws from torch's RNG. Raises ConfigError if the settings do not fit the decoder, or an adapter is attached already.
    """
    if isinstance(config, LoraConfig):
        attach_lora(decoder, config)
    elif isinstance(config, VirtualConfig):
        attach_virtual(decoder, config, text)
    else:
        attach_whole(decoder, config)


def detach(decoder: Decoder) -> None:
    """Takes off whatever is attached. Weights that have learned stay as they are."""
    detach_lora(decoder)
    detach_whole(decoder)
    decoder.beginning = None


def method_of(config: AdapterConfig) -> str:
    """Its name among METHODS."""
    if isinstance(config, VirtualConfig):
        return config.method
    if isinstance(config, WholeConfig):
        return "freeze" if config.top_layers else "full"
    return "lora"


def positions_of(config: AdapterConfig) -> int:
    """How many positions it takes away from every conversation."""
    return config.virtual_tokens if isinstance(config, VirtualConfig) else 0
