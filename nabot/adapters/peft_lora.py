"""LoRA in PEFT's layout: lora_A [r, in], lora_B [out, r] for every module. In: an adapter_config.json and tensors.

Source: huggingface/peft 0.20, `LoraConfig` and `get_peft_model_state_dict`.
"""

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nabot.adapters.filling import fill
from nabot.adapters.lora import LoraConfig, attach_to, config_of, detach_lora, lora_groups
from nabot.errors import CheckpointError
from nabot.models.linear import linear_groups
from nabot.text import say

TYPES = ("LORA",)
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


def is_attached(module: nn.Module) -> bool:
    return any(lora_groups(module))


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The tensors by PEFT's names; views, not copies."""
    found: dict[str, Tensor] = {}
    for group in lora_groups(module):
        for name, a, b in group.tensors():
            found[f"{_PREFIX}{name}.lora_A.weight"] = a
            found[f"{_PREFIX}{name}.lora_B.weight"] = b
    return found


def load(module: nn.Module, raw: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> LoraConfig:
    """Attaches the adapter. Raises CheckpointError naming the tensor; then nothing is attached."""
    _refuse_other_arithmetic(raw, folder)
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
        fill(tensors_of(module), tensors, folder)
    except CheckpointError:
        detach_lora(module)
        raise
    return config


def _refuse_other_arithmetic(raw: dict[str, Any], folder: Path) -> None:
    path = folder / "adapter_config.json"
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


def has_learned(module: nn.Module) -> bool:
    """Some B is not zero any more: what a saved adapter must be able to say of itself."""
    return any(bool((b != 0).any()) for group in lora_groups(module) for _, _, b in group.tensors())


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


def config_json(module: nn.Module) -> dict[str, Any]:
    config = config_of(module)
    names = [name for group in lora_groups(module) for name, _, _ in group.tensors()]
    ranks = {n: config.rank_of(n) for n in names if config.rank_of(n) != config.rank}
    alphas = {n: config.scale_of(n) * config.rank_of(n) for n in names}
    return {
        "alpha_pattern": {n: a for n, a in alphas.items() if abs(a - config.alpha) > 1e-9},
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": config.rank,
        "rank_pattern": ranks,
        "target_modules": _suffixes(module, names),
        "use_dora": False,
        "use_rslora": False,
    }


def _suffixes(module: nn.Module, names: list[str]) -> list[str]:
    """Member names where they say it all (every module of that name is adapted), else the full names."""
    known = {f"{g.path}.{m}" for _, _, g in linear_groups(module) for m in g.members}
    short = sorted({n.rsplit(".", 1)[-1] for n in names})
    ambiguous = any(other.rsplit(".", 1)[-1] in short for other in known - set(names))
    return sorted(names) if ambiguous else short
