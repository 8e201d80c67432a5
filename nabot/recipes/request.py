"""What a tuning run is asked for, and who looks on. In: what a person typed, out: records.

`nabot.recipes.tune` works them off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data import read_conversations
from nabot.recipes.settings import Settings
from nabot.sources import Progress
from nabot.text import say
from nabot.train.checkpoints import RunState
from nabot.train.step import StepStats


@dataclass(frozen=True)
class Watcher:
    """Who looks on: all optional, none changes the run."""

    pulling: Progress | None = None
    phase: Callable[[str], None] = lambda _: None  # what begins now, in words
    step: Callable[[RunState, StepStats], None] = lambda *_: None
    held_out: Callable[[RunState], None] = lambda _: None
    probe: Callable[[int, str, str], None] = lambda *_: None  # step, question, answer
    rehearsed: Callable[[int, int], None] = lambda *_: None  # everyday questions answered by the base, of how many
    examined: Callable[[int, float], None] = lambda *_: None  # step, share of right answers
    stopping: Callable[[int], None] = lambda _: None  # after which step, because a signal came
    note: Callable[[str], None] = lambda _: None  # something worth knowing, in words


@dataclass(frozen=True)
class TuneRequest:
    """What the person asked for."""

    conversations: Sequence[Conversation]
    out: Path
    base: str
    settings: Settings = field(default_factory=Settings)
    template: str = ""
    system: str = ""
    probes: tuple[str, ...] = ()
    exam: Path | None = None  # some of its questions are asked with the probes
    start_from: Path | None = None  # a bot whose adapter this one goes on with
    inputs: tuple[Path, ...] = ()  # files that the conversations came from, for the manifest
    force: bool = False


def request_from_files(paths: Sequence[Path], *, skip_faulty: bool, watcher: Watcher, **fields: Any) -> TuneRequest:
    """A request whose conversations come from files. Raises DataError listing what is wrong with them."""
    rows = read_conversations(
        paths,
        skip_faulty=skip_faulty,
        on_skip=lambda faults: watcher.note(say("tune.skipped", count=len(faults))),
        on_note=lambda note: watcher.note(note.message),
    )
    return TuneRequest(conversations=rows, inputs=tuple(paths), **fields)
