"""An exam, taken and marked. In: something that answers and questions, out: a sheet of marks; sheets → the figures.

Up to three contestants sit the same exam: the base, the base with the facts in its prompt (the honest rival of
tuning) and the tuned bot. What `result` gives is what `nabot exam --json` prints.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nabot.conversation import Conversation, Message
from nabot.data.exams import ExamQuestion
from nabot.data.plain import repetition_rate
from nabot.evals.scoring import is_right, wilson_interval
from nabot.text import say
from nabot.textmodel import Completion, Sampling, TextModel

Contestant = Literal["base", "prompted", "tuned"]
CONTESTANTS: tuple[Contestant, ...] = ("base", "prompted", "tuned")
GENERAL = "general"  # the group of what the base already knew


@dataclass(frozen=True)
class Marked:
    """One answer and what it is worth. `stopped`: it ended by itself; `repeated`: its repetition rate, 0-1."""

    question: ExamQuestion
    answer: str
    right: bool
    stopped: bool
    num_tokens: int
    repeated: float


@dataclass(frozen=True)
class Sheet:
    """One contestant's whole exam; `seconds` is the time of all its answers together."""

    marks: tuple[Marked, ...]
    seconds: float

    @property
    def taught(self) -> list[Marked]:
        """The answers to what the bot should have learned."""
        return [m for m in self.marks if m.question.group != GENERAL]

    @property
    def general(self) -> list[Marked]:
        """The answers to what the base already knew."""
        return [m for m in self.marks if m.question.group == GENERAL]

    def figures(self) -> dict[str, Any]:
        """Accuracy with its 95 % interval, and how it answered, over `taught`; a mean over nothing is None.

        `tokens_per_second` is over the whole sitting, general questions included: they were answered in one go.
        """
        marks = self.taught
        tokens = sum(m.num_tokens for m in self.marks)
        return {
            **_accuracy(marks),
            "stopped": _mean([m.stopped for m in marks]),
            "repeated": _mean([m.repeated for m in marks]),
            "tokens_per_second": tokens / self.seconds if self.seconds > 0 else None,
        }

    def by_group(self) -> dict[str, dict[str, Any]]:
        """Accuracy within each group of `taught`, in the order in which the groups first appear."""
        groups = dict.fromkeys(m.question.group for m in self.taught)
        return {group: _accuracy([m for m in self.taught if m.question.group == group]) for group in groups}


def sit(
    model: TextModel,
    questions: Sequence[ExamQuestion],
    sampling: Sampling,
    *,
    facts: str = "",
    on_answer: Callable[[Marked], None] | None = None,
) -> Sheet:
    """Asks and marks every question. With `facts`, they stand in the system prompt and general questions are left out.

    `on_answer` hears of each answer as soon as it is there. Raises what the model raises, such as DataError for facts
    that are longer than its context.
    """
    facts = facts.strip()
    asked = [q for q in questions if not (facts and q.group == GENERAL)]
    prompts = [_with_facts(q.conversation, facts) if facts else q.conversation for q in asked]
    begun = time.perf_counter()
    marks = []
    for question, completion in zip(asked, model.generate(prompts, sampling), strict=True):
        marks.append(_mark(question, completion))
        if on_answer:
            on_answer(marks[-1])
    return Sheet(tuple(marks), time.perf_counter() - begun)


def result(exam: Path | str, sheets: Mapping[Contestant, Sheet]) -> dict[str, Any]:
    """The figures of all sheets, as JSON-like data; contestants who did not sit are left out.

    `general.kept`: of the general questions that the base answered right (`known` of them), the share that the tuned
    one still does, with its 95 % interval. Its figures are None where there is nothing to count.
    """
    present = {name: sheets[name] for name in CONTESTANTS if name in sheets}
    return {
        "exam": str(exam),
        "results": {name: {**s.figures(), "groups": s.by_group()} for name, s in present.items()},
        "general": _general(present),
    }


def side_by_side(sheets: Mapping[Contestant, Sheet]) -> Iterator[dict[Contestant, Marked]]:
    """For each question, in the order of the exam, everyone's answer to it.

    The sheets are of one exam, but a contestant may have left questions out, as "prompted" does.
    """
    longest = max(sheets.values(), key=lambda s: len(s.marks), default=Sheet((), 0))
    next_marks = dict.fromkeys(sheets, 0)
    for mark in longest.marks:
        row: dict[Contestant, Marked] = {}
        for name, sheet in sheets.items():
            place = next_marks[name]
            if place < len(sheet.marks) and sheet.marks[place].question == mark.question:
                row[name] = sheet.marks[place]
                next_marks[name] += 1
        yield row


def _with_facts(conversation: Conversation, facts: str) -> Conversation:
    """The facts lead; a question's own system prompt follows them, because leaving either out would be unfair."""
    system = say("evals.facts_prompt", facts=facts)
    first, *rest = conversation.messages
    if first.role != "system":
        return conversation.with_system(system)
    return Conversation((Message("system", f"{system}\n\n{first.content}"), *rest), conversation.tools)


def _mark(question: ExamQuestion, completion: Completion) -> Marked:
    return Marked(
        question=question,
        answer=completion.text,
        right=is_right(completion.text, question.accept, question.reject),
        stopped=completion.finish == "stop",
        num_tokens=completion.num_tokens,
        repeated=repetition_rate(completion.text),
    )


def _accuracy(marks: Sequence[Marked]) -> dict[str, Any]:
    right = sum(m.right for m in marks)
    low, high = wilson_interval(right, len(marks))
    accuracy = _mean([m.right for m in marks])
    return {"accuracy": accuracy, "low": low, "high": high, "questions": len(marks), "right": right}


def _general(sheets: Mapping[Contestant, Sheet]) -> dict[str, Any]:
    rights = {name: [m.right for m in sheet.general] for name, sheet in sheets.items()}
    base, tuned = rights.get("base", []), rights.get("tuned", [])
    known = [still for before, still in zip(base, tuned, strict=False) if before]
    low, high = wilson_interval(sum(known), len(known))
    return {
        "base": _mean(base),
        "tuned": _mean(tuned),
        "kept": _mean(known),
        "low": low,
        "high": high,
        "known": len(known),
        "questions": max(len(base), len(tuned)),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
