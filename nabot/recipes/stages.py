"""Work in stages, none of which is done twice. In: what a stage reads, is told and writes, out: its figures.

A stage whose files and settings are those of the last time, and whose results still lie where it left them, is passed over
and its figures of then are given back. What counts is the content of files, not their dates or names. Results that people
may change are used as they have become; where such a stage has to be done again, they are kept aside.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nabot.artifacts import file_sha256, read_json, write_json
from nabot.synth.journal import put_aside

Figures = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """One piece of work. `work` hears whether the same work was begun before and cut off, so that it can go on there."""

    name: str
    reads: Sequence[Path]  # files; those that are missing count as missing
    told: Mapping[str, Any]  # settings, of what JSON can hold
    writes: Sequence[Path]  # files that are there when it is done; optional ones may be missing
    work: Callable[[bool], Figures]
    is_editable: bool = False  # what it writes is for people to read and change


class Stages:
    """The records of what was done, one file a stage in `folder`."""

    def __init__(
        self,
        folder: Path,
        on_stage: Callable[[str, bool], None] = lambda *_: None,
        on_aside: Callable[[Path, Path], None] = lambda *_: None,
        *,
        fresh: bool = False,
    ) -> None:
        """`on_stage` hears each stage's name when its turn comes, and whether it is passed over; `on_aside` of each file that a
        person changed, and where it is kept. `fresh`: every stage is done again, from its beginning."""
        self._folder, self._on_stage, self._on_aside, self._fresh = folder, on_stage, on_aside, fresh

    def run(self, stage: Stage) -> Figures:
        """The figures of the stage, from now or from the last time."""
        place = self._folder / f"{stage.name}.json"
        key, before = _key(stage), _record(place)
        is_same = before.get("key") == key and not self._fresh
        wrote, there = before.get("wrote") or [], _hashes(stage.writes)
        changed = [path for path, then, now in zip(stage.writes, wrote, there, strict=False) if now and now != then]
        is_there = bool(wrote) and all(now or not then for then, now in zip(wrote, there, strict=False))
        passed_over = is_same and is_there and (stage.is_editable or not changed)
        self._on_stage(stage.name, passed_over)
        if not passed_over:
            for path in changed if stage.is_editable else ():
                self._on_aside(path, put_aside(path) or path)
            write_json(place, {"key": key, "replaces": there})
            figures = stage.work(is_same)
            before = {"key": key, "wrote": _hashes(stage.writes), "figures": figures}
            write_json(place, before)
        return dict(before["figures"])

    def is_own(self, name: str, writes: Sequence[Path]) -> bool:
        """Whether this stage wrote what lies there, or lay there when it began and is to be replaced by it."""
        record = _record(self._folder / f"{name}.json")
        return _hashes(writes) in (record.get("wrote"), record.get("replaces"))


def _key(stage: Stage) -> str:
    """Everything that the results depend on, in one number."""
    told = {"version": version("nabot"), "told": stage.told, "reads": _hashes(stage.reads)}
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
