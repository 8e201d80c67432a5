"""Hugging Face folders: config.json → DecoderConfig, *.safetensors → named tensors. In: a folder, out: plain data.

Traps that are handled here: transformers 5 writes `rope_parameters` and `dtype`, older ones `rope_scaling`,
`rope_theta` and `torch_dtype`; the kind of a rope stands under `rope_type` or `type`; old checkpoints carry buffers
(`rotary_emb.inv_freq`); a tied checkpoint may still store its head.
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
from nabot.models.config import DecoderConfig, RopeConfig
from nabot.models.stored import StoredTensor
from nabot.sources.local import weight_files
from nabot.text import say

ARCHITECTURES = {"llama": "LlamaForCausalLM"}
_ROPE_KINDS = {"default": "none", "none": "none", "linear": "linear", "llama3": "llama3"}


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
    kind = raw.get("model_type")
    if kind not in ARCHITECTURES:
        raise CheckpointError(say("models.unknown_architecture", path=path, seen=kind, known=", ".join(ARCHITECTURES)))
    _refuse_unless(path, "hidden_act", raw.get("hidden_act", "silu"), "silu")
    _refuse_unless(path, "quantization_config", raw.get("quantization_config"), None)
    _refuse_unless(path, "partial_rotary_factor", raw.get("partial_rotary_factor") or 1.0, 1.0)
    heads = raw["num_attention_heads"]
    return DecoderConfig(
        vocab_size=raw["vocab_size"],
        width=raw["hidden_size"],
        num_layers=raw["num_hidden_layers"],
        num_heads=heads,
        num_kv_heads=raw.get("num_key_value_heads") or heads,
        head_width=raw.get("head_dim") or raw["hidden_size"] // heads,
        mlp_width=raw["intermediate_size"],
        max_positions=raw.get("max_position_embeddings", 2048),
        rope=_rope(raw, path),
        norm_eps=raw.get("rms_norm_eps", 1e-6),
        tie_embeddings=raw.get("tie_word_embeddings", False),
        attention_bias=raw.get("attention_bias", False),
        mlp_bias=raw.get("mlp_bias", False),
    )


def _rope(raw: Mapping[str, Any], path: Path) -> RopeConfig:
    parameters = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    if kind not in _ROPE_KINDS:
        raise CheckpointError(say("models.unknown_rope", path=path, seen=kind, known=", ".join(sorted(_ROPE_KINDS))))
    return RopeConfig(
        theta=float(parameters.get("rope_theta") or raw.get("rope_theta") or 10_000.0),
        kind=_ROPE_KINDS[kind],  # type: ignore[arg-type]
        factor=float(parameters.get("factor", 1.0)),
        low_freq_factor=float(parameters.get("low_freq_factor", 1.0)),
        high_freq_factor=float(parameters.get("high_freq_factor", 4.0)),
        original_positions=int(parameters.get("original_max_position_embeddings", 8192)),
    )


def _refuse_unless(path: Path, field: str, seen: object, expected: object) -> None:
    if seen != expected:
        raise CheckpointError(say("models.unsupported_field", path=path, field=field, seen=seen, expected=expected))


def read_tensors(folder: Path, *, tied: bool) -> Iterator[StoredTensor]:
    """Every weight of the folder's safetensors, sharded or single. Raises CheckpointError, also while one is written."""
    for path in _shards(folder):
        with _explained(path), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
                if not name.endswith("rotary_emb.inv_freq") and not (tied and name == "lm_head.weight"):
                    shape = tuple(file.get_slice(name).get_shape())
                    yield StoredTensor(name, shape, partial(_copy, path, file, name))


def _copy(path: Path, file: Any, name: str, place: Tensor) -> None:
    with _explained(path):
        place.copy_(file.get_tensor(name))


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
