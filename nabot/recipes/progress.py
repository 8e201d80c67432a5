"""How a run comes along, in answers. In: a decoder that learns, out: lines of samples.jsonl and metrics.jsonl.

A few questions are asked of the decoder as it is, before the first step and again and again; with an exam, some of
its questions are marked as well.
"""

from collections.abc import Sequence
from pathlib import Path

from nabot.conversation import Conversation
from nabot.data import ExamQuestion, read_exam
from nabot.evals.exam import GENERAL, sit
from nabot.recipes.opening import Opened
from nabot.recipes.request import Watcher
from nabot.recipes.runfiles import EXAM
from nabot.textmodel import Sampling
from nabot.train.checkpoints import RunState
from nabot.train.journal import Journal

_TOKENS = 64  # of an answer
_EXAM_QUESTIONS = 40  # of each look: enough to see a rise, few enough to wait for


class Progress:
    """Looks at one run; the watcher hears the first `told` answers, the journal has all."""

    def __init__(self, opened: Opened, probes: Sequence[str], run: Path, watcher: Watcher, *, told: int) -> None:
        self._opened, self._probes, self._watcher, self._told = opened, probes, watcher, told
        self._samples, self._metrics = Journal(run / "samples.jsonl"), Journal(run / "metrics.jsonl")
        self._questions = _spread(read_exam(run / EXAM)) if (run / EXAM).exists() else []

    def look(self, state: RunState) -> None:
        """Asks everything."""
        sampling = Sampling(max_new_tokens=_TOKENS)
        answers = self._opened.dense_engine().generate([Conversation.ask(q) for q in self._probes], sampling)
        for number, (question, answer) in enumerate(zip(self._probes, answers, strict=True)):
            self._samples.write({"step": state.step, "question": question, "answer": answer.text})
            if number < self._told:
                self._watcher.probe(state.step, question, answer.text)
        if self._questions:  # also before the first step: the time that a look takes is measured then
            accuracy = sit(self._opened.dense_engine(), self._questions, sampling).figures()["accuracy"]
            self._metrics.write({"step": state.step, "accuracy": accuracy})
            self._watcher.examined(state.step, accuracy)

    def cut_back(self, step: int) -> None:
        """Forgets what was noted behind this step; the metrics are the loop's to cut."""
        self._samples.cut_back(step)


def _spread(questions: Sequence[ExamQuestion]) -> list[ExamQuestion]:
    """Some of what is taught, from all over the exam."""
    taught = [q for q in questions if q.group != GENERAL]
    count = min(_EXAM_QUESTIONS, len(taught))
    return [taught[i * len(taught) // count] for i in range(count)]
