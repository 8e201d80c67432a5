"""Hugging Face folders: config.json → DecoderConfig, *.safetensors → named tensors. In: a folder, out: plain data.

Traps that are handled here: old checkpoints carry buffers (`rotary_emb.inv_freq`); a tied checkpoint may still store its
head; some families store norm weights minus 1.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nabot.errors import CheckpointError
from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.known import family_of, family_of_json
from nabot.models.stored import StoredTensor
from nabot.sources.local import weight_files
from nabot.text import say


def read_config(folder: Path) -> DecoderConfig:
    """The decoder that `folder`/config.json describes. Raises CheckpointError for what nabot would compute wrongly."""
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(say("models.no_config", folder=folder)) from None
    except ValueError as error:
        raise CheckpointError(say("models.bad_config", path=path, reason=error)) from error
    if not isinstance(raw, dict):
        raise CheckpointError(say("models.bad_config", path=path, reason=f"{raw!r:.40}"))
    try:
        return config_from(raw, path)
    except KeyError as error:
        raise CheckpointError(say("models.config_field_missing", path=path, field=error.args[0])) from error


def config_from(raw: Mapping[str, Any], path: Path) -> DecoderConfig:
    """DecoderConfig of a parsed config.json; `path` is for messages. Raises KeyError for a missing field."""
    fields = ConfigJson(raw, path)
    return family_of_json(fields).read(fields)


def read_tensors(folder: Path, config: DecoderConfig) -> Iterator[StoredTensor]:
    """Every weight of the folder's safetensors, sharded or single. Raises CheckpointError, also while one is written."""
    family = family_of(config)
    for path in _shards(folder):
        with _explained(path), safe_open(path, framework="pt") as file:
            for stored in file.keys():  # noqa: SIM118 - safe_open is no mapping
                name = family.rename(stored)
                if name is not None and not (config.tie_embeddings and name == "lm_head.weight"):
                    shape = tuple(file.get_slice(stored).get_shape())
                    plus = 1 if family.norms_less_one and name.endswith("norm.weight") else 0
                    yield StoredTensor(name, shape, partial(_copy, path, file, stored, plus))


def _copy(path: Path, file: Any, name: str, plus: int, place: Tensor) -> None:
    with _explained(path):
        weight = file.get_tensor(name)
        place.copy_(weight.float() + plus if plus else weight)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise CheckpointError(say("models.bad_safetensors", path=path, reason=error)) from error


def _shards(folder: Path) -> list[Path]:
    shards = weight_files(folder)
    missing = [s.name for s in shards if not s.exists()]
    if missing or not shards:
        raise CheckpointError(say("models.no_weights", folder=folder, missing=", ".join(missing) or "*.safetensors"))
    return shards
