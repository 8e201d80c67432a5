"""The teacher's loop. In: a mode, a way to ask, a journal, out: rows, and how the run ended.

A round: the mode says what to ask, all of it is answered (out of the journal where it was answered before), then the answers are
read in the order of the questions. So what is asked next depends on the answers, never on when they came.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any, Literal

from nabot.conversation import Conversation, Message
from nabot.errors import UpstreamError
from nabot.synth.asking import INSTANCES, Candidate, Mode, Prompt
from nabot.synth.budget import UNLIMITED, Budget, Tokens, most_tokens
from nabot.synth.journal import Journal, prompt_hash
from nabot.synth.judging import Judge, Kept, Tally
from nabot.text import say, tallied
from nabot.textmodel import Completion, Finish, Sampling

Row = dict[str, Any]
Ended = Literal["count", "nothing_left", "budget", "stopped", "barren"]
# Answers with the places of their prompts, as they come; fewer than there are prompts only if the run is to stop. None: that
# request was sent, no answer came, and it may be charged for.
Ask = Callable[[Sequence[Conversation], Sampling], Iterator[tuple[int, Completion | None]]]

BARREN_ROUNDS = 25  # without a single row: no way of asking needs more than three for its first one
WRITE_EVERY = 50  # rows, at first; later whenever a quarter is new, since the whole file is written each time
_SHOWN_OF_NONSENSE = 300  # characters
# what models that think first put in front of their answers: some templates open the thoughts themselves, and a limit of
# tokens may come before they end
_THOUGHTS = re.compile(r"\A(?:.*?</think>|\s*<think>.*)", re.DOTALL)


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    accepted: int
    wanted: int
    answers: int
    spent: Tokens
    cost: float | None  # None: no prices are known


@dataclass(frozen=True)
class Plan:
    """What a run is for. `round`: prompts that are asked side by side; `count`: rows that are wanted."""

    count: int
    round: int
    teacher: str  # as rows name it
    budget: Budget = UNLIMITED
    max_new_tokens: int | None = None  # of an answer, where the mode would allow more


def where_it_fits(teacher: Ask, fits: Callable[[Conversation], bool], *, has_fitted: bool = False) -> Ask:
    """Passes over questions that do not fit into a model, unless none has fitted yet: then the model says so."""

    def ask(prompts: Sequence[Conversation], sampling: Sampling) -> Iterator[tuple[int, Completion | None]]:
        nonlocal has_fitted
        fitting = [place for place, prompt in enumerate(prompts) if fits(prompt)]
        has_fitted = has_fitted or bool(fitting)
        places = fitting if has_fitted else range(len(prompts))
        yield from ((place, Completion("", 0, 0, "abort")) for place in range(len(prompts)) if place not in places)
        for number, completion in teacher([prompts[place] for place in places], sampling):
            yield places[number], completion

    return ask


class Loop:
    """One run. `rows` and `tally` are what came of it so far, also after an error."""

    def __init__(
        self,
        mode: Mode,
        ask: Ask,
        journal: Journal,
        judge: Judge,
        plan: Plan,
        *,
        save: Callable[[Sequence[Row]], None],
        stopping: Callable[[], object] = lambda: False,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.rows: list[Row] = []
        self._mode, self._ask, self._journal, self._judge, self._plan = mode, ask, journal, judge, plan
        self._save, self._stopping, self._progress = save, stopping, progress
        self._next_number = 0
        self._saved = 0
        self._first_words = ""  # of the teacher's first answer that gave no row

    @property
    def tally(self) -> Tally:
        return self._judge.tally

    def run(self) -> Ended:
        """Rounds until there are enough rows, nothing to ask, no money, or nothing new any more.

        Raises UpstreamError if the teacher fails, or if nothing of all that it writes can be used.
        """
        barren = 0
        self._tell()  # the first answer of a model on this machine may take minutes
        while len(self.rows) < self._plan.count:
            prompts = self._mode.next_prompts(self._plan.round)
            if not prompts:
                return "nothing_left"
            before = len(self.rows)
            numbered = list(enumerate(prompts, start=self._next_number))
            self._next_number += len(prompts)
            answers = self._answers(numbered)
            for (number, prompt), completion in zip(numbered, answers, strict=False):
                self._take(number, prompt, completion)
            if len(self.rows) < self._plan.count and len(answers) < len(prompts):
                return "stopped" if self._stopping() else "budget"
            barren = 0 if len(self.rows) > before else barren + 1
            if barren == BARREN_ROUNDS and self.rows:
                return "barren"
            if barren == BARREN_ROUNDS:
                raise UpstreamError(self._barren())
        return "count"

    # ---- asking

    def _answers(self, numbered: Sequence[tuple[int, Prompt]]) -> list[Completion]:
        """The answers of a round in order, up to the first that there is no money or no time for."""
        hashes = [self._hash(prompt) for _, prompt in numbered]
        there = {number: self._journal.answer(number, h) for (number, _), h in zip(numbered, hashes, strict=True)}
        missing = [
            (number, prompt, h) for (number, prompt), h in zip(numbered, hashes, strict=True) if there[number] is None
        ]
        while missing and not self._stopping() and (affordable := self._affordable(missing)):
            for sampling, group in groupby(affordable, key=lambda request: self._sampling(request[1])):
                there.update(self._asked(list(group), sampling))
            missing = [request for request in missing if there[request[0]] is None]
        answers = []
        for number, _ in numbered:
            if (completion := there[number]) is None:
                break
            answers.append(completion)
        return answers

    def _asked(
        self, requests: Sequence[tuple[int, Prompt, str]], sampling: Sampling
    ) -> Iterator[tuple[int, Completion]]:
        """Asks, and writes each answer down as it comes. What none came for is spent, at its worst, and is still missing."""
        if self._stopping():
            return
        for place, completion in self._ask([prompt.conversation for _, prompt, _ in requests], sampling):
            number, prompt, prompted = requests[place]
            if completion is None:
                self._journal.add_lost(number, prompted, most_tokens(prompt.conversation, sampling))
            else:
                self._journal.add(number, prompted, completion)
                yield number, completion
            self._tell()

    def _sampling(self, prompt: Prompt) -> Sampling:
        allowed, most = prompt.sampling.max_new_tokens, self._plan.max_new_tokens
        return prompt.sampling if most is None or allowed <= most else replace(prompt.sampling, max_new_tokens=most)

    def _hash(self, prompt: Prompt) -> str:
        return prompt_hash(prompt.conversation, self._sampling(prompt))

    def _affordable(self, requests: Sequence[tuple[int, Prompt, str]]) -> Sequence[tuple[int, Prompt, str]]:
        """Those from the front on that can all be sent at once, whatever they take."""
        reserved = self._journal.spent
        for place, (_, prompt, _) in enumerate(requests):
            reserved += most_tokens(prompt.conversation, self._sampling(prompt))
            if not self._plan.budget.affords(reserved):
                return requests[:place]
        return requests

    # ---- reading

    def _take(self, number: int, prompt: Prompt, completion: Completion) -> None:
        """Reads one answer; what it has beyond the rows that are wanted stays in the journal."""
        before = len(self.rows)
        siblings: set[str] = set()
        for found in self._mode.take(prompt, _read(completion)):
            if len(self.rows) == self._plan.count:
                break
            if (kept := self._judge.judge(found, siblings)) is None:
                continue
            self.rows.append(self._row(number, prompt, kept))
            self._mode.accepted(kept.candidate)
            if prompt.kind == INSTANCES:
                siblings.add(kept.candidate.task.instruction)
        if len(self.rows) == before:
            self._first_words = self._first_words or completion.text[:_SHOWN_OF_NONSENSE]
        self._tell()
        self._save_sometimes(number)

    def _row(self, number: int, prompt: Prompt, kept: Kept) -> Row:
        """A line of a conversation file, and where it comes from."""
        candidate = kept.candidate
        provenance: Row = {
            "teacher": self._plan.teacher,
            "mode": self._mode.name,
            "request": number,
            "prompt": self._hash(prompt),
            "sources": list(candidate.sources or prompt.sources),
            "nearest": {"score": round(kept.score, 4), "instruction": kept.nearest},
        }
        if candidate.evidence:
            provenance["evidence"] = candidate.evidence
        if kept.toxic:
            provenance["toxic"] = asdict(kept.toxic)
        return {**_conversation(candidate).as_dict(), "provenance": provenance}

    def _save_sometimes(self, number: int) -> None:
        """Not while old answers are read again: the file that is there has more."""
        is_new = number + 1 >= len(self._journal)
        if is_new and len(self.rows) - self._saved >= max(WRITE_EVERY, self._saved // 4):
            self._save(self.rows)
            self._saved = len(self.rows)

    def _tell(self) -> None:
        spent, budget = self._journal.spent, self._plan.budget
        cost = budget.cost(spent) if budget.has_prices else None
        self._progress(Progress(len(self.rows), self._plan.count, len(self._journal), spent, cost))

    def _barren(self) -> str:
        listed = tallied(self.tally.dropped.most_common(5)) or say("data.nothing")
        return say("generate.barren", rounds=BARREN_ROUNDS, reasons=listed, seen=" ".join(self._first_words.split()))


def _read(completion: Completion) -> Completion:
    """The answer without thoughts; one that a filter of the server broke off is cut like one that reached its limit."""
    finish: Finish = "length" if completion.finish == "abort" else completion.finish
    return replace(completion, text=_THOUGHTS.sub("", completion.text), finish=finish)


def _conversation(candidate: Candidate) -> Conversation:
    task = candidate.task
    return Conversation((Message("user", task.instruction, task.input), Message("assistant", task.output)))
