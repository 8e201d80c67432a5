"""What is adapted, or learns wholly. In: the names that a model has and what was asked for, out: those that are meant."""

import re

from nabot.errors import ConfigError
from nabot.text import near_names, say

ALL_LINEAR = "all-linear"
ENDS = ("embed_tokens", "lm_head")  # what can learn wholly beside LoRA, see `ends.py`
_LAYER = re.compile(r"\.(\d+)\.")  # of "model.layers.7.mlp.up_proj": the first number, as PEFT reads it
_RANGE = re.compile(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?")


def chosen_names(known: list[str], targets: str, layers: str = "") -> set[str]:
    """The full module names among `known` that `targets` and `layers` mean. Raises ConfigError if there is none."""
    found = _targets(known, targets)
    if not layers:
        return found
    wanted = _layer_ranges(layers, most=max(layer_of(name) for name in known))
    kept = {name for name in found if any(layer_of(name) in numbers for numbers in wanted)}
    if not kept:
        raise ConfigError(say("adapters.no_target_there", targets=targets, layers=layers))
    return kept


def end_names(save_whole: str) -> frozenset[str]:
    """ "embed_tokens,lm_head" → the names. Raises ConfigError for one that is not among ENDS."""
    names = frozenset(name.strip() for name in save_whole.split(",") if name.strip())
    for name in sorted(names.difference(ENDS)):
        near, allowed = near_names(name, ENDS), ", ".join(ENDS)
        raise ConfigError(say("settings.bad_choice", key="save_whole", value=name, near=near, allowed=allowed))
    return names


def layer_of(name: str) -> int:
    """The number of the layer that a module is in; -1: in none."""
    match = _LAYER.search(name)
    return int(match[1]) if match else -1


def _layer_ranges(layers: str, most: int) -> list[range]:
    """ "0,8-11" → the numbers. Raises ConfigError for what cannot be read, and for layers that the model lacks."""
    ranges = []
    for part in layers.split(","):
        match = _RANGE.fullmatch(part)
        numbers = range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
        if not numbers or numbers[-1] > most:
            allowed = say("settings.layers", most=most)
            raise ConfigError(say("settings.bad_value", key="layers", value=layers, allowed=allowed))
        ranges.append(numbers)
    return ranges


def _targets(known: list[str], targets: str) -> set[str]:
    if targets == ALL_LINEAR:
        return set(known)
    if len(targets) > 1 and targets.startswith("/") and targets.endswith("/"):
        chosen = {name for name in known if re.fullmatch(targets[1:-1], name)}
        return chosen or _no_target(targets, known)
    chosen = set()
    for wanted in (t.strip() for t in targets.split(",")):
        found = {name for name in known if name == wanted or name.endswith(f".{wanted}")}
        chosen |= found or _no_target(wanted, known)
    return chosen


def _no_target(wanted: str, known: list[str]) -> set[str]:
    names = sorted({name.rsplit(".", 1)[-1] for name in known})
    near = near_names(wanted, names)
    raise ConfigError(say("adapters.no_target", wanted=wanted, near=near, known=", ".join(names)))
