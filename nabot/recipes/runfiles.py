"""What a run writes down before it begins, so that it can go on from its folder alone. In and out: BOT/run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nabot.artifacts import json_lines, read_json, write_file, write_json
from nabot.conversation import Conversation
from nabot.errors import CheckpointError
from nabot.text import say

SETTINGS, _ROWS, _GROUND = "settings.json", "conversations.jsonl", "ground.json"


@dataclass(frozen=True)
class RunPlan:
    """What was asked for."""

    base: str
    template: str = ""  # "": the model's own
    system: str = ""
    probes: tuple[str, ...] = ()
    start: str = ""  # folder below BOT/run with the adapter to go on with
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)  # file → SHA-256

    def write(self, run: Path) -> None:
        write_json(run / SETTINGS, asdict(self))

    @classmethod
    def read(cls, run: Path) -> "RunPlan":
        """Raises CheckpointError if it is damaged."""
        try:
            raw = read_json(run / SETTINGS)
            return cls(**{**raw, "probes": tuple(raw["probes"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(say("tune.bad_run", path=run / SETTINGS, reason=error)) from error

    def check_ground(self, ground: dict[str, Any], out: Path) -> list[str]:
        """Notes what the run stands on the first time: "base" (a hash), and what else its bits depend on.

        Returns the keys that have changed since. Raises CheckpointError if a resumed run finds other weights.
        """
        note = out / "run" / _GROUND
        if not note.exists():
            write_json(note, ground)
            return []
        before = read_json(note)
        expected, seen = before["base"], ground["base"]
        if expected != seen:
            raise CheckpointError(say("tune.base_changed", base=self.base, expected=expected[:12], seen=seen[:12]))
        return [f"{key} {before.get(key)} → {value}" for key, value in ground.items() if before.get(key) != value]


def write_rows(run: Path, conversations: Sequence[Conversation]) -> None:
    """The rows as they were read, one a line."""
    lines = (json.dumps(c.as_dict(), ensure_ascii=False) for c in conversations)
    write_file(run / _ROWS, "".join(f"{line}\n" for line in lines))


def read_rows(run: Path) -> list[Conversation]:
    """The rows of `write_rows`."""
    return [Conversation.of(row["messages"], row.get("tools", ())) for row in json_lines(run / _ROWS)]
