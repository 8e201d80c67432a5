"""Public fakes, for the tests of nabot and of what is built on it. In: answers, out: a `TextModel` that gives them."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence

from nabot.conversation import Conversation
from nabot.textmodel import Completion, Finish, Sampling


class Echo:
    """Answers a known last user message with its answer, and repeats an unknown one. A token is a word.

    `asked` holds every conversation it was given. Limits and stop strings hold as they do for a real model.
    """

    def __init__(self, answers: Mapping[str, str] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[Conversation] = []

    def generate(self, prompts: Sequence[Conversation], sampling: Sampling) -> Iterator[Completion]:
        """Answers in the order of the prompts, one at a time."""
        for prompt in prompts:
            self.asked.append(prompt)
            yield self._completion(prompt, sampling)

    def stream(self, conversation: Conversation, sampling: Sampling) -> Generator[str, None, Finish]:
        """One answer, word by word; returns how it ended."""
        self.asked.append(conversation)
        completion = self._completion(conversation, sampling)
        yield from _words(completion.text)
        return completion.finish

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Every word costs one nat."""
        return [-float(len(_words(continuation))) for _, continuation in pairs]

    def _completion(self, prompt: Conversation, sampling: Sampling) -> Completion:
        question = next((m.content for m in reversed(prompt.messages) if m.role == "user"), "")
        words = _words(_before_stop(self.answers.get(question, question), sampling.stop))
        kept = words[: sampling.max_new_tokens]
        num_prompt_tokens = sum(len(_words(m.content)) for m in prompt.messages)
        return Completion("".join(kept), len(kept), num_prompt_tokens, "stop" if kept == words else "length")


def _words(text: str) -> list[str]:
    """Words with the space around them, so that joining them gives the text back."""
    return re.findall(r"\s*\S+(?:\s+\Z)?|\s+\Z", text)


def _before_stop(text: str, stop: Sequence[str]) -> str:
    return text[: min((text.find(s) for s in stop if s in text), default=len(text))]
