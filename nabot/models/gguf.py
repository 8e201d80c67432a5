"""GGUF files: metadata → DecoderConfig, blocks → named tensors. In: a file, out: what a loader needs.

Traps that are handled here: in architecture `llama` the rows of q and k are permuted (llama.cpp turns neighbouring
features, Hugging Face the two halves of a head).
"""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from nabot.ggufio import GgufFile, open_gguf
from nabot.models.config import DecoderConfig
from nabot.models.dequantise import RowOrder
from nabot.models.families.family import GgufForm
from nabot.models.families.gguf_metadata import GgufMetadata
from nabot.models.families.known import form_of_gguf
from nabot.models.gguf_tensors import InFile
from nabot.models.stored import StoredTensor


def open_model(path: Path) -> tuple[GgufFile, DecoderConfig]:
    """The file and the decoder it describes."""
    file = open_gguf(path)
    return file, read_config(file)


def read_config(file: GgufFile) -> DecoderConfig:
    """The decoder that the file's metadata describes. Raises CheckpointError for what nabot would compute wrongly."""
    return _form(file).read(GgufMetadata(file))


def read_tensors(file: GgufFile, config: DecoderConfig) -> Iterator[StoredTensor]:
    """Every weight under its Hugging Face name; unpacked where it is to stay."""
    form = _form(file)
    for name, info in file.tensors.items():
        if name not in form.no_weights:
            turned = name.startswith("blk.") and name.split(".")[-2] in form.in_pairs
            order = RowOrder(config.head_width, _halves) if turned else None
            yield StoredTensor(_name_here(form, name), info.shape, InFile(file.path, info, order))


def _form(file: GgufFile) -> GgufForm:
    return form_of_gguf(file.metadata.get("general.architecture"), file.path)


def _name_here(form: GgufForm, name: str) -> str:
    stem, _, ending = name.rpartition(".")
    if stem in form.top:
        return f"{form.top[stem]}.{ending}"
    parts = stem.split(".")
    if len(parts) == 3 and parts[0] == "blk" and parts[2] in form.in_layer:
        return f"{form.layers}.{parts[1]}.{form.in_layer[parts[2]]}.{ending}"
    return name  # the loader reports it as a tensor that this architecture does not have


def name_in_gguf(form: GgufForm, name: str) -> str:
    """The file's name of a weight inside a layer: "model.layers.3.mlp.up_proj.weight" → "blk.3.ffn_up.weight"."""
    layer, *middle, ending = name.removeprefix(f"{form.layers}.").split(".")
    theirs = {ours: theirs for theirs, ours in form.in_layer.items()}
    return f"blk.{layer}.{theirs['.'.join(middle)]}.{ending}"


def in_pairs(rows: Tensor, head_width: int) -> Tensor:
    """[heads · E, D] with the halves of each head one after the other → as llama.cpp keeps q and k: `_halves` undone."""
    return rows.unflatten(0, (-1, 2, head_width // 2)).transpose(1, 2).flatten(0, 2)


def _halves(rows: Tensor) -> Tensor:
    """[heads, E, D]: llama.cpp keeps the pair (i, i + E/2) of a head next to each other; this puts the halves back."""
    return rows.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)
