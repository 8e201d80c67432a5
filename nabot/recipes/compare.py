"""Which method for these rows? In: rows, a base, methods, an exam, out: one bot a cell, a table and a figure.

A cell is one method with one seed. It is tuned by `nabot tune` in a process of its own, so that its peak memory is its
own; then it sits the exam, and answers a few questions for the clock. A finished cell is never run again.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nabot.adapters import load_adapter
from nabot.artifacts import file_sha256, read_json, write_json
from nabot.bot import ADAPTER, RUN, is_finished, is_unfinished, read_manifest
from nabot.data import ExamQuestion, read_exam
from nabot.errors import CheckpointError, ConfigError, Stopped
from nabot.evals.exam import GENERAL, Marked, Sheet, result, sit
from nabot.recipes.opening import Opened, open_base_of, open_source
from nabot.recipes.qlora import spelt_out
from nabot.recipes.rehearsal import answers_of_base, everyday_questions
from nabot.recipes.settings import Settings, Value
from nabot.recipes.signals import Signals
from nabot.sources import base_hash, resolve
from nabot.text import say
from nabot.textmodel import Sampling
from nabot.train.journal import read_journal

_ASKED, _BASE, _ROW = "asked.json", "base.json", "row.json"
_POLL_SECONDS = 0.2
_ANSWER_TOKENS = 64
_TIMED_QUESTIONS = 6
_PASSED = 0.7  # the accuracy whose moment is told


@dataclass(frozen=True)
class Comparison:
    """What is asked. `settings` go to every method that has such a key."""

    data: tuple[Path, ...]
    base: str
    exam: Path
    out: Path
    methods: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    minutes: float | None = None
    settings: tuple[tuple[str, Value], ...] = ()

    def cells(self) -> Iterator[tuple[str, int, Path]]:
        """Method, seed and folder of every cell; the first seed of all methods comes first, so that a table with one
        row for each is there soon."""
        for seed in self.seeds:
            for method in self.methods:
                yield method, seed, self.out / f"{method}-{seed}"


def compare(asked: Comparison, note: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Runs what has not been run and returns `{"base": …, "rows": [...]}`, one row a cell.

    Raises ConfigError for settings that do not fit or a folder with another comparison, and Stopped on Ctrl-C: the next
    call goes on from there.
    """
    questions = read_exam(asked.exam)
    arguments = {method: list(_arguments(asked, method)) for method in asked.methods}
    _refuse_other_question(asked)
    base = _base(asked, questions, note)
    rows = []
    cells = list(asked.cells())
    if not all((folder / _ROW).exists() for _, _, folder in cells):
        _ask_everyday_questions(asked)
    for number, (method, seed, folder) in enumerate(cells, 1):
        path = folder / _ROW
        if not path.exists():
            note(say("compare.cell", number=number, count=len(cells), method=method, seed=seed))
            figures = _tuned(folder, [*arguments[method], "--seed", str(seed)])
            write_json(path, _examined(method, seed, folder, figures, questions, base))
        rows.append(read_json(path))
    found = {"base": base["figures"], "rows": rows}
    write_json(asked.out / "table.json", found)
    return found


def _refuse_other_question(asked: Comparison) -> None:
    """Cells are comparable if all but method and seed is the same. Raises ConfigError if the folder's were not."""
    path = asked.out / _ASKED
    question = {
        "data": [file_sha256(p) for p in asked.data],
        "exam": file_sha256(asked.exam),
        "base": base_hash(resolve(asked.base).path),
        "minutes": asked.minutes,
        "settings": {key: str(value) for key, value in asked.settings},
    }
    if not path.exists():
        write_json(path, question)
    before = read_json(path)
    changed = [key for key, value in question.items() if before.get(key) != value]
    if changed:
        raise ConfigError(say("compare.other_question", out=asked.out, changed=", ".join(changed)))


# ---- tuning


def _arguments(asked: Comparison, method: str) -> Iterator[str]:
    """Of `nabot tune`, but for the seed. Raises ConfigError for settings that the method could not take."""
    pairs = dict(asked.settings)
    for key in ("method", "seed"):
        if key in pairs:
            raise ConfigError(say("compare.fixed", key=key))
    if asked.minutes is not None and "epochs" in pairs:
        raise ConfigError(say("tune.epochs_and_minutes"))
    Settings().with_values(pairs)  # keys that nobody has, values that nobody takes
    owns = {m: _own_pairs(m, pairs) for m in asked.methods}
    for key in pairs.keys() - set().union(*owns.values()):
        raise ConfigError(say("compare.nobodys", key=key, methods=", ".join(asked.methods)))
    own = owns[method]
    settings = Settings(method=method).with_values({**own, "minutes": asked.minutes})
    settings.check_together()
    settings.check_given()
    yield from (*map(str, asked.data), "--base", asked.base, "--method", method, "--exam", str(asked.exam))
    if asked.minutes is not None:
        yield from ("--minutes", str(asked.minutes))
    for key, value in own.items():
        yield from ("--set", f"{key}={value}")


def _ask_everyday_questions(asked: Comparison) -> None:
    """So that no cell pays out of its minutes for what the others find done (`recipes/rehearsal.py`)."""
    forms = set()
    for method in asked.methods:
        settings = Settings(method=method).with_values(_own_pairs(method, dict(asked.settings)))
        train = spelt_out(settings, asked.base).train
        if train.rehearsal_ratio:
            forms.add((settings.weights_dtype, train.base_bits, train.device))
    for dtype, base_bits, device in sorted(forms):
        opened = open_source(asked.base, dtype=dtype, device=device, base_bits=base_bits)
        if opened.tokenizer.chat_template:  # others are not rehearsed
            answers_of_base(opened, everyday_questions(), base_bits)


def _own_pairs(method: str, pairs: Mapping[str, Value]) -> dict[str, Value]:
    """Those that the method looks at."""
    settings = Settings(method=method)
    own = {key: value for key, value in pairs.items() if key in settings.own_keys()}
    return {key: value for key, value in own.items() if key not in settings.with_values(own).unused_keys()}


def _tuned(folder: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """The figures of the bot in `folder`, which is tuned, or gone on with, if it is not finished."""
    if not is_finished(folder):
        command = [sys.executable, "-m", "nabot", "tune", "--json"]
        command += ["--resume", str(folder)] if is_unfinished(folder) else [*arguments, "--out", str(folder)]
        status = _run(command)
        if status:
            error = CheckpointError(say("compare.failed", folder=folder, status=status))
            error.exit_status = status
            raise error
    return dict(read_manifest(folder)["figures"])


def _run(command: Sequence[str]) -> int:
    """The exit status of a child that hears of a signal once, from here: a second one would end it unsaved."""
    stopping = Signals()
    with stopping:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, **_apart())
        told = False
        while child.poll() is None:
            if stopping.number and not told:
                child.send_signal(signal.SIGINT if os.name == "posix" else signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined,unused-ignore]
                told = True
            time.sleep(_POLL_SECONDS)
    if stopping.number:
        raise Stopped(say("compare.stopped"), stopping.number)
    return child.returncode


def _apart() -> dict[str, Any]:
    """Where a terminal's Ctrl-C does not reach the child by itself."""
    if os.name == "posix":
        return {"start_new_session": True}
    return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}


# ---- examining


def _base(asked: Comparison, questions: Sequence[ExamQuestion], note: Callable[[str], None]) -> dict[str, Any]:
    """The base's figures and its marks, which every cell is held against; once for a folder."""
    path = asked.out / _BASE
    if not path.exists():
        note(say("compare.base"))
        base_bits = str(dict(asked.settings).get("base_bits", "dense"))
        opened = open_source(asked.base, base_bits=base_bits)
        sheet = sit(opened.engine(), questions, Sampling(max_new_tokens=_ANSWER_TOKENS))
        figures = {"accuracy": sheet.figures()["accuracy"], **_clocked(opened, questions)}
        marks = [{k: v for k, v in asdict(mark).items() if k != "question"} for mark in sheet.marks]
        write_json(path, {"figures": figures, "marks": marks, "seconds": sheet.seconds})
    return dict(read_json(path))


def _examined(
    method: str,
    seed: int,
    folder: Path,
    tuned: dict[str, Any],
    questions: Sequence[ExamQuestion],
    base: dict[str, Any],
) -> dict[str, Any]:
    opened, record = open_base_of(folder)
    load_adapter(opened.decoder, folder / ADAPTER)
    sheet = sit(opened.engine(), questions, record.sampling_with(max_new_tokens=_ANSWER_TOKENS))
    before = Sheet(tuple(Marked(q, **mark) for q, mark in zip(questions, base["marks"], strict=True)), base["seconds"])
    figures = result(folder, {"base": before, "tuned": sheet})
    mine = figures["results"]["tuned"]
    return {
        "method": method,
        "seed": seed,
        **{key: tuned[key] for key in ("trainable", "adapter_bytes", "steps", "tokens_per_second")},
        "minutes": round(tuned["seconds"] / 60, 2),
        "peak_memory_bytes": tuned["peak_memory_bytes"],
        "held_out_loss": tuned["loss"]["held_out"],
        **{key: mine[key] for key in ("accuracy", "low", "high", "stopped")},
        "kept": figures["general"]["kept"],
        "minutes_to_70": minutes_to(_PASSED, read_journal(folder / RUN / "metrics.jsonl")),
        **_clocked(opened, questions),
    }


def minutes_to(accuracy: float, metrics: Sequence[dict[str, Any]]) -> float | None:
    """Minutes of tuning until the exam's share of right answers reached `accuracy`, on the straight line between the
    looks around that moment; None if it never did."""
    minutes = earlier = 0.0
    reached = 0.0
    for line in metrics:
        minutes += line.get("seconds", 0.0) / 60
        if "accuracy" in line:
            if line["accuracy"] >= accuracy:
                share = (accuracy - reached) / (line["accuracy"] - reached) if line["accuracy"] > reached else 0.0
                return round(earlier + share * (minutes - earlier), 2)
            earlier, reached = minutes, line["accuracy"]
    return None


def _clocked(opened: Opened, questions: Sequence[ExamQuestion]) -> dict[str, float]:
    """How fast one person is answered: seconds until the first text, tokens a second from there; medians."""
    engine = opened.engine()
    asked = [q for q in questions if q.group != GENERAL][: _TIMED_QUESTIONS + 1] or list(questions[:2])
    waits, rates = [], []
    for question in asked:
        begun = time.perf_counter()
        engine.add(question.conversation, Sampling(max_new_tokens=_ANSWER_TOKENS))
        events = engine.step()
        first = time.perf_counter()
        tokens = 0
        while not events[0].completion:
            events = engine.step()
            tokens += 1
        if tokens:
            waits.append(first - begun)
            rates.append(tokens / (time.perf_counter() - first))
    later = slice(1, None) if len(rates) > 1 else slice(None)  # the first one warms up
    return {
        "decode_tokens_per_second": round(statistics.median(rates[later]), 1) if rates else 0.0,
        "first_token_seconds": round(statistics.median(waits[later]), 3) if waits else 0.0,
    }


def loss_curves(asked: Comparison) -> dict[str, list[tuple[float, float]]]:
    """Method → (step, held-out loss) of its first seed."""
    return {
        method: [
            (line["step"], line["held_out_loss"])
            for line in read_journal(folder / RUN / "metrics.jsonl")
            if "held_out_loss" in line
        ]
        for method, seed, folder in asked.cells()
        if seed == asked.seeds[0]
    }
