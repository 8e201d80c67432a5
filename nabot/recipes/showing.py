"""What people see of long work from Python: a line that renews itself in a notebook, now and then a line elsewhere.

In: what watchers hear, out: lines. Nothing but the display of IPython is needed, so it works in Jupyter and in Colab alike.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

from nabot.evals.exam import Marked
from nabot.memory import used_memory_bytes
from nabot.recipes.exam import ExamWatcher
from nabot.recipes.generate import GenerateWatcher
from nabot.recipes.make import MakeWatcher
from nabot.recipes.request import Watcher
from nabot.synth.loop import Progress
from nabot.text import counted, human_bytes, human_seconds, say
from nabot.train.checkpoints import RunState
from nabot.train.step import StepStats

_BAR_CELLS = 24
_BETWEEN_UPDATES_S, _BETWEEN_LINES_S = 0.2, 15.0


def step_line(state: RunState, stats: StepStats) -> str:
    """The progress of a tuning run in words, after a step of the loop."""
    return say(
        "tune.bar_text",
        step=state.step,
        total=state.total_steps or "?",
        loss=stats.loss,
        speed=state.tokens / max(state.seconds, 1e-9),
        left="?" if state.seconds_left is None else human_seconds(state.seconds_left),
        memory=human_bytes(used_memory_bytes()),
    )


def generate_line(state: Progress) -> str:
    """The progress of a teacher in words."""
    return say(
        "generate.bar_text",
        accepted=state.accepted,
        wanted=state.wanted,
        answers=counted("count.answers", state.answers),
        tokens=state.spent.total,
        cost="" if state.cost is None else say("generate.bar_cost", cost=state.cost),
    )


def shown() -> MakeWatcher:
    """Watchers for all stages, which write where the person is looking."""
    return MakeWatcher(
        stage=lambda name, passed_over: _print(
            say("make.passed_over" if passed_over else f"make.stage.{name}", name=name)
        ),
        file=lambda found: _print(f"{found.file}: {counted('count.rows', found.rows)}"),
        generate=_generate_watcher(),
        tune=tune_watcher(),
        exam=_exam_watcher(),
        note=_print,
    )


def tune_watcher() -> Watcher:
    """For `nabot.tune`."""
    line = _Line()

    def step(state: RunState, stats: StepStats) -> None:
        line.show(state.step, state.total_steps, step_line(state, stats))

    return Watcher(
        phase=_print,
        note=_print,
        step=step,
        held_out=lambda state: _print(say("tune.held_out", step=state.step, loss=state.held_out_loss)),
        examined=lambda step, accuracy: _print(say("tune.examined", step=step, accuracy=accuracy)),
        stopping=lambda step: _print(say("tune.stopping", step=step)),
    )


def _generate_watcher() -> GenerateWatcher:
    line = _Line()
    return GenerateWatcher(
        progress=lambda state: line.show(state.accepted, state.wanted, generate_line(state)), note=_print
    )


def _exam_watcher() -> ExamWatcher:
    lines: list[tuple[_Line, str, int]] = []
    answered: list[Marked] = []

    def sitting(contestant: str, count: int) -> None:
        lines.append((_Line(), say(f"exam.sitting_{contestant}"), count))
        answered.clear()

    def on_answer(mark: Marked) -> None:
        answered.append(mark)
        line, what, count = lines[-1]
        line.show(len(answered), count, f"{what} {len(answered)}/{count}")

    return ExamWatcher(sitting=sitting, answered=on_answer, note=_print)


class _Line:
    """One line with a bar."""

    def __init__(self) -> None:
        self._update: Callable[..., None] | None = None
        self._last = -_BETWEEN_LINES_S

    def show(self, done: int, total: int, text: str) -> None:
        """The last one of a run is always shown."""
        display, now, is_last = _display(), time.monotonic(), total and done >= total
        if now - self._last < (_BETWEEN_UPDATES_S if display else _BETWEEN_LINES_S) and not is_last:
            return
        self._last = now
        if display is None:
            _print(text)
            return
        filled = min(_BAR_CELLS, _BAR_CELLS * done // total) if total else 0
        bundle = {"text/plain": f"{'█' * filled}{'░' * (_BAR_CELLS - filled)}  {text}"}
        if self._update is None:
            self._update = display(bundle, raw=True, display_id=True).update
        else:
            self._update(bundle, raw=True)


def _display() -> Any:
    """IPython's `display` where a kernel shows what it is given; None in a terminal and in scripts."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return sys.modules["IPython.display"].display


def _print(text: str) -> None:
    print(text, file=sys.stderr if _display() is None else sys.stdout, flush=True)
