"""What answers: a local engine, a remote teacher, a fake in a test. In: conversations, out: completions.

`TextModel` is a protocol, so that whatever answers inherits nothing.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nabot.conversation import Conversation
from nabot.errors import ConfigError
from nabot.text import say

Finish = Literal["stop", "length", "abort"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. Every field reaches the sampler; temperature 0 is the most likely token.

    Filters apply in the order of the fields: repetition penalty (Keskar et al. 2019, §4.1), presence penalty (OpenAI's), temperature, top-k,
    top-p (Holtzman et al. 2020), min-p (Nguyen et al. 2024). 0 switches presence_penalty, top_k and min_p off, 1 the others.
    Raises ConfigError for a value that a field cannot have.
    """

    max_new_tokens: int = 512
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None  # None: another answer each time
    stop: tuple[str, ...] = ()  # strings that end the answer; not part of it

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            if not allowed(value := getattr(self, name)):  # a file may say anything
                expected = say(f"sampling.field.{name}")
                raise ConfigError(say("sampling.bad_value", name=name, seen=value, expected=expected))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Finite, and no larger than a float can be."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


# the one list of ranges: for bot.toml, for /set, and for Python
_ALLOWED: dict[str, Callable[[Any], bool]] = {
    "max_new_tokens": lambda x: _is_whole(x) and x >= 1,
    "repetition_penalty": lambda x: _is_number(x) and x > 0,
    "presence_penalty": lambda x: _is_number(x) and -2 <= x <= 2,
    "temperature": lambda x: _is_number(x) and x >= 0,
    "top_k": lambda x: _is_whole(x) and x >= 0,
    "top_p": lambda x: _is_number(x) and 0 < x <= 1,
    "min_p": lambda x: _is_number(x) and 0 <= x <= 1,
    # what torch.Generator.manual_seed takes without turning it into another one
    "seed": lambda x: x is None or (_is_whole(x) and 0 <= x < 2**63),
    "stop": lambda x: isinstance(x, tuple) and all(isinstance(text, str) and text for text in x),
}


@dataclass(frozen=True)
class Completion:
    """One answer. `finish` is "stop" if the model (or a stop string) ended it, "length" if the limit did."""

    text: str
    num_tokens: int
    num_prompt_tokens: int
    finish: Finish
    ids: tuple[int, ...] = ()  # the answer's tokens, end token included; empty where the model does not tell


class TextModel(Protocol):
    """Anything that answers."""

    def generate(self, prompts: Sequence[Conversation], sampling: Sampling) -> Iterator[Completion]:
        """Answers in the order of the prompts, each as soon as it and all before it are done.

        A prompt that ends with words of the assistant is gone on with, and these words are not said again.
        """
        ...

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """ln p(continuation | context) for each (context, continuation), in nats, summed over tokens."""
        ...
