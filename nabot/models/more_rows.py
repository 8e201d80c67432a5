"""Embedding and head with rows for more tokens. In: a model's weights and a folder with new rows, out: longer weights.

Every old row stays bit for bit, so the logits of the old tokens do, too, until something is trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nabot.errors import CheckpointError
from nabot.models.config import DecoderConfig
from nabot.models.families.known import family_of
from nabot.models.stored import StoredTensor
from nabot.sources.extension import ROWS, read_extension
from nabot.text import say


def with_more_rows(
    folder: Path, config: DecoderConfig, tensors: Iterator[StoredTensor]
) -> tuple[DecoderConfig, Iterator[StoredTensor]]:
    """The model below with the rows of `folder` in the places of the new tokens.

    Raises CheckpointError if they do not fit it, or cannot be read.
    """
    first = read_extension(folder).first_id
    try:
        rows = load_file(folder / ROWS)
    except Exception as error:  # safetensors raises its own and those of the disk
        raise CheckpointError(say("models.bad_safetensors", path=folder / ROWS, reason=error)) from error
    counts = {len(new) for new in rows.values()}
    if set(rows) != _ends(config) or len(counts) != 1 or any(new.shape[1:] != (config.width,) for new in rows.values()):
        raise CheckpointError(say("models.bad_safetensors", path=folder / ROWS, reason=sorted(rows)))
    vocab_size = max(config.vocab_size, first + counts.pop())
    first_new = config.first_new_token or first  # of a model that was made longer before, its own
    longer = replace(config, vocab_size=vocab_size, first_new_token=first_new)
    return longer, (_longer(one, rows, first, vocab_size) for one in tensors)


def mean_rows(
    config: DecoderConfig, tensors: Iterator[StoredTensor], pieces: Sequence[Sequence[int]]
) -> dict[str, Tensor]:
    """For each new token the mean of the rows of its old pieces, float32 [N, D], of the embedding and of the head.

    So a new token is read, and is expected, about as its pieces were (Hewitt 2021, "Initializing New Word Embeddings").
    """
    rows, ends = {}, _ends(config)
    for stored in tensors:
        if stored.name in ends:
            weight_VD = torch.empty(stored.shape)
            stored.write(weight_VD)
            rows[stored.name] = torch.stack([weight_VD[list(own)].mean(0) for own in pieces])
    assert set(rows) == ends, sorted(rows)
    return rows


def _ends(config: DecoderConfig) -> set[str]:
    """What embedding and head are called, which may be one."""
    kind = family_of(config).decoder
    return {kind.embedding_name} if config.tie_embeddings else {kind.embedding_name, f"{kind.head_name}.weight"}


def save_rows(folder: Path, rows: dict[str, Tensor]) -> None:
    save_file(rows, folder / ROWS)


def _longer(stored: StoredTensor, rows: dict[str, Tensor], first: int, vocab_size: int) -> StoredTensor:
    if stored.name not in rows:
        return stored
    shape = (vocab_size, *stored.shape[1:])
    return StoredTensor(stored.name, shape, partial(_write, stored, rows[stored.name], first))


def _write(stored: StoredTensor, new: Tensor, first: int, place: Tensor) -> None:
    """New rows may lie in what was padding before."""
    stored.write(place[: stored.shape[0]])
    place[first : first + len(new)] = new
