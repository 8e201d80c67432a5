"""`kill -9` at any moment of a run: no folder looks finished that is not, and `resume` always goes on, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nabot.bot import is_finished, read_record

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor fork")
HERE = Path(__file__).parent
ADAPTER = Path("adapter") / "adapter_model.safetensors"
_RNG = random.Random(0)
# one death in each tenth of a life, so that beginning and end have their share; and a run that is killed three times
DEATHS = [[(tenth + _RNG.random()) / 10] for tenth in range(10)] + [[0.3, 0.3, 0.3]]


@pytest.fixture(scope="module")
def lives(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All runs of the plan, one after the other."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, str(HERE / "killed_runs.py"), str(tiny_model_folder), str(folder), json.dumps(DEATHS)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _of_run(lives: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [life for life in lives if Path(life["out"]).name == f"run-{number}"]


def _without_times(journal: Path) -> list[dict[str, object]]:
    records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


@pytest.mark.parametrize("number", range(len(DEATHS)))
def test_a_killed_run_never_looks_finished_unless_it_is(number: int, lives: list[dict[str, Any]]) -> None:
    killed = _of_run(lives, number)[: len(DEATHS[number])]
    assert {life["status"] for life in killed} == {-signal.SIGKILL}
    assert all(life["passes_for_a_bot"] == life["finished"] for life in killed)


@pytest.mark.parametrize("number", range(len(DEATHS)))
def test_a_killed_run_goes_on_to_the_very_same_bot(number: int, lives: list[dict[str, Any]]) -> None:
    whole, out = Path(lives[0]["out"]), Path(_of_run(lives, number)[-1]["out"])
    assert is_finished(out)
    assert read_record(out) == read_record(whole)
    assert (out / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    for journal in ("metrics.jsonl", "samples.jsonl"):
        assert _without_times(out / "run" / journal) == _without_times(whole / "run" / journal)
    assert sorted(p.name for p in out.rglob("*")) == sorted(p.name for p in whole.rglob("*"))
