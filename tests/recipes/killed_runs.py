"""Runs that are killed, for test_kills. In: a base, a folder, moments; out: a JSON line for each life of a run.

A run kills itself just before one of its own changes to the disk, or in the middle of a file that safetensors writes
without Python's knowledge, or between two steps; so the moments are spread over all of its life. One process imports
torch and forks for each run, since its start takes far longer than the runs.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nabot.adapters.peft_files
import nabot.train.checkpoints
import nabot.train.loop
from nabot.bot import is_finished, is_unfinished, read_record
from nabot.data import conversations_from
from nabot.errors import CheckpointError
from nabot.recipes.request import TuneRequest, Watcher
from nabot.recipes.settings import Settings
from nabot.recipes.tune import resume, tune

_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "shutil.copytree", "open")
_SETTINGS = {"epochs": 2, "save_every": 2, "keep": "best", "held_out": 4, "rehearsal_ratio": 0.1, "dropout": 0.1}


def tune_or_resume(out: Path, base: str, watcher: Watcher) -> None:
    """What a person does who reads the messages: go on if a run began here, else begin."""
    from tiny_model import conversations

    if is_unfinished(out):
        resume(out, watcher)
        return
    settings = Settings().with_values({**_SETTINGS, "threads": 1, "dtype": "float32"})
    tune(TuneRequest(conversations_from(conversations(16)), out, base, settings), watcher)


def live(out: Path, base: str, last_moment: int) -> int:
    """One life of a run: it ends at `last_moment` (0: never). Returns how many moments it had."""
    moments = 0

    def moment(*_: object) -> None:
        nonlocal moments
        moments += 1
        if moments == last_moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES or not arguments or str(out) not in str(arguments[0]):
            return
        reads = event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"))
        if not reads:
            moment()

    sys.addaudithook(listen)
    for module in (nabot.train.checkpoints, nabot.train.loop, nabot.adapters.peft_files):
        module.save_file = _torn(module.save_file, moment)
    tune_or_resume(out, base, Watcher(step=moment))
    return moments


def _torn(save_file: Callable[..., None], moment: Callable[[], None]) -> Callable[..., None]:
    """Writing a file takes time: here it is half there for a moment."""

    def save(tensors: Any, path: Path, **options: Any) -> None:
        moment()
        save_file(tensors, path, **options)
        content = path.read_bytes()
        os.truncate(path, len(content) // 2)
        moment()
        path.write_bytes(content)

    return save


def in_a_process(out: Path, base: str, last_moment: int) -> dict[str, Any]:
    """A life in a process of its own, and what it left behind."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, str(live(out, base, last_moment)).encode())
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        moments = pipe.read()
    return {
        "out": str(out),
        "moment": last_moment,
        "moments": int(moments or 0),
        "status": os.waitstatus_to_exitcode(status),
        "finished": is_finished(out),
        "passes_for_a_bot": _passes_for_a_bot(out),
    }


def _passes_for_a_bot(out: Path) -> bool:
    try:
        read_record(out)
    except CheckpointError:
        return False
    return True


def main(base: str, folder: Path, plan: list[list[float]]) -> None:
    """`plan`: for each run its moments of death, as shares of an undisturbed life. The first line is that life."""
    tune_or_resume(folder / "warm-up", base, Watcher())  # imports what torch only imports when it is first used
    whole = in_a_process(folder / "whole", base, 0)
    print(json.dumps(whole))
    for number, deaths in enumerate(plan):
        out = folder / f"run-{number}"
        for share in deaths:
            print(json.dumps(in_a_process(out, base, 1 + int(share * whole["moments"]))))
        if not is_finished(out):
            print(json.dumps(in_a_process(out, base, 0)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
