"""A model folder or .gguf file → a decoder with its weights. In: a path, out: Decoder.

Weights are unpacked where they stay, in the dtype they will be computed in: the peak is the model and a few MB. Or the
linears stay packed (`nabot.models.packed`), and a base takes a quarter of the memory.
"""

from collections.abc import Callable, Iterable, Iterator
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from nabot.errors import CheckpointError, ConfigError
from nabot.models import gguf, huggingface
from nabot.models.blocks import eight_bits
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Decoder
from nabot.models.families.known import family_of
from nabot.models.gguf_tensors import InFile
from nabot.models.more_rows import with_more_rows
from nabot.models.nf4 import NormalFloat4
from nabot.models.packed import PackedWeight, make_packed, packed_places
from nabot.models.stored import StoredTensor
from nabot.sources.basehash import model_below
from nabot.sources.extension import is_extension
from nabot.text import say

BASE_BITS = ("dense", "file", "nf4", "int8")
Pack = Callable[[StoredTensor], PackedWeight]


def load_decoder(
    model: Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu", base_bits: str = "dense"
) -> Decoder:
    """The decoder in `model`, frozen, in evaluation mode. Raises CheckpointError naming file and tensor.

    `base_bits`: in what form the linears stay in memory. "dense": as numbers of `dtype`; "file": as a .gguf has them;
    "nf4", "int8": packed here, from any model. Packed ones are unpacked to `dtype` for each product; the embedding and
    the norms are always dense. Raises ConfigError for a form that does not fit the model or the device.
    """
    _check(base_bits, model, torch.device(device))
    config, tensors = open_weights(model)
    pack = _PACKS.get(base_bits)
    decoder = empty_decoder(config, dtype=dtype, device=device, packed=pack is not None)
    fill(decoder, tensors, model, pack)
    return decoder.eval()


def _check(base_bits: str, model: Path, device: torch.device) -> None:
    if base_bits not in BASE_BITS:
        allowed = ", ".join(BASE_BITS)
        raise ConfigError(say("settings.bad_value", key="base_bits", value=base_bits, allowed=allowed))
    if base_bits == "file" and model.suffix != ".gguf":
        raise ConfigError(say("models.not_in_blocks", path=model))
    if base_bits == "file" and device.type != "cpu":
        raise ConfigError(say("models.blocks_need_cpu", device=device.type))


def few_bits(model: Path, device: torch.device) -> str:
    """The form among BASE_BITS that takes few bits and loses least: the file's own where it has them, else nf4."""
    if model.suffix != ".gguf" or device.type != "cpu":
        return "nf4"
    tensors = gguf.open_model(model)[0].tensors
    linears = [t for name, t in tensors.items() if name.startswith("blk.") and len(t.shape) > 1]
    return "file" if 8 * sum(t.num_bytes for t in linears) < 16 * sum(prod(t.shape) for t in linears) else "nf4"


def _as_stored(stored: StoredTensor) -> PackedWeight:
    assert isinstance(stored.write, InFile), stored.name
    return stored.write.blocks()


def _numbers(stored: StoredTensor) -> Tensor:
    place = torch.empty(stored.shape)  # float32 whatever is computed with: rounded once, when it is packed
    stored.write(place)
    return place


_PACKS: dict[str, Pack] = {
    "file": _as_stored,
    "nf4": lambda stored: NormalFloat4(_numbers(stored)),
    "int8": lambda stored: eight_bits(_numbers(stored)),
}


def read_decoder_config(model: Path) -> DecoderConfig:
    """The shapes alone, without weights."""
    return open_weights(model)[0]


def open_weights(model: Path) -> tuple[DecoderConfig, Iterator[StoredTensor]]:
    """The shapes, and the weights, of which none is read yet."""
    if is_extension(model):
        return with_more_rows(model, *open_weights(model_below(model)))
    if model.suffix == ".gguf":
        file, config = gguf.open_model(model)
        return config, gguf.read_tensors(file, config)
    config = huggingface.read_config(model)
    return config, huggingface.read_tensors(model, config)


def empty_decoder(
    config: DecoderConfig, *, dtype: torch.dtype, device: torch.device | str = "cpu", packed: bool = False
) -> Decoder:
    """A decoder whose weights have their places but no values; `packed`: linears have not even places."""
    with torch.device("meta"):
        decoder = family_of(config).decoder(config)
    if packed:
        make_packed(decoder, dtype, torch.device(device))
    for module in decoder.modules():
        for name, parameter in module.named_parameters(recurse=False):
            value = torch.empty(parameter.shape, dtype=dtype, device=device)
            setattr(module, name, nn.Parameter(value, requires_grad=False))
    return decoder


def fill(decoder: Decoder, tensors: Iterable[StoredTensor], origin: Path, pack: Pack | None = None) -> None:
    """Writes every tensor to its slot, or packs it where the linears of `decoder` are packed.

    Raises CheckpointError for one that is missing, extra or of the wrong shape.
    """
    slots, groups = dict(decoder.slots()), packed_places(decoder)
    shapes = {name: tuple(slot.shape) for name, slot in slots.items()}
    shapes |= {name: group.shape_of(member) for name, (group, member) in groups.items()}
    waiting = dict.fromkeys(shapes)
    for stored in tensors:
        name = stored.name
        if name not in shapes:
            raise CheckpointError(say("models.extra_tensor", origin=origin, name=name))
        if stored.shape != shapes[name]:
            seen, expected = list(stored.shape), list(shapes[name])
            raise CheckpointError(say("models.wrong_shape", origin=origin, name=name, seen=seen, expected=expected))
        if name in groups and pack is not None:
            group, member = groups[name]
            group.put(member, pack(stored))
        else:
            stored.write(slots[name])
        waiting.pop(name, None)
    if waiting:
        first = next(iter(waiting))
        raise CheckpointError(say("models.missing_tensor", origin=origin, name=first, count=len(waiting)))
