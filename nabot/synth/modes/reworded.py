"""The same questions in other words: an exam for rows that were made. In: tasks, and what a teacher wrote, out: tasks asked otherwise.

A bot that was shown a question has to know the answer however it is asked. So each task is asked for once more in other
words; what stays a near copy of the question that the bot learns from, by the measure of the novelty filter, is no other wording.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence

from nabot.conversation import Conversation
from nabot.synth.asking import Candidate, Prompt
from nabot.synth.content import answers_in, prompt_language
from nabot.synth.novelty import Pool
from nabot.synth.seeds import Language
from nabot.synth.tasks import Reason, Rejected, Task
from nabot.textmodel import Completion, Sampling

_PROMPT: dict[Language, str] = {
    "en": """Ask the same thing in other words, as another person would who wants to know the same.
Keep every name and number. Write one question and nothing else.

Question: {question}
In other words:""",
    "ko": """같은 것을 알고 싶어 하는 다른 사람이 묻듯이, 다음 질문을 다른 말로 바꾸어 쓰세요.
이름과 숫자는 그대로 두고, 질문 하나만 쓰세요.

질문: {question}
바꾼 질문:""",
}
_LABEL = re.compile(
    r"^\s*(?:[-*•]|\d+[.)])?\s*(?:in other words|question|rephrased(?: question)?|바꾼 질문|질문)?\s*[:：]?\s*",
    re.IGNORECASE,
)
_QUOTES = "\"'“”‘’「」«» "
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


class Reworded:
    """Each of `tasks` once. Reasons: "malformed_item" (no question), "other_language", "near_copy" (of the question), "lost_number"."""

    name = "reworded"

    def __init__(self, tasks: Sequence[Candidate], *, sampling: Sampling | None = None) -> None:
        self._left = deque(tasks)
        self._asked: deque[Candidate] = deque()  # in the order in which answers come
        self._sampling = sampling or Sampling(max_new_tokens=96, temperature=0.7, top_p=0.95)

    def next_prompts(self, most: int) -> list[Prompt]:
        prompts: list[Prompt] = []
        while self._left and len(prompts) < most:
            candidate = self._left.popleft()
            self._asked.append(candidate)
            question = candidate.task.instruction
            text = _PROMPT[prompt_language(question)].format(question=question)
            prompts.append(Prompt(self.name, Conversation.ask(text), self._sampling, candidate.sources))
        return prompts

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        """The task with the question as it was reworded, and the answer and evidence that it had."""
        of = self._asked.popleft()
        question = _question(completion.text)
        if reason := _unusable(question, of.task.instruction):
            yield Rejected(completion.text, reason)
        else:
            yield Candidate(Task(question, of.task.input, of.task.output), of.sources, of.evidence, invented=False)

    def accepted(self, candidate: Candidate) -> None:
        """Nothing depends on it."""


def _question(text: str) -> str:
    """The first line that says something, without a label and quotation marks."""
    lines = (_LABEL.sub("", line).strip(_QUOTES) for line in text.strip().splitlines())
    return next((line for line in lines if line), "")


def _unusable(question: str, before: str) -> Reason | None:
    if not question or not re.search(r"[?？]|[요까]\W*\Z", question):
        return Reason("malformed_item")
    if not answers_in(question, prompt_language(before)):
        return Reason("other_language")
    if Pool([before]).near_copy(question):
        return Reason("near_copy", before)
    lost = set(_NUMBER.findall(before)) - set(_NUMBER.findall(question))
    return Reason("lost_number", ", ".join(sorted(lost))) if lost else None
