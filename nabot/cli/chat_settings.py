"""`/set NAME VALUE`. In: a `Sampling` and what was typed, out: the changed `Sampling`, or the settings as text."""

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from rich.cells import cell_len, set_cell_size

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
    except (ValueError, ConfigError):
        expected = say(f"sampling.field.{field}")
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
    rows = [(name, _typed(getattr(sampling, name)), say(f"sampling.field.{name}")) for name in names]
    widths = [max(cell_len(row[column]) for row in rows) for column in (0, 1)]  # columns; 가 takes two
    padded = ([set_cell_size(text, width) for text, width in zip(row, widths, strict=False)] for row in rows)
    return "\n".join(f"  {name}  {value}  {row[2]}" for (name, value), row in zip(padded, rows, strict=True))


def _typed(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(json.dumps(text, ensure_ascii=False) for text in value) or NONE
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _seed(text: str) -> int | None:
    return None if text.lower() == NONE else int(text)


def _stop(text: str) -> tuple[str, ...]:
    """Words, or texts in double quotes with JSON's escapes, so that a newline can be one."""
    if text.lower() == NONE:
        return ()
    words = [json.loads(word) if word.startswith('"') else word for word in _WORD.findall(text)]
    if not words:  # no stop strings are written "none"
        raise ValueError
    return tuple(words)


_PARSERS: dict[str, Callable[[str], Any]] = {  # what a value may be, `Sampling` knows
    "max_new_tokens": int,
    "repetition_penalty": float,
    "presence_penalty": float,
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "min_p": float,
    "seed": _seed,
    "stop": _stop,
}
