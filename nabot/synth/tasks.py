"""The records that the steps of a teacher's loop hand on. In: nothing, out: a task, or what was left out and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One row in Alpaca's words: what is asked, what it is asked about ("" for nothing), and the answer."""

    instruction: str
    input: str
    output: str


@dataclass(frozen=True)
class Reason:
    """Why something is left out: a stable slug that runs count, and the word or figure that decided it, if one did."""

    slug: str
    seen: str = ""


@dataclass(frozen=True)
class Rejected:
    """A piece of a completion that is no task, as it came, so that a person can read it."""

    text: str
    reason: Reason
