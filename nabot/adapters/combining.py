"""Several LoRAs on one base → one. In: folders in PEFT's layout and a weight for each, out: such a folder.

- linear: A and B are added up, each by the root of its weight; needs equal ranks, and is only near the sum
- concat: the pairs side by side: exactly the sum, of a rank that is the sum of the ranks
- svd: what comes nearest to the sum among all of one rank

Source: huggingface/peft 0.20, `add_weighted_adapter` with linear, cat, svd.
"""

import math
import re
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from nabot.adapters import peft_lora
from nabot.adapters.filling import check_finite
from nabot.adapters.lora_config import LoraConfig
from nabot.adapters.peft_files import CONFIG, read_adapter, write_adapter
from nabot.errors import CheckpointError, ConfigError
from nabot.text import say

How = Literal["linear", "concat", "svd"]

_PLAIN = {"peft_type": "LORA", "use_dora": False, "bias": "none"}
_PLAIN |= dict.fromkeys(("modules_to_save", "trainable_token_indices"))  # what learns wholly has no A and B to add up


class Part(NamedTuple):
    """What one adapter adds to one module: weight · B A, its own scale being in the weight."""

    weight: float
    a: Tensor
    b: Tensor


Pair = tuple[Tensor, Tensor]


def combine(folders: Sequence[Path], weights: Sequence[float], out: Path, how: How, rank: int | None = None) -> None:
    """Writes the sum of weight · adapter to `out`. `rank` is for svd alone; None: the highest among them.

    Raises ConfigError for what does not go together, CheckpointError naming the file for what is no plain LoRA.
    """
    _check(folders, weights, how, rank)
    adapters = [_parts(folder, weight) for folder, weight in zip(folders, weights, strict=True)]
    rank = rank or max(len(part.a) for parts in adapters for part in parts.values())
    pairs = {}
    for name in sorted({name for parts in adapters for name in parts}):
        pairs[name] = _combined(name, [parts[name] for parts in adapters if name in parts], how, rank)
    tensors = {
        peft_lora.key_of(name, part): tensor.contiguous()
        for name, pair in pairs.items()
        for part, tensor in zip("AB", pair, strict=True)
    }
    base_name = read_adapter(folders[0])[0].get("base_model_name_or_path") or ""
    write_adapter(out, tensors, peft_lora.json_of(_config(pairs), list(pairs)), base_name)


def _check(folders: Sequence[Path], weights: Sequence[float], how: str, rank: int | None) -> None:
    if how not in get_args(How):
        raise ConfigError(say("settings.bad_value", key="how", value=how, allowed=", ".join(get_args(How))))
    if not folders or len(weights) != len(folders) or not all(map(math.isfinite, weights)):
        raise ConfigError(say("adapters.weights_differ", weights=list(weights), folders=len(folders)))
    if rank is not None and (how != "svd" or rank < 1):
        raise ConfigError(say("settings.bad_value", key="rank", value=rank, allowed=say("adapters.svd_rank")))


def _parts(folder: Path, weight: float) -> dict[str, Part]:
    """By full module name. Raises CheckpointError for what is more than A and B, or less."""
    raw, tensors = read_adapter(folder)
    for field, plain in _PLAIN.items():
        if raw.get(field, plain) != plain:
            path, seen = folder / CONFIG, reprlib.repr(raw[field])
            raise CheckpointError(say("models.unsupported_field", path=path, field=field, seen=seen, expected=plain))
    ranks = peft_lora.ranks_of(tensors, folder)
    config = peft_lora.config_of_file(raw, ranks, folder)
    check_finite(tensors, folder)
    parts = {}
    for name, rank in ranks.items():
        a, b = tensors[peft_lora.key_of(name, "A")], tensors.get(peft_lora.key_of(name, "B"))
        if b is None or b.shape[1:] != (rank,):
            raise CheckpointError(say("adapters.missing_tensor", origin=folder, name=peft_lora.key_of(name, "B")))
        parts[name] = Part(weight * config.scale_of(name), _wide(a), _wide(b))
    return parts


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _combined(name: str, parts: Sequence[Part], how: How, rank: int) -> Pair:
    """A and B whose scale is 1. Raises ConfigError if shapes, or ranks that must not, differ."""
    if len({(part.a.shape[1], part.b.shape[0]) for part in parts}) > 1:
        raise ConfigError(say("adapters.other_shapes", name=name))
    if how == "concat":
        return torch.cat([part.weight * part.a for part in parts]), torch.cat([part.b for part in parts], 1)
    if how == "svd":
        whole = torch.stack([part.weight * (part.b @ part.a) for part in parts]).sum(0)
        u, values, vh = torch.linalg.svd(whole, full_matrices=False)
        return vh[:rank], u[:, :rank] * values[:rank]
    ranks = sorted({len(part.a) for part in parts})
    if len(ranks) > 1:
        raise ConfigError(say("adapters.other_ranks", name=name, ranks=", ".join(map(str, ranks))))
    roots = [math.sqrt(abs(part.weight)) for part in parts]
    a = [math.copysign(root, part.weight) * part.a for root, part in zip(roots, parts, strict=True)]
    b = [root * part.b for root, part in zip(roots, parts, strict=True)]
    return torch.stack(a).sum(0), torch.stack(b).sum(0)


def _config(pairs: dict[str, Pair]) -> LoraConfig:
    """Scale 1 everywhere."""
    ranks = {name: len(a) for name, (a, _) in pairs.items()}
    most = max(ranks.values())
    others = {re.escape(name): rank for name, rank in ranks.items() if rank != most}
    return LoraConfig(rank=most, alpha=most, rank_pattern=others, alpha_pattern=others)
