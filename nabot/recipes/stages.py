"""Work in stages, none of which is done twice. In: what a stage reads, is told and writes, out: its figures.

A stage whose files and settings are those of the last time, and whose results still lie where it left them, is passed over
and its figures of then are given back. What counts is the content of files, not their dates or names.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nabot.artifacts import file_sha256, read_json, write_json

Figures = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One piece of work. `work` hears whether the same work was begun before and cut off, so that it can go on there."""

    name: str
    reads: Sequence[Path]  # files; those that are missing count as missing
    told: Mapping[str, Any]  # settings, of what JSON can hold
    writes: Sequence[Path]  # files that are there when it is done; optional ones may be missing
    work: Callable[[bool], Figures]


class Stages:
    """The records of what was done, one file a stage in `folder`."""

    def __init__(self, folder: Path, on_stage: Callable[[str, bool], None] = lambda *_: None) -> None:
        """`on_stage` hears each stage's name when its turn comes, and whether it is passed over."""
        self._folder, self._on_stage = folder, on_stage

    def run(self, stage: Stage) -> Figures:
        """The figures of the stage, from now or from the last time."""
        place = self._folder / f"{stage.name}.json"
        key, before = _key(stage), _record(place)
        is_same = before.get("key") == key
        passed_over = is_same and before.get("wrote") == _hashes(stage.writes)
        self._on_stage(stage.name, passed_over)
        if not passed_over:
            write_json(place, {"key": key})
            figures = stage.work(is_same)
            before = {"key": key, "wrote": _hashes(stage.writes), "figures": figures}
            write_json(place, before)
        return dict(before["figures"])


def _key(stage: Stage) -> str:
    """Everything that the results depend on, in one number."""
    told = {"version": version("nabot"), "told": stage.told, "reads": sorted(filter(None, _hashes(stage.reads)))}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _hashes(paths: Sequence[Path]) -> list[str | None]:
    return [file_sha256(path) if path.is_file() else None for path in paths]


def _record(place: Path) -> dict[str, Any]:
    """What was written the last time; nothing if it is not there or damaged, and then the stage is done again."""
    try:
        found = read_json(place)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
