"""What is asked of a teacher, and what comes back. In: nothing, out: the records and the seam that every mode is written to.

A mode says what to ask next and reads what was answered; it talks to nobody. The loop carries the two between them, judges
what was read, and writes it down. So a run is a function of its settings and of the teacher's answers, and reading the
answers of an earlier run again brings back the state that it had.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from nabot.conversation import Message
from nabot.synth.tasks import Rejected, Task


@dataclass(frozen=True)
class Prompt:
    """One request. Two equal prompts are the same request, so one that is asked again has to differ in something."""

    kind: str  # what is expected back: "alpaca", "instructions", "grounded"
    messages: tuple[Message, ...]  # perhaps a system message, then the user's
    sources: tuple[str, ...] = ()  # where it comes from, for the provenance of rows: ids of seeds, place of a passage
    max_tokens: int = 1024
    temperature: float = 1.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    """What a teacher wrote; `finish_reason` is "length" if it was cut at its limit of tokens, otherwise "stop"."""

    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Candidate:
    """A task that was read out of a completion and has not been judged yet."""

    task: Task
    sources: tuple[str, ...] = ()  # as in Prompt, where they are known more exactly for this one
    evidence: str = ""  # the words of a passage that the answer rests on


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
