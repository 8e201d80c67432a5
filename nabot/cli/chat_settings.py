"""`/set NAME VALUE`. In: a `Sampling` and what was typed, out: the changed `Sampling`, or the settings as text."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from nabot.errors import ConfigError
from nabot.text import nearest, say
from nabot.textmodel import Sampling

NONE = "none"  # typed for no seed, no stop string, no system prompt
NAMES = tuple(f.name for f in fields(Sampling))
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')


def changed(sampling: Sampling, name: str, value: str) -> Sampling:
    """`sampling` with one setting as typed. Raises ConfigError for an unknown name or an impossible value."""
    field = setting_name(name)
    try:
        return replace(sampling, **{field: _PARSERS[field](value)})
    except ValueError:
        expected = say(f"chat.setting.{field}")
        raise ConfigError(say("chat.bad_value", name=field, seen=value, expected=expected)) from None


def setting_name(typed: str) -> str:
    """The field of `Sampling` that is meant; "top-p" is as good as "top_p". Raises ConfigError naming the nearest."""
    name = typed.lower().replace("-", "_")
    if name in NAMES:
        return name
    near = nearest(name, NAMES, count=1)
    text_id = "chat.unknown_setting_near" if near else "chat.unknown_setting"
    raise ConfigError(say(text_id, seen=typed, near="".join(near), known=", ".join(NAMES)))


def shown(sampling: Sampling, names: tuple[str, ...] = NAMES) -> str:
    """One line a setting: its name, its value as it would be typed, and what it means."""
    rows = [(name, _typed(getattr(sampling, name)), say(f"chat.setting.{name}")) for name in names]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {meaning}" for name, value, meaning in rows)


def _typed(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(json.dumps(text, ensure_ascii=False) for text in value) or NONE
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _whole_number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if number < least:
            raise ValueError
        return number

    return parse


def _number(allowed: Callable[[float], bool]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not (math.isfinite(number) and allowed(number)):
            raise ValueError
        return number

    return parse


def _seed(text: str) -> int | None:
    if text.lower() == NONE:
        return None
    seed = int(text)
    if not 0 <= seed < 2**63:  # what torch.Generator.manual_seed takes without turning it into another one
        raise ValueError
    return seed


def _stop(text: str) -> tuple[str, ...]:
    """Words, or texts in double quotes with JSON's escapes, so that a newline can be one."""
    if text.lower() == NONE:
        return ()
    words = [json.loads(word) if word.startswith('"') else word for word in _WORD.findall(text)]
    if not words or "" in words:
        raise ValueError
    return tuple(words)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "max_new_tokens": _whole_number(1),
    "repetition_penalty": _number(lambda x: x > 0),
    "temperature": _number(lambda x: x >= 0),
    "top_k": _whole_number(0),
    "top_p": _number(lambda x: 0 < x <= 1),
    "min_p": _number(lambda x: 0 <= x <= 1),
    "seed": _seed,
    "stop": _stop,
}
