"""What is asked of a teacher, and what is read from its answers. In: nothing, out: records, and the seam that modes are written to.

A teacher is a `TextModel`: an endpoint far away, or nabot's own engine. A mode says what to ask next and reads what was
answered; it talks to nobody. The loop carries the two between them, judges what was read, and writes it down. So a run is a
function of its settings and of the teacher's answers, and reading the answers of an earlier run again brings back its state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from nabot.conversation import Conversation
from nabot.synth.tasks import Rejected, Task
from nabot.textmodel import Completion, Sampling

INSTANCES = "instances"  # several tasks with one instruction, which is new or is not for all of them


@dataclass(frozen=True)
class Prompt:
    """One request to a teacher."""

    kind: str  # what is expected back: "alpaca", "instructions", INSTANCES, "grounded"
    conversation: Conversation  # ends with the user's message, or with an answer that has begun
    sampling: Sampling
    sources: tuple[str, ...] = ()  # where it comes from, for the provenance of rows: ids of seeds, place of a passage


@dataclass(frozen=True)
class Candidate:
    """A task that was read out of a completion and has not been judged yet."""

    task: Task
    sources: tuple[str, ...] = ()  # as in Prompt, where they are known more exactly for this one
    evidence: str = ""  # the words of a passage that the answer rests on
    # Whether the teacher thought of the instruction. If not (a person's own question, a question about a passage), the rules for
    # instructions do not hold, and only what was asked word for word before is no longer new.
    invented: bool = True


class Mode(Protocol):
    """One way of making rows with a teacher: Alpaca's, self-instruct's, questions about passages, …

    It holds what there is still to ask, and draws from its own random numbers in the order of these calls, so that equal
    answers bring equal questions.
    """

    @property
    def name(self) -> str:
        """What `--mode` calls it, and what the provenance of rows says."""
        ...

    def next_prompts(self, most: int) -> Sequence[Prompt]:
        """Up to `most` requests that may be asked side by side; none if there is nothing left to ask."""
        ...

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        """Reads an answer, in the order in which prompts were given out; may remember it for later prompts."""
        ...

    def accepted(self, candidate: Candidate) -> None:
        """Hears of every candidate that passed all filters, before `next_prompts` is called again."""
        ...
