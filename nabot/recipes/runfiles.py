"""The folder of a run: what it writes down so that it can go on from there alone, and what is cleared away.

In and out: BOT/run.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nabot.artifacts import is_whole, json_lines, read_json, remove_leftovers, write_file, write_json
from nabot.bot import ADAPTER, RECORD, REPORT, RUN, is_finished, is_unfinished
from nabot.conversation import Conversation
from nabot.errors import CheckpointError, ConfigError
from nabot.recipes.settings import Settings
from nabot.text import say

SETTINGS, REHEARSAL, _ROWS, _GROUND = "settings.json", "rehearsal.jsonl", "conversations.jsonl", "ground.json"
EXAM = "exam.jsonl"  # if there is one
_NAMES_SHOWN = 3


@dataclass(frozen=True)
class RunPlan:
    """What was asked for."""

    base: str
    template: str = ""  # "": the model's own
    system: str = ""
    probes: tuple[str, ...] = ()
    began: str = "1970-01-01T00:00:00"  # local time; what a template that writes the date takes for today
    start: str = ""  # folder below BOT/run with the adapter to go on with
    parent: str = ""  # the bot that this adapter was taken from, as the person named it
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)  # file → SHA-256

    def write(self, run: Path) -> None:
        write_json(run / SETTINGS, asdict(self))

    @classmethod
    def read(cls, run: Path) -> "RunPlan":
        """Raises CheckpointError if it is damaged."""
        path = run / SETTINGS
        with _explained(path):
            raw = read_json(path)
            plan = cls(**{**raw, "probes": tuple(raw["probes"])})
            datetime.fromisoformat(plan.began)
            texts = (plan.base, plan.template, plan.system, plan.start, plan.parent, *plan.probes)
            "".join(texts)  # raises if one of them is none
            Settings().with_values(plan.settings)
            return plan

    def check_ground(self, ground: dict[str, Any], out: Path) -> list[str]:
        """Notes what the run stands on the first time: "base" (a hash), and what else its bits depend on.

        Returns the keys that have changed since. Raises CheckpointError if a resumed run finds other weights.
        """
        note = out / RUN / _GROUND
        if not note.exists():
            write_json(note, ground)
            return []
        with _explained(note):
            before = dict(read_json(note))
            expected, seen = str(before["base"]), ground["base"]
        if expected != seen:
            raise CheckpointError(say("tune.base_changed", base=self.base, expected=expected[:12], seen=seen[:12]))
        return [f"{key} {before.get(key)} → {value}" for key, value in ground.items() if before.get(key) != value]


def write_rows(run: Path, conversations: Sequence[Conversation]) -> None:
    """The rows as they were read, one a line."""
    lines = (json.dumps(c.as_dict(), ensure_ascii=False) for c in conversations)
    write_file(run / _ROWS, "".join(f"{line}\n" for line in lines))


def read_rows(run: Path) -> list[Conversation]:
    """The rows of `write_rows`. Raises CheckpointError if they are damaged."""
    with _explained(run / _ROWS):
        return [Conversation.of(row["messages"], row.get("tools", ())) for row in json_lines(run / _ROWS)]


def refuse_to_overwrite(out: Path, *, force: bool) -> None:
    """Raises ConfigError if `out` cannot take a new bot; a person's own folder never can, not even with `force`."""
    if out.exists() and not out.is_dir():
        raise ConfigError(say("tune.out_is_file", out=out))
    own = _own_names(out)
    if own:
        seen = ", ".join(own[:_NAMES_SHOWN]) + (", …" if len(own) > _NAMES_SHOWN else "")
        raise ConfigError(say("tune.out_not_empty", out=out, seen=seen))
    if force:
        return
    if is_finished(out):
        raise ConfigError(say("tune.out_is_bot", out=out))
    if is_unfinished(out):
        raise ConfigError(say("tune.out_is_unfinished", out=out))


def _own_names(out: Path) -> list[str]:
    """What a person has in `out`: nothing if a run wrote its rows there, which it does first and never takes away."""
    if not out.exists() or is_finished(out) or is_unfinished(out) or (out / RUN / _ROWS).is_file():
        return []
    there = [*out.iterdir(), *(out / RUN).glob("*")]
    return sorted(str(p.relative_to(out)) for p in there if is_whole(p) and p != out / RUN)


def clear(out: Path) -> None:
    """Takes the old bot away, its record first: a half-deleted one must not look finished."""
    for name in (RECORD, f"{RUN}/{SETTINGS}"):
        (out / name).unlink(missing_ok=True)
    for name in (ADAPTER, REPORT):
        if (out / name).exists():
            shutil.rmtree(out / name)


def remove_run(out: Path) -> None:
    """Takes away what nabot keeps in BOT/run, and nothing else that may lie there."""
    for name in ("checkpoints", "best", "start"):
        if (out / RUN / name).exists():
            shutil.rmtree(out / RUN / name)
    for name in (REHEARSAL, EXAM, _GROUND, "metrics.jsonl", "samples.jsonl"):
        (out / RUN / name).unlink(missing_ok=True)


def tidy(out: Path) -> None:
    """Clears away what a killed run left half-written."""
    for folder in (out, out / RUN, out / RUN / "best"):
        remove_leftovers(folder)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What goes wrong where a file of the run is read becomes a CheckpointError that names the file."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ConfigError) as error:
        raise CheckpointError(say("tune.bad_run", path=path, reason=error)) from error
