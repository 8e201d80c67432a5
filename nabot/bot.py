"""A bot on disk. In: a folder, out: the record in its bot.toml; and back.

BOT/bot.toml        written last: there is none until the re-read adapter gave the same logits
BOT/adapter/        what was learned, in PEFT's layout
BOT/template.jinja  the chat template that it was trained with
BOT/report/         report.html, report.json
BOT/run/            checkpoints, metrics.jsonl, samples.jsonl, settings.json
BOT/manifest.json   what made it: inputs with hashes, settings, versions, counts, figures, licences
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import tomli_w

from nabot.artifacts import read_json, write_file
from nabot.errors import CheckpointError, ConfigError
from nabot.text import near_names, nearest, say, system_reason
from nabot.textmodel import Sampling

RECORD, ADAPTER, TEMPLATE, RUN, REPORT, MANIFEST = (
    "bot.toml",
    "adapter",
    "template.jinja",
    "run",
    "report",
    "manifest.json",
)
FORMAT = 1
BOTS = Path("bots")  # where a person keeps them, unless they say otherwise
_TEXTS = ("base", "base_hash", "base_licence", "base_bits", "method", "template", "system")


@dataclass(frozen=True)
class BotRecord:
    """What bot.toml says. `template` is the name of a built-in template or "model"; its text is in template.jinja."""

    base: str
    base_hash: str
    base_licence: str = "unknown"
    base_bits: str = "dense"  # how its linears were held while it learned, and are held when it answers
    method: str = "lora"
    template: str = "model"
    system: str = ""
    stop: tuple[str, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)  # this bot's defaults, by the fields of `Sampling`
    format: int = FORMAT

    def sampling_with(self, **changes: Any) -> Sampling:
        """The bot's defaults with some fields changed; None means unchanged. Raises ConfigError for a bad value."""
        own = {k: v for k, v in changes.items() if v is not None}
        return Sampling(**_with_tuples({"stop": self.stop, **self.sampling, **own}))


def is_finished(folder: Path) -> bool:
    """There is a bot here, whole."""
    return (folder / RECORD).is_file()


def is_unfinished(folder: Path) -> bool:
    """A run began here and has not become a bot yet."""
    return (folder / RUN / "settings.json").is_file() and not is_finished(folder)


def bots_like(name: str) -> list[str]:
    """Folders of bots beside `name`, here or in bots/, that it may have been meant to be, best first."""
    wanted = Path(name)
    found = [bot for folder in dict.fromkeys((wanted.parent, Path(), BOTS)) for bot in _bots_in(folder)]
    near = nearest(wanted.name, sorted({bot.name for bot in found}))
    return [bot.as_posix() for like in near for bot in found if bot.name == like]


def _bots_in(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if is_finished(entry) or is_unfinished(entry))
    except (OSError, ValueError):  # ValueError: what was typed holds a zero byte
        return []


def write_record(folder: Path, record: BotRecord) -> None:
    """The last file of a bot: from now on it counts."""
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(record).items()}
    write_file(folder / RECORD, tomli_w.dumps(values))


def read_record(folder: Path) -> BotRecord:
    """Raises CheckpointError if there is no bot, only an unfinished one, or a bot.toml that cannot be read."""
    path = folder / RECORD
    if is_unfinished(folder):
        raise CheckpointError(say("bot.unfinished", folder=folder))
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        meant = bots_like(str(folder))
        near = say("error.did_you_mean", names=", ".join(meant)) if meant else say("bot.none_near")
        raise CheckpointError(say("bot.none", folder=folder, near=near)) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(say("bot.unreadable", path=path, reason=error)) from error
    if raw.get("format") != FORMAT:
        raise CheckpointError(say("bot.format", path=path, seen=raw.get("format"), expected=FORMAT))
    return _checked(path, raw)


def _checked(path: Path, raw: Mapping[str, Any]) -> BotRecord:
    """The record that a file's keys make; a person may have edited them. Raises CheckpointError naming the key."""
    for key in _TEXTS:
        if not isinstance(seen := raw.get(key, getattr(BotRecord, key, None)), str):
            raise CheckpointError(say("bot.not_text", path=path, key=key, seen=_shown(seen)))
    own = raw.get("sampling", {})
    if not isinstance(own, dict):
        raise CheckpointError(say("bot.sampling_not_table", path=path, seen=_shown(own)))
    names = [f.name for f in fields(Sampling)]
    for key in (key for key in own if key not in names):
        near = near_names(key, names)
        raise CheckpointError(say("bot.unknown_sampling", path=path, key=key, near=near, known=", ".join(names)))
    record = BotRecord(**_with_tuples({f.name: raw[f.name] for f in fields(BotRecord) if f.name in raw}))
    try:
        record.sampling_with()
        record.sampling_with(stop=record.stop)  # which [sampling] may hide behind a stop of its own
    except ConfigError as error:
        raise CheckpointError(say("bot.bad_sampling", path=path, reason=error)) from error
    return record


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lists, as TOML has them, become tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _shown(value: Any) -> str:
    return say("bot.nothing") if value is None else repr(value)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What made the bot. Raises CheckpointError if it is missing or damaged."""
    try:
        manifest: dict[str, Any] = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise CheckpointError(say("bot.unreadable", path=folder / MANIFEST, reason=_reason(error))) from error
    return manifest


def read_template(folder: Path) -> str:
    """The Jinja source of the bot's chat template. Raises CheckpointError if it is missing or damaged."""
    try:
        return (folder / TEMPLATE).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(say("bot.unreadable", path=folder / TEMPLATE, reason=_reason(error))) from error


def _reason(error: Exception) -> str:
    """Without the path, which the message names already."""
    return system_reason(error) if isinstance(error, OSError) else str(error)
