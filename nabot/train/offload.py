"""What the backward pass needs waits in the machine's memory, not the card's. In: a decoder, out: a context for a step.

It is copied there, to pinned memory, as it is made, and back when its turn comes.
"""

import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks

from nabot.errors import ConfigError
from nabot.text import say


def refuse_without_card(device: torch.device) -> None:
    """Raises ConfigError where the activations lie in the machine's own memory already."""
    if device.type != "cuda":
        raise ConfigError(say("train.no_card", device=device.type))


def offloaded(decoder: nn.Module) -> saved_tensors_hooks:
    """Keeps what is saved for the backward pass on the host, but for the weights, which stay where they are anyway."""
    weights = {t.untyped_storage().data_ptr() for t in (*decoder.parameters(), *decoder.buffers())}
    host = save_on_cpu(pin_memory=True)

    def pack(tensor: Tensor) -> object:
        return tensor if tensor.untyped_storage().data_ptr() in weights else host.pack_hook(tensor)

    def unpack(kept: object) -> Tensor:
        return kept if isinstance(kept, Tensor) else host.unpack_hook(kept)

    return saved_tensors_hooks(pack, unpack)
