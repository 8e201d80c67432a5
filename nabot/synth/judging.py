"""What of a teacher's answers is kept. In: candidates and rejected pieces, in order, out: verdicts, counts, examples.

First the rules for the task itself, then whether it is new. A toxic word drops a row, or marks it where the person wants to see
such rows in their place; either way some are shown, since a list of words knows nothing of meaning.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from nabot.synth.asking import Candidate
from nabot.synth.filters import TOXIC, reject_answer, reject_task, toxic_words
from nabot.synth.novelty import Pool
from nabot.synth.tasks import Reason, Rejected, Task

SHOWN = ("toxic", "refusal", "near_copy")  # of what else is dropped, the counts tell enough
EXAMPLES = 5


@dataclass(frozen=True)
class Kept:
    """A row, the nearest instruction that was there before it (ROUGE-L F, 0 to 1), and a toxic word if it has one."""

    candidate: Candidate
    nearest: str
    score: float
    toxic: Reason | None


@dataclass(frozen=True)
class Example:
    """Something that was dropped, or marked, and why: the toxic word, or the instruction that it is a copy of."""

    instruction: str
    output: str
    reason: str
    seen: str


@dataclass
class Tally:
    """What was dropped, by reason, what was marked, and the first few of those that a person should look at."""

    dropped: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=lambda: {name: [] for name in SHOWN})

    def drop(self, reason: Reason, task: Task | None = None) -> None:
        self.dropped[reason.slug] += 1
        self._show(reason, task)

    def mark(self, reason: Reason, task: Task) -> None:
        self.marked[reason.slug] += 1
        self._show(reason, task)

    def _show(self, reason: Reason, task: Task | None) -> None:
        shown = self.examples.get("toxic" if reason.slug.startswith(TOXIC) else reason.slug)
        if task and shown is not None and len(shown) < EXAMPLES:
            shown.append(Example(task.instruction, task.output, reason.slug, reason.seen))


class Judge:
    """Knows what is there already: the seeds, and everything that was kept."""

    def __init__(self, seeds: Iterable[str], *, language: str = "", mark_toxic: bool = False) -> None:
        """`seeds`: instructions that no new one may be a near copy of."""
        self._language, self._mark_toxic = language, mark_toxic
        self._texts = list(seeds)
        self._pool = Pool(self._texts)
        self._rows: set[tuple[str, str]] = set()
        self.tally = Tally()

    def judge(self, found: Candidate | Rejected, siblings: Iterable[str] = ()) -> Kept | None:
        """None if it is dropped. `siblings`: instructions that may come again, with other inputs."""
        if isinstance(found, Rejected):
            self.tally.drop(found.reason)
            return None
        task = found.task
        if reason := self._unfit(found) or self._copy(found, siblings):
            self.tally.drop(reason, task)
            return None
        toxic = toxic_words(task)
        if toxic:
            self.tally.mark(toxic, task)
        return self._keep(found, toxic)

    def _unfit(self, found: Candidate) -> Reason | None:
        rules = reject_task if found.invented else reject_answer
        return rules(found.task, self._language, toxic=self._mark_toxic)

    def _copy(self, found: Candidate, siblings: Iterable[str]) -> Reason | None:
        """ "exact_copy" (also with another answer), "near_copy"."""
        task = found.task
        if _row(task) in self._rows:
            return Reason("exact_copy", task.instruction)
        if not found.invented or task.instruction in siblings:
            return None
        near = self._pool.near_copy(task.instruction)
        return Reason("near_copy", self._texts[near.place]) if near else None

    def _keep(self, found: Candidate, toxic: Reason | None) -> Kept:
        instruction = found.task.instruction
        nearest = self._pool.nearest(instruction)
        text, score = (self._texts[nearest.place], nearest.score) if nearest else ("", 0.0)
        self._rows.add(_row(found.task))
        self._texts.append(instruction)
        self._pool.add(instruction)
        return Kept(found, text, score, toxic)


def _row(task: Task) -> tuple[str, str]:
    """What makes a question the same: case and spaces are none of it."""
    return " ".join(task.instruction.casefold().split()), " ".join(task.input.casefold().split())
