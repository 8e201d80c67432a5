"""Adapters on disk, in the layout of Hugging Face PEFT. In and out: adapter_config.json + adapter_model.safetensors.

PEFT itself loads a wrong tensor name silently as nothing; here a missing, extra or misshapen tensor is an error that
names it.   Source: huggingface/peft 0.20, `save_pretrained` and `LoraConfig`.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nabot.adapters.lora import LoraConfig, attach_to, config_of, detach, lora_groups
from nabot.artifacts import new_folder, write_json
from nabot.errors import CheckpointError, ConfigError
from nabot.models.linear import linear_groups
from nabot.text import say

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight")
# What changes the arithmetic and is not computed here: refused unless it has this value.
_REFUSED = {
    "use_dora": False,
    "fan_in_fan_out": False,
    "bias": "none",
    "lora_bias": False,
    "modules_to_save": None,
    "layer_replication": None,
    "trainable_token_indices": None,
    "alora_invocation_tokens": None,
    "use_qalora": False,
    "use_bdlora": None,
    "arrow_config": None,
    "kasa_config": None,
    "monteclora_config": None,
}
# How A and B began does not matter any more, unless the base was changed with them (PiSSA, OLoRA, CorDA, LoftQ).
_HARMLESS_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")


def save_adapter(module: nn.Module, folder: Path, base_name: str = "") -> None:
    """Writes the adapter of `module` as a whole folder. Raises CheckpointError if there is nothing to write."""
    tensors = adapter_tensors(module)
    if not tensors:
        raise CheckpointError(say("adapters.nothing_attached", folder=folder))
    with new_folder(folder) as aside:
        save_file(tensors, aside / WEIGHTS, metadata={"format": "pt"})
        write_json(aside / CONFIG, _peft_config(module, config_of(module), base_name))


def load_adapter(module: nn.Module, folder: Path) -> LoraConfig:
    """Attaches the adapter in `folder` to `module`. Raises CheckpointError naming file and tensor; then nothing is attached.

    Raises ConfigError if an adapter is attached already.
    """
    if any(lora_groups(module)):
        raise ConfigError(say("adapters.attached_already"))
    raw = _read_config(folder)
    tensors = read_tensors(folder / WEIGHTS)
    pairs = _pairs(tensors, folder)
    config = LoraConfig(
        rank=raw.get("r", 8),
        alpha=raw.get("lora_alpha", 8),
        dropout=raw.get("lora_dropout", 0.0),
        targets=_targets_text(raw.get("target_modules")),
        rank_pattern=_exact_ranks(raw, pairs),
        alpha_pattern=_exact_alphas(raw, pairs),
    )
    _check_modules(module, raw, set(pairs), folder)
    attach_to(module, config, set(pairs))
    try:
        set_adapter_tensors(module, tensors, folder)
    except CheckpointError:
        detach(module)
        raise
    return config


def adapter_tensors(module: nn.Module) -> dict[str, Tensor]:
    """PEFT's tensor names → contiguous copies on the CPU: A [r, in], B [out, r]."""
    found: dict[str, Tensor] = {}
    for group in lora_groups(module):
        for name, a, b in group.tensors():
            found[f"{_PREFIX}{name}.lora_A.weight"] = a.detach().cpu().clone().contiguous()
            found[f"{_PREFIX}{name}.lora_B.weight"] = b.detach().cpu().clone().contiguous()
    return found


def set_adapter_tensors(module: nn.Module, tensors: dict[str, Tensor], origin: Path) -> None:
    """Fills the attached adapter. Raises CheckpointError for a tensor that is missing, extra or of the wrong shape."""
    places = {}
    for group in lora_groups(module):
        for name, a, b in group.tensors():
            places[f"{_PREFIX}{name}.lora_A.weight"] = a
            places[f"{_PREFIX}{name}.lora_B.weight"] = b
    for name in sorted(places.keys() ^ tensors.keys()):
        text_id = "adapters.missing_tensor" if name in places else "adapters.extra_tensor"
        raise CheckpointError(say(text_id, origin=origin, name=name))
    for name, place in places.items():
        if place.shape != tensors[name].shape:
            seen, expected = list(tensors[name].shape), list(place.shape)
            raise CheckpointError(say("adapters.wrong_shape", origin=origin, name=name, seen=seen, expected=expected))
        place.copy_(tensors[name])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one safetensors file. Raises CheckpointError if it is damaged, cut off or not there."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(say("models.bad_safetensors", path=path, reason=error)) from error


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(say("adapters.bad_config", path=path, reason=error)) from error
    if not isinstance(raw, dict):
        raise CheckpointError(say("adapters.bad_config", path=path, reason=f"{raw!r:.40}"))
    if raw.get("peft_type") != "LORA":
        raise CheckpointError(say("adapters.unknown_method", path=path, seen=raw.get("peft_type"), known="LORA"))
    for key, neutral in _REFUSED.items():
        if raw.get(key, neutral) not in (neutral, None):
            raise CheckpointError(
                say("models.unsupported_field", path=path, field=key, seen=raw[key], expected=neutral)
            )
    start = raw.get("init_lora_weights")
    if start not in _HARMLESS_STARTS:
        raise CheckpointError(
            say("models.unsupported_field", path=path, field="init_lora_weights", seen=start, expected=True)
        )
    return raw


def _pairs(tensors: dict[str, Tensor], folder: Path) -> dict[str, int]:
    """Full module name → rank, from the tensors themselves."""
    ranks: dict[str, int] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise CheckpointError(say("adapters.extra_tensor", origin=folder, name=key))
        if match["part"] == "A" and tensor.ndim:
            ranks[match["module"]] = tensor.shape[0]
    if not ranks:
        raise CheckpointError(say("adapters.empty", folder=folder))
    return ranks


def _exact_ranks(raw: dict[str, Any], ranks: dict[str, int]) -> dict[str, int]:
    default = raw.get("r", 8)
    return {re.escape(name): rank for name, rank in ranks.items() if rank != default}


def _exact_alphas(raw: dict[str, Any], ranks: dict[str, int]) -> dict[str, float]:
    alphas = LoraConfig(alpha=raw.get("lora_alpha", 8), alpha_pattern=raw.get("alpha_pattern") or {})
    exact = {}
    for name, rank in ranks.items():
        alpha = alphas.scale_of(name) * alphas.rank
        if raw.get("use_rslora"):  # scale alpha / √r (Kalajdzievski 2023) said as alpha / r
            alpha *= rank**0.5
        if alpha != alphas.alpha:
            exact[re.escape(name)] = alpha
    return exact


def _check_modules(module: nn.Module, raw: dict[str, Any], found: set[str], folder: Path) -> None:
    known = {f"{g.path}.{m}" for _, _, g in linear_groups(module) for m in g.members}
    for name in sorted(found - known):
        raise CheckpointError(say("adapters.extra_tensor", origin=folder, name=name))
    if raw.get("layers_to_transform") is not None:
        return
    targets, excluded = raw.get("target_modules"), raw.get("exclude_modules")
    for name in sorted(known - found):
        if _is_target(name, targets) and not _is_target(name, excluded):
            raise CheckpointError(say("adapters.missing_tensor", origin=folder, name=name))


def _is_target(name: str, targets: Any) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == t or name.endswith(f".{t}") for t in targets or ())


def _targets_text(targets: Any) -> str:
    return f"/{targets}/" if isinstance(targets, str) else ",".join(sorted(targets or ()))


def _peft_config(module: nn.Module, config: LoraConfig, base_name: str) -> dict[str, Any]:
    names = [name for group in lora_groups(module) for name, _, _ in group.tensors()]
    ranks = {n: config.rank_of(n) for n in names if config.rank_of(n) != config.rank}
    alphas = {n: config.scale_of(n) * config.rank_of(n) for n in names}
    return {
        "alpha_pattern": {n: a for n, a in alphas.items() if abs(a - config.alpha) > 1e-9},
        "auto_mapping": None,
        "base_model_name_or_path": base_name,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": config.rank,
        "rank_pattern": ranks,
        "revision": None,
        "target_modules": _suffixes(module, names),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }


def _suffixes(module: nn.Module, names: list[str]) -> list[str]:
    """Member names where they say it all (every module of that name is adapted), else the full names."""
    known = {f"{g.path}.{m}" for _, _, g in linear_groups(module) for m in g.members}
    short = sorted({n.rsplit(".", 1)[-1] for n in names})
    ambiguous = any(other.rsplit(".", 1)[-1] in short for other in known - set(names))
    return sorted(names) if ambiguous else short


def has_learned(module: nn.Module) -> bool:
    """Some B is not zero any more: what a saved adapter must be able to say of itself."""
    return any(bool(torch.any(b != 0)) for group in lora_groups(module) for _, _, b in group.tensors())
