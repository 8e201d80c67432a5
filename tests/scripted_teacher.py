"""Teachers that write what a hash of the question says: always the same answer to a question, and another one to each. In: a
question, out: a completion of Alpaca's prompt.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence

from nabot.conversation import Conversation
from nabot.textmodel import Completion, Sampling

_LETTERS = "bcdfghklmnprstvw"


def rng_of(question: str) -> random.Random:
    return random.Random(hashlib.sha256(question.encode()).digest())


def word(rng: random.Random) -> str:
    return "".join(rng.choice(_LETTERS) + rng.choice("aeiou") for _ in range(3))


def instruction(rng: random.Random) -> str:
    """New as good as surely."""
    return "Explain " + " ".join(word(rng) for _ in range(5)) + "."


def items(tasks: Sequence[tuple[str, str, str]]) -> str:
    """A completion of Alpaca's prompt, which has ended with "4. Instruction:"."""
    written = "".join(
        f"###\n{number}. Instruction: {task[0]}\n{number}. Input:\n{task[1]}\n{number}. Output:\n{task[2]}\n"
        for number, task in enumerate(tasks, start=4)
    )
    return written.removeprefix("###\n4. Instruction:")


def alpaca_answer(question: str, count: int = 4) -> str:
    rng = rng_of(question)
    return items([(instruction(rng), "<noinput>", f"It is {word(rng)}.") for _ in range(count)])


class Writer:
    """A `TextModel` that answers Alpaca's prompts; `texts` come first, one an answer. `asked` holds every question."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[Conversation], sampling: Sampling) -> Iterator[Completion]:
        for prompt in prompts:
            question = prompt.messages[-1].content
            self.asked.append(question)
            text = self.texts.pop(0) if self.texts else alpaca_answer(question)
            yield Completion(text, 100, 50, "stop")

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [0.0] * len(pairs)
