"""Flat settings → the records that the rooms take. In: key=value pairs, files, presets, out: Settings.

The keys are the fields of `LoraConfig`, `VirtualConfig`, `WholeConfig` and `TrainConfig`; each is known by its own name alone, so that a flag, a
`--set`, a line of a run.toml and a preset all say the same.
"""

import collections.abc
import contextlib
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nabot.adapters import METHODS, AdapterConfig, LoraConfig, VirtualConfig, WholeConfig
from nabot.adapters.virtual import VirtualMethod
from nabot.errors import ConfigError
from nabot.text import near_names, nearest, say
from nabot.train.config import TrainConfig

QLORA = "qlora"  # LoRA in a word of its own, see `recipes/qlora.py`
METHOD_NAMES = ("lora", QLORA, *(method for method in METHODS if method != "lora"))  # what a person may ask for
_LORAS = ("lora", QLORA)
_THREADS_A_CORE = 4
_A_SLIP = 0.75  # so alike is a key to the one that was meant: nobody needs the others
_TOP_LAYERS = 4  # that `freeze` leaves to learn
_VIRTUAL: dict[str, VirtualMethod] = {method: method for method in get_args(VirtualMethod)}
_RECORDS: dict[str, Any] = {"lora": LoraConfig, "virtual": VirtualConfig, "whole": WholeConfig, "train": TrainConfig}
Value = str | int | float | bool | dict[str, Any] | None


@dataclass(frozen=True)
class Settings:
    """All settings of a tuning run; those of methods other than `method` lie idle."""

    method: str = "lora"
    lora: LoraConfig = field(default_factory=LoraConfig)
    virtual: VirtualConfig = field(default_factory=VirtualConfig)
    whole: WholeConfig = field(default_factory=lambda: WholeConfig(top_layers=_TOP_LAYERS))
    train: TrainConfig = field(default_factory=TrainConfig)
    given: frozenset[str] = field(default=frozenset(), compare=False)  # keys that were asked for, not left as they are

    @property
    def adapter(self) -> AdapterConfig:
        """What the method attaches."""
        if self.method in _VIRTUAL:
            return replace(self.virtual, method=_VIRTUAL[self.method])
        if self.method in ("full", "freeze"):
            return WholeConfig(top_layers=0 if self.method == "full" else self.whole.top_layers)
        return self.lora

    @property
    def weights_dtype(self) -> str:
        """Weights that learn are float32 unless somebody says otherwise: in bfloat16 they need masters beside them."""
        chosen = self.train.dtype
        return "float32" if chosen == "auto" and isinstance(self.adapter, WholeConfig) else chosen

    def with_values(self, values: Mapping[str, Value]) -> "Settings":
        """These settings with some keys changed. Raises ConfigError naming the nearest key, or the values allowed."""
        known = dict(_keys())
        for key in values:
            if key not in known:
                near = near_names(key, list(known))
                listed = (
                    "" if nearest(key, list(known), alike=_A_SLIP) else say("settings.known", known=", ".join(known))
                )
                raise ConfigError(say("settings.unknown", key=key, near=near, known=listed))
        changes = {key: _converted(key, value, known[key]) for key, value in values.items()}
        if "rank" in changes and "alpha" not in changes and self.lora.alpha == 2 * self.lora.rank:
            changes["alpha"] = 2.0 * changes["rank"]
        records = {
            name: replace(getattr(self, name), **{k: v for k, v in changes.items() if k in _names(kind)})
            for name, kind in _RECORDS.items()
        }
        method = str(changes.get("method", self.method))
        settings = replace(self, **records, method=method, given=self.given | set(values))
        settings._check()
        return settings

    def as_dict(self) -> dict[str, Any]:
        """Flat and JSON-like; `with_values` of it gives the same settings."""
        flat = {k: v for name in _RECORDS for k, v in asdict(getattr(self, name)).items()}
        return {**flat, "method": self.method}

    def check_given(self) -> None:
        """Raises ConfigError for a key that was asked for and that this method does not look at, or contradicts."""
        looked_at = self.own_keys() - self.unused_keys()
        for key in sorted(self.given - looked_at - {"method"}):
            own = ", ".join(sorted(looked_at - _names(TrainConfig).keys())) or say("settings.none")
            raise ConfigError(say("settings.idle", key=key, method=self.method, own=own))
        if self.method == QLORA and "base_bits" in self.given:
            self._require("base_bits", lambda v: v != "dense", "file, nf4, int8 (qlora)")

    def own_keys(self) -> set[str]:
        """What this method looks at."""
        idle = {"method"} | ({"top_layers"} if self.method == "full" else set())
        idle |= set() if self.method in _LORAS else {"lora_plus"}
        idle |= {"places"} if self.method == "prefix" else set()  # keys and values stand in front
        idle |= {"base_bits"} if self.method in ("full", "freeze") else set()  # packed weights learn nothing
        idle |= {"encoder"} if self.method == "prompt" else set()  # it has none
        return {*asdict(self.adapter), *_names(TrainConfig)} - idle

    def unused_keys(self) -> set[str]:
        """Of `own_keys`, those that do nothing beside the others. Raises ConfigError for an encoder of another method."""
        if not isinstance(self.adapter, VirtualConfig):
            return set()
        unused = {"encoder_width"} if self.adapter.chosen_encoder() == "none" else set()
        return unused | ({"start_text"} if self.adapter.start != "text" else set())

    def check_together(self) -> None:
        """Raises ConfigError for settings of which each is possible, but not beside another; asked when all are known."""
        if self.train.optimizer_in_backward:
            self._require("max_norm", lambda v: v == 0, say("settings.no_clipping"))

    def check_threads(self) -> None:
        """Raises ConfigError if there are far more than this machine can run at once; torch dies of too many."""
        most = _THREADS_A_CORE * (os.cpu_count() or 1)
        self._require("threads", lambda v: v <= most, say("settings.threads", most=most))

    def _check(self) -> None:
        for key, value in self.as_dict().items():
            self._require(key, lambda v: not isinstance(v, float) or math.isfinite(v), say("settings.finite"))
            if isinstance(value, int):
                self._require(key, lambda v: v >= 0, "≥ 0")
                self._require(key, lambda v: v < 2**63, "< 2**63")
        for key in (
            "rank",
            "alpha",
            "batch_size",
            "row_tokens",
            "max_length",
            "lora_plus",
            "rehearsal_weight",
            "adam_epsilon",
        ):
            self._require(key, lambda v: v > 0, "> 0")
        for key in ("epochs", "minutes", "learning_rate"):
            self._require(key, lambda v: v is None or v > 0, "> 0")
        if self.method == "freeze":
            self._require("top_layers", lambda v: v > 0, "> 0")
        self._require("targets", _is_usable_pattern, say("settings.targets"))
        for key in ("weight_decay", "max_norm"):
            self._require(key, lambda v: v >= 0, "≥ 0")
        for key in ("dropout", "warmup_ratio", "rehearsal_ratio", "adam_beta1", "adam_beta2"):
            self._require(key, lambda v: 0 <= v < 1, "0 ≤ … < 1")

    def _require(self, key: str, holds: Any, allowed: str) -> None:
        value = self.as_dict()[key]
        if not holds(value):
            raise ConfigError(say("settings.bad_value", key=key, value=value, allowed=allowed))


# The talk's table (Taori et al. 2023, README) and tloen/alpaca-lora's finetune.py, to the letter.
PRESETS: dict[str, dict[str, Value]] = {
    "alpaca-7b": {
        "batch_size": 128,
        "learning_rate": 2e-5,
        "epochs": 3,
        "max_length": 512,
        "weight_decay": 0.0,
        "rehearsal_ratio": 0.0,
    },
    "alpaca-13b": {
        "batch_size": 128,
        "learning_rate": 1e-5,
        "epochs": 5,
        "max_length": 512,
        "weight_decay": 0.0,
        "rehearsal_ratio": 0.0,
    },
    "alpaca-lora": {
        "batch_size": 128,
        "learning_rate": 3e-4,
        "epochs": 3,
        "max_length": 256,
        "rank": 8,
        "alpha": 16,
        "dropout": 0.05,
        "targets": "q_proj,v_proj",
        "schedule": "linear",
        "held_out": 2000,
        "rehearsal_ratio": 0.0,
    },
}


def preset(name: str) -> dict[str, Value]:
    """The values of a preset. Raises ConfigError naming the known ones."""
    if name not in PRESETS:
        raise ConfigError(say("settings.unknown_preset", name=name, known=", ".join(PRESETS)))
    return PRESETS[name]


def parse_pairs(pairs: Sequence[str]) -> dict[str, Value]:
    """["rank=8", …] → {"rank": "8", …}. Raises ConfigError for one without "="."""
    values: dict[str, Value] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(say("settings.no_equals", pair=pair))
        values[key.strip().replace("-", "_")] = value.strip()
    return values


def read_toml(path: Path) -> dict[str, Value]:
    """The flat keys of a run.toml. Raises ConfigError if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(say("settings.bad_file", path=path, reason=error)) from error


def _keys() -> list[tuple[str, Any]]:
    keys = [(name, get_type_hints(kind)[name]) for kind in _RECORDS.values() for name in _names(kind)]
    return [("method", Literal[METHOD_NAMES]), *keys]


def _names(kind: type) -> dict[str, None]:
    """The record's own keys, in order; "method" stands above the records."""
    return {f.name: None for f in fields(kind) if f.name != "method"}


def _converted(key: str, value: Value, kind: Any) -> Any:
    """The value in the field's type. Raises ConfigError."""
    if get_origin(kind) is collections.abc.Mapping:
        return _table(key, value)
    choices = get_args(kind) if all(isinstance(a, str) for a in get_args(kind)) else ()
    if choices:
        if value not in choices:
            near, allowed = near_names(str(value), choices), ", ".join(choices)
            raise ConfigError(say("settings.bad_choice", key=key, value=value, near=near, allowed=allowed))
        return value
    if value is None or (isinstance(value, str) and value.lower() == "none" and type(None) in get_args(kind)):
        return None
    plain = next((t for t in (bool, int, float, str) if t is kind or t in get_args(kind)), None)
    if plain is None:
        return value
    try:
        return _plain(value, plain)
    except (ValueError, TypeError, OverflowError):
        raise ConfigError(say("settings.bad_value", key=key, value=value, allowed=plain.__name__)) from None


def _table(key: str, value: Value) -> dict[str, Any]:
    """A table of a TOML file, or one typed as JSON. Raises ConfigError."""
    try:
        table = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        table = None
    whole = key == "rank_pattern"
    if not isinstance(table, dict) or not all(_is_pattern(k) and _is_size(v, whole=whole) for k, v in table.items()):
        raise ConfigError(say("settings.bad_value", key=key, value=value, allowed='{"q_proj": 4}'))
    return table


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _is_size(value: object, *, whole: bool) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        return False
    return not whole or value == int(value)


def _is_usable_pattern(targets: str) -> bool:
    """Names are looked up later; a /pattern/ has to be one."""
    if not (len(targets) > 1 and targets.startswith("/") and targets.endswith("/")):
        return True
    return _is_pattern(targets[1:-1])


def _plain(value: Any, kind: type) -> Any:
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ValueError(value)
        return words[str(value).lower()]
    return _whole(value) if kind is int else kind(value)


def _whole(value: Any) -> int:
    """8, "8", 8.0 and "8e0" are whole. Not all by way of a float, which rounds above 2**53."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value)
        value = float(value)
    if value != int(value):
        raise ValueError(value)
    return int(value)
