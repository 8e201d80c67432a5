"""A model folder or .gguf file → a decoder with its weights. In: a path, out: Decoder.

Weights are unpacked where they stay, in the dtype they will be computed in: the peak is the model and a few MB.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from nabot.errors import CheckpointError
from nabot.models import gguf, huggingface
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Decoder
from nabot.models.stored import StoredTensor
from nabot.text import say


def load_decoder(model: Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Decoder:
    """The decoder in `model`, frozen, in evaluation mode. Raises CheckpointError naming file and tensor."""
    if model.suffix == ".gguf":
        file, config = gguf.open_model(model)
        tensors = gguf.read_tensors(file, config)
    else:
        config = huggingface.read_config(model)
        tensors = huggingface.read_tensors(model, tied=config.tie_embeddings)
    decoder = empty_decoder(config, dtype=dtype, device=device)
    fill(decoder, tensors, model)
    return decoder.eval()


def read_decoder_config(model: Path) -> DecoderConfig:
    """The shapes alone, without weights."""
    return gguf.open_model(model)[1] if model.suffix == ".gguf" else huggingface.read_config(model)


def empty_decoder(config: DecoderConfig, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> Decoder:
    """A decoder whose weights have their places but no values."""
    with torch.device("meta"):
        decoder = Decoder(config)
    for module in decoder.modules():
        for name, parameter in module.named_parameters(recurse=False):
            value = torch.empty(parameter.shape, dtype=dtype, device=device)
            setattr(module, name, nn.Parameter(value, requires_grad=False))
    return decoder


def fill(decoder: Decoder, tensors: Iterable[StoredTensor], origin: Path) -> None:
    """Writes every tensor to its slot. Raises CheckpointError for one that is missing, extra or of the wrong shape."""
    slots = dict(decoder.slots())
    waiting = dict.fromkeys(slots)
    for name, shape, write in tensors:
        if name not in slots:
            raise CheckpointError(say("models.extra_tensor", origin=origin, name=name))
        if shape != slots[name].shape:
            seen, expected = list(shape), list(slots[name].shape)
            raise CheckpointError(say("models.wrong_shape", origin=origin, name=name, seen=seen, expected=expected))
        write(slots[name])
        waiting.pop(name, None)
    if waiting:
        first = next(iter(waiting))
        raise CheckpointError(say("models.missing_tensor", origin=origin, name=first, count=len(waiting)))
