"""What a run writes down before it begins, so that it can go on from its folder alone. In and out: BOT/run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nabot.artifacts import read_json, write_file, write_json
from nabot.conversation import Conversation
from nabot.errors import CheckpointError
from nabot.text import say

_SETTINGS, _ROWS = "settings.json", "conversations.jsonl"


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
        write_json(run / _SETTINGS, asdict(self))

    @classmethod
    def read(cls, run: Path) -> "RunPlan":
        """Raises CheckpointError if it is damaged."""
        try:
            raw = read_json(run / _SETTINGS)
            return cls(**{**raw, "probes": tuple(raw["probes"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(say("tune.bad_run", path=run / _SETTINGS, reason=error)) from error

    def check_base(self, base_hash: str, out: Path) -> None:
        """Notes the base's hash the first time. Raises CheckpointError if a resumed run finds other weights."""
        note = out / "run" / "base.json"
        if not note.exists():
            write_json(note, {"base": self.base, "hash": base_hash})
            return
        expected = read_json(note)["hash"]
        if expected != base_hash:
            raise CheckpointError(say("tune.base_changed", base=self.base, expected=expected[:12], seen=base_hash[:12]))


def write_rows(run: Path, conversations: Sequence[Conversation]) -> None:
    """The rows as they were read, one a line."""
    lines = (json.dumps(c.as_dict(), ensure_ascii=False) for c in conversations)
    write_file(run / _ROWS, "".join(f"{line}\n" for line in lines))


def read_rows(run: Path) -> list[Conversation]:
    """The rows of `write_rows`."""
    lines = (run / _ROWS).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Conversation.of(row["messages"], row.get("tools", ())) for row in rows]
