"""GGUF files: metadata → DecoderConfig, blocks → named tensors. In: a file, out: what a loader needs.

Traps that are handled here: in architecture `llama` the rows of q and k are permuted (llama.cpp turns neighbouring
features, Hugging Face the two halves of a head); `gptneox` keeps q, k and v one after the other instead of head by head.
"""

from collections.abc import Iterator
from functools import partial
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
            yield StoredTensor(_name_here(form, name), info.shape, InFile(file.path, info, _order(form, config, name)))


def _order(form: GgufForm, config: DecoderConfig, name: str) -> RowOrder | None:
    kind = name.split(".")[-2] if name.startswith("blk.") else ""
    if kind in form.in_pairs:
        return RowOrder(config.head_width, _halves)
    if kind in form.by_kind:
        return RowOrder(3 * config.num_heads * config.head_width, partial(_head_by_head, config.num_heads))
    return None


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


def rows_in_gguf(form: GgufForm, config: DecoderConfig, name: str, rows: Tensor) -> Tensor:
    """The rows [O, D] of a weight, which has this name in the file, as llama.cpp keeps them: what reading does, undone."""
    kind = name.split(".")[2]
    if kind in form.in_pairs:
        return rows.unflatten(0, (-1, 2, config.head_width // 2)).transpose(1, 2).flatten(0, 2)
    if kind in form.by_kind:
        return rows.unflatten(0, (config.num_heads, 3, -1)).transpose(0, 1).flatten(0, 2)
    return rows


def _halves(rows: Tensor) -> Tensor:
    """[heads, E, D]: llama.cpp keeps the pair (i, i + E/2) of a head next to each other; this puts the halves back."""
    return rows.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)


def _head_by_head(num_heads: int, rows: Tensor) -> Tensor:
    """[n, 3 · H · E, D]: q, k and v → each head's q, k and v. Source: llama.cpp, convert_hf_to_gguf.py, GPTNeoXModel."""
    return rows.unflatten(1, (3, num_heads, -1)).transpose(1, 2).flatten(1, 3)
