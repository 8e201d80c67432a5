"""What the report shows below its table. In: sheets, samples, settings, out: records that the page writes down."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from nabot.conversation import Message
from nabot.evals.exam import CONTESTANTS, Contestant, Marked, Sheet, side_by_side
from nabot.evals.figures import Losses
from nabot.evals.scoring import matches
from nabot.text import say

_LONG = 320  # characters: more of an answer is folded away
_SHORTENED = 240


@dataclass(frozen=True)
class Answer:
    """One contestant's answer. `beginning` is set where the whole is long; `rejected` is the pattern that spoilt it."""

    contestant: str
    text: str
    right: bool
    stopped: bool
    beginning: str
    rejected: str


@dataclass(frozen=True)
class Asked:
    """A question with everyone's answers; `right` is the mark of the one who is being judged."""

    turns: tuple[Message, ...]
    group: str
    accepted: tuple[str, ...]
    answers: tuple[Answer, ...]
    right: bool


@dataclass(frozen=True)
class Fold:
    """Questions that are folded away together."""

    title: str
    asked: tuple[Asked, ...]
    is_open: bool


@dataclass(frozen=True)
class Moment:
    """What a probe question was answered, as long as the answer stayed the same."""

    steps: str
    answer: str


def answer_folds(sheets: Mapping[Contestant, Sheet]) -> list[Fold]:
    """Wrong answers first and open, then the right ones by group. The last contestant is the one who is judged."""
    rows = [_asked(row) for row in side_by_side(sheets)]
    wrong = tuple(r for r in rows if not r.right)
    folds = [Fold(say("report.answers.wrong", count=len(wrong)), wrong, is_open=True)] if wrong else []
    for group in dict.fromkeys(r.group for r in rows):
        right = tuple(r for r in rows if r.right and r.group == group)
        name = group or say("evals.no_group")
        if right:
            folds.append(Fold(say("report.answers.right", group=name, count=len(right)), right, is_open=False))
    return folds


def probe_stories(samples: Sequence[Mapping[str, Any]]) -> dict[str, list[Moment]]:
    """For each probe question its answers over time; one that stays is written once."""
    stories: dict[str, list[Moment]] = {}
    for question in dict.fromkeys(s["question"] for s in samples):
        told = sorted((s for s in samples if s["question"] == question), key=lambda s: s["step"])
        stories[question] = [_moment(list(same), answer) for answer, same in groupby(told, lambda s: s["answer"])]
    return stories


def loss_caption(losses: Losses) -> str:
    """The curve in words: where both losses began and ended, and where the held-out one was lowest."""
    sentences = []
    if losses.training:
        (first, begin), (last, end) = losses.training[0], losses.training[-1]
        fields = {"first": f"{first:,.0f}", "last": f"{last:,.0f}", "begin": f"{begin:.2f}", "end": f"{end:.2f}"}
        sentences.append(say("report.loss.training", **fields))
    if losses.held_out:
        step, low = min(losses.held_out, key=lambda p: p[1])
        begin, end = losses.held_out[0][1], losses.held_out[-1][1]
        fields = {"step": f"{step:,.0f}", "low": f"{low:.2f}", "begin": f"{begin:.2f}", "end": f"{end:.2f}"}
        sentences.append(say("report.loss.held_out", **fields))
    return " ".join(sentences)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested data as lines of "outer.inner" and text; empty parts are left out."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            yield from flat({str(i): v for i, v in enumerate(value, 1)}, f"{name}.")
        else:
            yield name, _written(value)


def _asked(row: Mapping[Contestant, Marked]) -> Asked:
    judged = next(row[name] for name in reversed(CONTESTANTS) if name in row)
    question = judged.question
    answers = tuple(_answer(name, row[name]) for name in CONTESTANTS if name in row)
    return Asked(question.conversation.messages, question.group, question.accept, answers, judged.right)


def _answer(name: Contestant, mark: Marked) -> Answer:
    text = mark.answer.strip()
    beginning = text[:_SHORTENED].rstrip() if len(text) > _LONG else ""
    rejected = next((p for p in mark.question.reject if matches(p, text)), "")
    return Answer(say(f"evals.contestant.{name}"), text, mark.right, mark.stopped, beginning, rejected)


def _moment(same: list[Mapping[str, Any]], answer: str) -> Moment:
    first, last = same[0]["step"], same[-1]["step"]
    steps = say("report.probes.step", step=f"{first:,}")
    if last != first:
        steps = say("report.probes.steps", first=f"{first:,}", last=f"{last:,}")
    return Moment(steps, answer.strip())


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value or say("evals.nothing")
    if isinstance(value, bool):
        return say("report.yes" if value else "report.no")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value)) or say("evals.nothing")
    return say("evals.nothing") if value is None else json.dumps(value, ensure_ascii=False, default=str)
