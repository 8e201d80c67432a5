"""What a run writes down as it goes: one JSON object a line. In: records with a step, out: a file that can be cut back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nabot.artifacts import explained_disk_errors, json_lines, write_file


class Journal:
    """Appends records to a JSON Lines file, each flushed, so that a kill loses nothing but the last line's end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, record: Mapping[str, Any]) -> None:
        with explained_disk_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def cut_back(self, step: int) -> None:
        """Forgets records of later steps, and a last line that was cut off: a resumed run writes them again."""
        kept = [r for r in read_journal(self.path) if r["step"] <= step]
        write_file(self.path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept))


def read_journal(path: Path) -> list[dict[str, Any]]:
    """All whole records."""
    if not path.exists():
        return []
    return list(json_lines(path))
