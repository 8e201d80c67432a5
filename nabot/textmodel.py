"""What answers: a local engine, a remote teacher, a fake in a test. In: conversations, out: completions.

`TextModel` is a protocol, so that whatever answers inherits nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nabot.conversation import Conversation


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Every field reaches the sampler; temperature 0 is the most likely token.

    Filters apply in the order of the fields: repetition penalty (Keskar et al. 2019, §4.1), temperature, top-k,
    top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024). 0 switches top_k and min_p off, 1 the others.
    """

    max_new_tokens: int = 512
    repetition_penalty: float = 1.0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None  # None: another answer each time
    stop: tuple[str, ...] = ()  # strings that end the answer; not part of it

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "repetition_penalty", "temperature", "top_k", "top_p", "min_p"):
            if not isinstance(value := getattr(self, name), int | float):  # a file may say anything
                raise TypeError(f"{name} = {value!r}, expected a number")


@dataclass(frozen=True)
class Completion:
    """One answer. `finish` is "stop" if the model (or a stop string) ended it, "length" if the limit did."""

    text: str
    num_tokens: int
    num_prompt_tokens: int
    finish: Literal["stop", "length", "abort"]
    ids: tuple[int, ...] = ()  # the answer's tokens, end token included; empty where the model does not tell


class TextModel(Protocol):
    """Anything that answers."""

    def generate(self, prompts: Sequence[Conversation], sampling: Sampling) -> Iterator[Completion]:
        """Answers in the order of the prompts, each as soon as it and all before it are done."""
        ...

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """ln p(continuation | context) for each (context, continuation), in nats, summed over tokens."""
        ...
