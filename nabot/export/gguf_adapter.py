"""LoRA → a GGUF adapter that llama.cpp lays over the unchanged model file. In: a decoder with LoRA, out: a file.

llama.cpp computes W x + (alpha / rank) · B A x with one alpha for the file, so whatever else a module's scale is made of
(another alpha, rsLoRA's square root) is folded into its B.   Source: llama.cpp, convert_lora_to_gguf.py, llama-adapter.cpp
"""

from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from torch import Tensor

from nabot.adapters.ends import learned_ends
from nabot.adapters.lora import lora_groups
from nabot.artifacts import new_file
from nabot.errors import CheckpointError, ConfigError
from nabot.ggufio import open_gguf
from nabot.models.decoder import Decoder
from nabot.models.families.known import family_of
from nabot.models.gguf import name_in_gguf, rows_in_gguf
from nabot.text import say


def write_gguf_adapter(decoder: Decoder, path: Path) -> None:
    """Writes the attached LoRA. Raises CheckpointError if there is none, ConfigError if llama.cpp could not compute it."""
    groups = list(lora_groups(decoder))
    if not groups:
        raise CheckpointError(say("adapters.nothing_attached", folder=path))
    config = groups[0].config
    more = {
        "dora": config.dora,
        "bias": any(group.biases for group in groups),
        "save_whole": bool(learned_ends(decoder)),
    }
    if any(more.values()):
        raise ConfigError(say("export.more_than_lora", what=next(name for name, has in more.items() if has)))
    form = family_of(decoder.config).gguf
    if form is None:
        raise ConfigError(say("export.no_gguf_form", family=decoder.config.family))
    alpha = config.alpha
    with new_file(path) as aside:
        writer = GGUFWriter(str(aside), form.architecture)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for group in groups:
            for slot, (name, a_RD, b_OR) in zip(group.slots, group.saved(), strict=True):
                rows = b_OR * (slot.scale * len(a_RD) / alpha)
                base = name_in_gguf(form, f"{name}.weight")
                writer.add_tensor(f"{base}.lora_a", _numbers(a_RD))
                writer.add_tensor(f"{base}.lora_b", _numbers(rows_in_gguf(form, decoder.config, base, rows)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        open_gguf(aside)  # raises if it was cut off


def is_gguf_adapter(path: Path) -> bool:
    """Whether there is a file of this kind, whoever wrote it."""
    try:
        return bool(open_gguf(path).metadata.get("general.type") == "adapter")
    except CheckpointError:
        return False


def _numbers(x: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = x.detach().float().cpu().contiguous().numpy()
    return numbers
