"""What an import did. In: items as they are read, out: counts by kind and reason, and the object of `--json`."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nabot.data.faults import Fault
from nabot.data.imports.types import Changed
from nabot.text import say, tallied

KINDS = ("conversations", "preferences", "passages")
MASKED = "masked"  # the list of what was masked, which is written beside them
FAULTS_KEPT = 1000  # of a file of gigabytes that is wrong throughout; all are counted


@dataclass
class FileReport:
    """One file that was read."""

    file: str
    format: str
    details: str = ""
    rows: int = 0  # items that were written

    def as_dict(self) -> dict[str, Any]:
        return {"file": self.file, "format": self.format, "rows": self.rows}


@dataclass
class ImportReport:
    """What was written, left out and found. Every row that was read is in `written` or `dropped`."""

    written: Counter[str] = field(default_factory=Counter)  # kind → items
    places: dict[str, Path] = field(default_factory=dict)  # kind → file, of the kinds that there were
    files: list[FileReport] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)  # reason, or kind of the row's first fault → rows
    changed: Counter[Changed] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)  # the first ones
    num_faults: int = 0
    passed_over: list[str] = field(default_factory=list)  # files of a folder that could not be used: why
    masks: bool = False  # whether personal data was to be masked
    masked: Counter[str] = field(default_factory=Counter)  # kind of personal data → how often it was masked

    def add_fault(self, fault: Fault, *, is_first: bool) -> None:
        """`is_first` in its row."""
        self.num_faults += 1
        if is_first:
            self.dropped[fault.kind] += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(fault)

    def told_masked(self) -> str:
        """What was masked, by kind; "" if nothing was to be."""
        kinds = tallied(self.masked.most_common())
        found = say("import.masked", kinds=kinds) if kinds else say("import.nothing_masked")
        return found if self.masks else ""

    def as_dict(self) -> dict[str, Any]:
        """What `nabot data import --json` prints; `out` is the file of conversations, or else the first one written."""
        places = {kind: str(self.places[kind]) if kind in self.places else None for kind in KINDS}
        return {
            "format": ", ".join(dict.fromkeys(report.format for report in self.files)),
            "rows": self.written.total(),
            "dropped": dict(self.dropped),
            "out": next(filter(None, places.values())),
            "written": {
                kind: {"file": places[kind], "rows": self.written[kind]} for kind in self.places if kind in KINDS
            },
            "changed": {f"{changed.kind}_{changed.name}": count for changed, count in self.changed.items()},
            "files": [report.as_dict() for report in self.files],
            "passed_over": self.passed_over,
            "faults": [fault.as_dict() for fault in self.faults],
            "masked": self.masked_as_dict(),
        }

    def masked_as_dict(self) -> dict[str, Any] | None:
        """Counts by kind, and the list for looking over, null if there was nothing to mask; None if nothing was to be."""
        if not self.masks:
            return None
        return {"counts": dict(self.masked), "file": str(self.places[MASKED]) if MASKED in self.places else None}
