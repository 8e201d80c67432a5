"""`kill -9` at any moment of a run: no folder looks finished that is not, and `resume` always goes on, bit for bit.

A child process kills itself just before or just after one of its own changes to the disk, so that the moments are
spread over all of them, from the first file to bot.toml; some more are drawn in the middle of the work between.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_model import conversations

from nabot.bot import is_finished, is_unfinished, read_record
from nabot.data import conversations_from
from nabot.errors import CheckpointError
from nabot.recipes.settings import Settings
from nabot.recipes.tune import TuneRequest, Watcher, resume, tune

MOMENTS = 10
ADAPTER = Path("adapter") / "adapter_model.safetensors"

# Runs in the child: counts every change to the disk below the bot's folder (Python's audit events name them all, also
# those made inside libraries) and every write of a file's content, and dies at the wanted one.
CHILD = r"""
import os, signal, sys
from pathlib import Path

out, base, wanted = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "shutil.copytree", "open"}
seen = 0


def moment(name):
    global seen
    seen += 1
    if seen == wanted:
        os.kill(os.getpid(), signal.SIGKILL)


def listen(event, arguments):
    if event not in CHANGES or not arguments or str(out) not in str(arguments[0]):
        return
    if event == "open" and not (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        return
    moment(event)


import nabot.recipes.tune as recipe
import nabot.train.checkpoints as checkpoints
import nabot.train.loop as loop
import nabot.adapters.peft_files as peft_files

for module in (checkpoints, loop, peft_files):  # safetensors writes without Python's knowledge
    def torn(tensors, path, *rest, _real=module.save_file, **keywords):
        moment("before")
        _real(tensors, path, *rest, **keywords)
        content = Path(path).read_bytes()
        os.truncate(path, len(content) // 2)  # as it stands in the middle of the writing
        moment("middle")
        Path(path).write_bytes(content)
    module.save_file = torn

from test_kills import tune_or_resume

sys.addaudithook(listen)
tune_or_resume(out, base, recipe.Watcher(step=lambda *_: moment("step")))
print(seen)
"""


def request(out: Path, base: str) -> TuneRequest:
    """The run that is killed: a few steps, many checkpoints, the best kept, probes and rehearsal on the way."""
    values = {"epochs": 2, "save_every": 2, "keep": "best", "held_out": 4, "rehearsal_ratio": 0.1, "dropout": 0.1}
    settings = Settings().with_values({**values, "threads": 1})
    return TuneRequest(conversations=conversations_from(conversations()), out=out, base=base, settings=settings)


def tune_or_resume(out: Path, base: str, watcher: Watcher = Watcher()) -> None:
    """What a person does who reads the messages: go on if a run began here, else begin."""
    if is_unfinished(out):
        resume(out, watcher)
    else:
        tune(request(out, base), watcher)


def _child(out: Path, base: Path, moment: int) -> "subprocess.CompletedProcess[str]":
    places = os.pathsep.join(str(p) for p in (Path(__file__).parent, Path(__file__).parents[1]))
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(out), str(base), str(moment)],
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the child: sums over other numbers of threads are rounded in another order."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A bot that nothing disturbed, and how many moments its making had."""
    out = tmp_path_factory.mktemp("uninterrupted") / "bot"
    done = _child(out, tiny_model_folder, 0)
    assert done.returncode == 0, done.stderr
    return out, int(done.stdout)


def assert_same_bot(out: Path, expected: Path) -> None:
    """Adapter bit for bit, and the same diary; nothing left lying about."""
    assert is_finished(out)
    assert read_record(out) == read_record(expected)
    assert (out / ADAPTER).read_bytes() == (expected / ADAPTER).read_bytes()
    for journal in ("metrics.jsonl", "samples.jsonl"):
        assert _without_times(out / "run" / journal) == _without_times(expected / "run" / journal)
    assert not list(out.rglob(".nabot-tmp-*"))


def _without_times(journal: Path) -> list[dict[str, object]]:
    records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("part", range(MOMENTS))
def test_a_run_killed_at_any_moment_goes_on_to_the_same_bot(
    part: int, uninterrupted: tuple[Path, int], tiny_model_folder: Path, tmp_path: Path
) -> None:
    expected, num_moments = uninterrupted
    # one in each tenth of its life, so that beginning and end have their share
    moment = 1 + random.Random(part).randrange(part * num_moments // MOMENTS, (part + 1) * num_moments // MOMENTS)
    out = tmp_path / "bot"
    killed = _child(out, tiny_model_folder, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if not is_finished(out):
        with pytest.raises(CheckpointError):  # the folder does not pass for a bot
            read_record(out)
        tune_or_resume(out, str(tiny_model_folder))
    assert_same_bot(out, expected)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_that_is_killed_again_and_again_comes_to_the_same_bot(
    uninterrupted: tuple[Path, int], tiny_model_folder: Path, tmp_path: Path
) -> None:
    expected, num_moments = uninterrupted
    out, rng = tmp_path / "bot", random.Random(1)
    for _ in range(3):
        killed = _child(out, tiny_model_folder, rng.randrange(num_moments // 4, num_moments // 2))
        assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
        if killed.returncode == 0:
            break
    if not is_finished(out):
        tune_or_resume(out, str(tiny_model_folder))
    assert_same_bot(out, expected)
