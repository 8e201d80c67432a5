"""LoRA in PEFT's layout: lora_A [r, in], lora_B [out, r] for every module. In: an adapter_config.json and tensors.

Source: huggingface/peft 0.20, `LoraConfig` and `get_peft_model_state_dict`.
"""

import re
import reprlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nabot.adapters.ends import (
    ends_have_learned,
    first_that_learns,
    is_tied,
    learn_as_one,
    learned_ends,
    modules_of_ends,
    put_ends,
)
from nabot.adapters.filling import fill
from nabot.adapters.lora import attach_to, config_of, lora_groups
from nabot.adapters.lora_config import LoraConfig
from nabot.adapters.methods import detach
from nabot.adapters.targets import ENDS, layer_of
from nabot.errors import CheckpointError
from nabot.models.decoder import Decoder
from nabot.models.linear import linear_groups
from nabot.text import say

TYPES = ("LORA",)
_PREFIX = "base_model.model."
_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.(lora_((?P<part>[AB])\.weight|magnitude_vector)|bias)")
# What changes the arithmetic and is not computed here: refused unless it has this value.
_REFUSED = {
    "fan_in_fan_out": False,
    "lora_bias": False,
    "layer_replication": None,
    "alora_invocation_tokens": None,
    "use_qalora": False,
    "use_bdlora": None,
    "arrow_config": None,
    "kasa_config": None,
    "monteclora_config": None,
}
_BIASES = ("none", "lora_only", "all")
# How A and B began does not matter any more, unless the base was changed with them (PiSSA, OLoRA, CorDA, LoftQ).
_HARMLESS_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")


def is_attached(module: nn.Module) -> bool:
    return any(lora_groups(module))


def tensors_of(module: Decoder) -> dict[str, Tensor]:
    """The tensors by PEFT's names; views, not copies, but for what began as a part of the weights."""
    first = first_that_learns(module)
    found = {_end_key(module, name, first): weight for name, weight in _saved_ends(module).items()}
    for group in lora_groups(module):
        for name, a, b in group.saved():
            found[key_of(name, "A")], found[key_of(name, "B")] = a, b
        for name, length in group.magnitudes():
            found[f"{_PREFIX}{name}.lora_magnitude_vector"] = length
        adapted = {name for name, _, _ in group.tensors()}
        for name, bias in group.learned_biases():
            found[f"{_PREFIX}{name}.{'base_layer.' if name in adapted else ''}bias"] = bias
    return found


def load(module: Decoder, raw: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> LoraConfig:
    """Attaches the adapter. Raises CheckpointError naming the tensor; then nothing is attached."""
    ends, first = _ends_of_file(module, raw, folder)
    as_one = is_tied(module) and (ENDS[0] in ends if first else bool(raw.get("ensure_weight_tying")))  # as PEFT ties
    ends = set(ENDS) if ends and as_one else ends
    apart = {_end_key(module, name, first) for name in ends}
    ranks = ranks_of({key: t for key, t in tensors.items() if key not in apart}, folder)
    config = replace(config_of_file(raw, ranks, folder), save_whole=",".join(sorted(ends)))
    _check_modules(module, raw, set(ranks), folder)
    attach_to(module, config, set(ranks))
    put_ends(module, ends, as_one=as_one, first=first)
    try:
        fill(tensors_of(module), tensors, folder)
    except CheckpointError:
        detach(module)
        raise
    return config


def _ends_of_file(module: Decoder, raw: dict[str, Any], folder: Path) -> tuple[set[str], int]:
    """What of embedding and head learns, and from which token on: `modules_to_save`, or `trainable_token_indices`.

    Raises CheckpointError for any other module, and for tokens that are not the last ones.
    """
    whole, rows = raw.get("modules_to_save") or [], raw.get("trainable_token_indices") or {}
    if not isinstance(rows, dict):
        rows = {_last(modules_of_ends(module)[ENDS[0]]): rows}  # a list means the embedding
    ends = _ends_named(module, "modules_to_save", whole, folder)
    if not rows:
        return ends, 0
    field, tokens, size = "trainable_token_indices", next(iter(rows.values())), module.config.vocab_size
    first = tokens[0] if isinstance(tokens, list) and tokens and isinstance(tokens[0], int) else 0
    if ends or first <= 0 or any(own != [*range(first, size)] for own in rows.values()):  # their order is the rows'
        path, expected = folder / "adapter_config.json", say("adapters.last_tokens", last=size - 1)
        raise CheckpointError(
            say("models.unsupported_field", path=path, field=field, seen=reprlib.repr(tokens), expected=expected)
        )
    return _ends_named(module, field, rows, folder), first


def _ends_named(module: Decoder, field: str, asked: Iterable[str], folder: Path) -> set[str]:
    """They may be named in full."""
    modules = modules_of_ends(module)
    known = {_last(full): name for name, full in modules.items()} | {full: name for name, full in modules.items()}
    if not set(asked) <= known.keys():
        path, expected = folder / "adapter_config.json", ", ".join(map(_last, modules.values()))
        raise CheckpointError(
            say("models.unsupported_field", path=path, field=field, seen=list(asked), expected=expected)
        )
    return {known[name] for name in asked}


def _saved_ends(module: Decoder) -> dict[str, Tensor]:
    """The ends that the file has: PEFT writes rows of tokens that embedding and head share once."""
    ends = learned_ends(module)
    once = first_that_learns(module) and learn_as_one(module)
    return {ENDS[0]: ends[ENDS[0]]} if once else ends


def _end_key(module: Decoder, name: str, first: int) -> str:
    part = "token_adapter.trainable_tokens_delta" if first else "weight"  # the rows themselves, in spite of the name
    return f"{_PREFIX}{modules_of_ends(module)[name]}.{part}"


def _last(full_name: str) -> str:
    return full_name.rsplit(".", 1)[-1]


def config_of_file(raw: dict[str, Any], ranks: dict[str, int], folder: Path) -> LoraConfig:
    """What adapter_config.json says, ranks and alphas by full name. Raises CheckpointError for what is not computed here."""
    _refuse_other_arithmetic(raw, folder)
    return LoraConfig(
        rank=raw.get("r", 8),
        alpha=raw.get("lora_alpha", 8),
        dropout=raw.get("lora_dropout", 0.0),
        targets=_targets_text(raw.get("target_modules")),
        rank_pattern=_exact_ranks(raw, ranks),
        alpha_pattern=_exact_alphas(raw, ranks),
        layers=",".join(map(str, sorted(_layers(raw) or ()))),
        bias=raw.get("bias", "none"),
        rslora=bool(raw.get("use_rslora")),
        dora=bool(raw.get("use_dora")),
    )


def _refuse_other_arithmetic(raw: dict[str, Any], folder: Path) -> None:
    path = folder / "adapter_config.json"
    for key, neutral in _REFUSED.items():
        if raw.get(key, neutral) not in (neutral, None):
            raise CheckpointError(
                say("models.unsupported_field", path=path, field=key, seen=raw[key], expected=neutral)
            )
    if raw.get("bias", "none") not in _BIASES:
        expected = ", ".join(_BIASES)
        raise CheckpointError(
            say("models.unsupported_field", path=path, field="bias", seen=raw["bias"], expected=expected)
        )
    start = raw.get("init_lora_weights")
    if start not in _HARMLESS_STARTS:
        raise CheckpointError(
            say("models.unsupported_field", path=path, field="init_lora_weights", seen=start, expected=True)
        )


def has_learned(module: Decoder) -> bool:
    """Some B, or a weight that learns wholly, is not as it began: what a saved adapter must be able to say of itself."""
    return any(group.has_learned() for group in lora_groups(module)) or ends_have_learned(module)


def key_of(module: str, part: str) -> str:
    """The name of a module's A or B in the file."""
    return f"{_PREFIX}{module}.lora_{part}.weight"


def ranks_of(tensors: dict[str, Tensor], folder: Path) -> dict[str, int]:
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
    theirs = LoraConfig(alpha=raw.get("lora_alpha", 8), alpha_pattern=raw.get("alpha_pattern") or {})
    return {re.escape(name): theirs.alpha_of(name) for name in ranks if theirs.alpha_of(name) != theirs.alpha}


def _layers(raw: dict[str, Any]) -> set[int] | None:
    """None: all of them."""
    layers = raw.get("layers_to_transform")
    return None if layers in (None, []) else {layers} if isinstance(layers, int) else set(layers)


def _check_modules(module: nn.Module, raw: dict[str, Any], found: set[str], folder: Path) -> None:
    known = {f"{g.path}.{m}" for _, _, g in linear_groups(module) for m in g.members}
    for name in sorted(found - known):
        raise CheckpointError(say("adapters.extra_tensor", origin=folder, name=name))
    layers, targets, excluded = _layers(raw), raw.get("target_modules"), raw.get("exclude_modules")
    for name in sorted(known - found):
        if layers is not None and layer_of(name) not in layers:
            continue
        if _is_target(name, targets) and not _is_target(name, excluded):
            raise CheckpointError(say("adapters.missing_tensor", origin=folder, name=name))


def _is_target(name: str, targets: Any) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == t or name.endswith(f".{t}") for t in targets or ())


def _targets_text(targets: Any) -> str:
    return f"/{targets}/" if isinstance(targets, str) else ",".join(sorted(targets or ()))


def config_json(module: Decoder) -> dict[str, Any]:
    config = _plain_form(config_of(module))
    names = [name for group in lora_groups(module) for name, _, _ in group.tensors()]
    known = [f"{g.path}.{m}" for _, _, g in linear_groups(module) for m in g.members]
    targets, layers = _described(set(names), known)
    described = {"target_modules": targets, "layers_to_transform": layers}
    return json_of(config, names) | described | _ends_json(module)


def _ends_json(module: Decoder) -> dict[str, Any]:
    first, modules = first_that_learns(module), modules_of_ends(module)
    ends = sorted(_last(modules[name]) for name in _saved_ends(module))
    if first:
        return {"trainable_token_indices": {end: [*range(first, module.config.vocab_size)] for end in ends}}
    tying = {"ensure_weight_tying": True} if learn_as_one(module) else {}
    return {"modules_to_save": ends or None} | tying


def json_of(config: LoraConfig, names: list[str]) -> dict[str, Any]:
    """adapter_config.json of a LoRA on exactly the modules `names`."""
    alphas = {n: config.alpha_of(n) for n in names}
    ranks = {n: config.rank_of(n) for n in names}
    return {
        "alpha_pattern": {n: alpha for n, alpha in alphas.items() if alpha != config.alpha},
        "bias": config.bias,
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": config.rank,
        "rank_pattern": {n: rank for n, rank in ranks.items() if rank != config.rank},
        "target_modules": sorted(names),
        "use_dora": config.dora,
        "use_rslora": config.rslora,
    }


def _plain_form(config: LoraConfig) -> LoraConfig:
    """A start that is saved along takes as much room again, at the same scale."""
    if config.lora_start == "random":
        return config
    more = 2**0.5 if config.rslora else 2
    return replace(
        config,
        rank=2 * config.rank,
        alpha=more * config.alpha,
        rank_pattern={key: 2 * rank for key, rank in config.rank_pattern.items()},
        alpha_pattern={key: more * alpha for key, alpha in config.alpha_pattern.items()},
        lora_start="random",
    )


def _described(names: set[str], known: list[str]) -> tuple[list[str], list[int] | None]:
    """target_modules and layers_to_transform that mean exactly `names`.

    Member names where those say it all, in some layers or in every one (None); else the full names.
    """
    layers = {layer_of(n) for n in names}
    members = {n.rsplit(".", 1)[-1] for n in names}
    said = {n for n in known if n.rsplit(".", 1)[-1] in members and layer_of(n) in layers}
    if said != names:
        return sorted(names), None
    everywhere = layers == {layer_of(n) for n in known if n.rsplit(".", 1)[-1] in members}
    return sorted(members), None if everywhere else sorted(layers)
