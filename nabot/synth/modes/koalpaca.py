"""Answers rewritten in batches. In: rows, and what a teacher wrote, out: prompts, and the same rows with new answers.

KoAlpaca (Beomi/KoAlpaca 2023) kept the instructions of Alpaca, translated, and let a teacher write all answers anew in Korean:
ten a request, because twenty were unstable, numbered, with ### between them. Its second version rewrote the answers that people
had given each other. Here the answer that a row has is shown if there is one, since facts of a person's own are only there.

An answer goes to the row whose number it bears. One that bears none is left out and never counted off, so nothing shifts when
another is missing; where numbers are doubled or fall, the pieces in doubt are left out. Such rows are asked about once more.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from nabot.conversation import Conversation
from nabot.synth.asking import Candidate, Prompt
from nabot.synth.parsing import CUT
from nabot.synth.seeds import Language
from nabot.synth.tasks import Reason, Rejected, Task
from nabot.textmodel import Completion, Sampling

_MOST_TRIES = 2

_LABEL = "answers?|응답|답변"
# with limits to what repeats, because a model that loops may write thousands of spaces
_MARKS = r"[ \t>]{0,8}(?:#{1,6}[ \t]{0,4})?[*_]{0,3}"
_END = r"[ \t]{0,4}(?:[*_]{0,3}[ \t]?[.):：][*_]{0,3}|[*_]{0,3}[ \t]{0,4}$)"
# "### Answer 1", "**응답 1:**": a number behind the word, and then a colon or the end of the line
_WORDED = re.compile(rf"^{_MARKS}(?:{_LABEL})[ \t]{{0,4}}#?(\d{{1,4}})번?{_END}", re.MULTILINE | re.IGNORECASE)
# "### 1", "###1.", or "###" and in the next line "1."
_MARKED = re.compile(
    rf"^[ \t]{{0,8}}#{{1,6}}(?:[ \t]{{0,4}}[*_]{{0,3}}(\d{{1,4}}){_END}|[ \t]{{0,4}}\n\s{{0,8}}(\d{{1,4}})[.):：])",
    re.MULTILINE,
)
_FIRST = re.compile(r"\A\s*\d{1,4}[.):：]")  # stands before the first ###
_LABEL_AGAIN = re.compile(rf"\A\s*[*_]{{0,3}}(?:{_LABEL})[*_]{{0,3}}[ \t]{{0,4}}[:：][*_]{{0,3}}", re.IGNORECASE)
_BEGINNINGS = "|".join(
    sorted({word[:n] for word in ("answer", "응답", "답변") for n in range(1, len(word))}, key=len, reverse=True)
)
# the last line, where a limit of tokens cut a heading: what stands above it is whole
_NUMBERED = rf"(?:{_LABEL})[ \t]{{0,4}}\d{{0,4}}"
_HEADING_BEGUN = re.compile(
    rf"\n[ \t>]{{0,8}}(?:#{{1,6}}[ \t]{{0,4}}[*_]{{0,3}}(?:{_BEGINNINGS}|{_NUMBERED}|\d{{0,4}})|[*_]{{0,3}}{_NUMBERED})[.):*_]{{0,4}}[ \t]{{0,4}}\Z",
    re.IGNORECASE,
)
_SEPARATOR_BEHIND = re.compile(r"\n[ \t]{0,8}#{2,}\Z")

_PROMPT: dict[Language, str] = {
    "en": """Below are {count} requests with numbers. Write an answer to each of them in English.
- Where a present answer is given, write a better one: keep all of its facts, add none that you are not sure of, and say it clearly and politely in your own words.
- Every answer stands alone. It does not mention the other requests, their numbers, or the present answer.
- Leave none out. Above each answer stands a line of its own with its number, like this:

### Answer 1
the answer to request 1

{requests}

Now write all answers, from "### Answer 1" to "### Answer {count}".""",
    "ko": """아래에 번호가 붙은 요청 {count}개가 있습니다. 각 요청에 한국어로 답하세요.
- 지금 답변이 함께 적혀 있으면 더 좋은 답변으로 고쳐 쓰세요. 그 안의 사실은 모두 지키고, 확실하지 않은 내용은 덧붙이지 말고, 명확하고 정중하게 새로 쓰세요.
- 답변은 그것만 읽어도 이해되어야 합니다. 다른 요청이나 번호, 지금 답변을 언급하지 마세요.
- 하나도 빠뜨리지 마세요. 답변마다 바로 위에 번호를 적은 줄을 아래처럼 따로 두세요.

### 응답 1
요청 1에 대한 답변

{requests}

이제 "### 응답 1"부터 "### 응답 {count}"까지 모두 쓰세요.""",
}
_NAMES: dict[Language, tuple[str, str, str]] = {
    "en": ("Request", "Input", "Present answer"),
    "ko": ("요청", "입력", "지금 답변"),
}


@dataclass(frozen=True)
class _Row:
    """A row to be answered anew, and how often it has been asked about."""

    row: Candidate
    tries: int = 0


@dataclass(frozen=True)
class _Batch(Prompt):
    rows: tuple[_Row, ...] = field(kw_only=True)  # numbered from 1


class Koalpaca:
    """New answers in `language` to `rows`: tasks with where they come from, in order, `rows_per_prompt` in a request.

    Reasons: "cut_off", "missing_answer", "doubled_number", "falling_number", "unknown_number", and "other_numbering" for all of a
    completion that counts from 0, where every answer might be the one before.
    """

    name = "koalpaca"

    def __init__(
        self,
        rows: Sequence[Candidate],
        language: Language,
        *,
        rows_per_prompt: int = 10,  # KoAlpaca's
        sampling: Sampling = Sampling(max_new_tokens=3072, temperature=0.7, top_p=0.95),
    ) -> None:
        self._language, self._most, self._sampling = language, rows_per_prompt, sampling
        self._open = deque(_Row(row) for row in rows)

    def next_prompts(self, most: int) -> list[Prompt]:
        """The next batches; rows whose answers went missing come after all others."""
        prompts: list[Prompt] = []
        while self._open and len(prompts) < most:
            rows = tuple(self._open.popleft() for _ in range(min(self._most, len(self._open))))
            requests = "\n\n".join(_request(i, each.row.task, self._language) for i, each in enumerate(rows, 1))
            text = _PROMPT[self._language].format(count=len(rows), requests=requests)
            sources = tuple(dict.fromkeys(source for each in rows for source in each.row.sources))
            prompts.append(_Batch(self.name, Conversation.ask(text), self._sampling, sources, rows=rows))
        return prompts

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        """The rows with their new answers, in their own order, and then what could not be given to a row."""
        assert isinstance(prompt, _Batch)
        answers = parse_answers(completion.text, completion.finish, len(prompt.rows))
        for number, each in enumerate(prompt.rows, 1):
            answer = answers.get(number, Rejected(each.row.task.instruction, Reason("missing_answer", str(number))))
            if isinstance(answer, str):
                task = Task(each.row.task.instruction, each.row.task.input, answer)
                yield Candidate(task, each.row.sources, invented=False)
                continue
            yield answer
            if each.tries + 1 < _MOST_TRIES:
                self._open.append(_Row(each.row, each.tries + 1))
        yield from (
            each for number, each in answers.items() if number > len(prompt.rows) and isinstance(each, Rejected)
        )

    def accepted(self, candidate: Candidate) -> None:
        """Nothing that later prompts depend on."""


def parse_answers(completion: str, finish_reason: str, count: int) -> dict[int, str | Rejected]:
    """Number → answer, for a completion that was asked for answers 1 to `count`, or why the text under it is none.

    The text is never empty. Where one answer was asked for and no number stands anywhere, all of it is that answer.
    """
    cut = finish_reason == CUT
    begun = _HEADING_BEGUN.search(completion) if cut else None
    found = _numbered(completion[: begun.start()] if begun else completion)
    if not found and not cut and count == 1 and completion.strip():
        found = [(1, completion.strip())]
    numbers = [number for number, _ in found]
    times = Counter(numbers)
    falling = {place for i, (a, b) in enumerate(pairwise(numbers)) if b <= a for place in (i, i + 1)}
    answers: dict[int, str | Rejected] = {}
    for i, (number, text) in enumerate(found):
        reason = (
            "other_numbering" if 0 in times
            else "unknown_number" if number > count
            else "doubled_number" if times[number] > 1
            else "falling_number" if i in falling
            else "cut_off" if cut and not begun and i == len(found) - 1
            else ""
        )  # fmt: skip
        if reason:
            answers[number] = Rejected(text, Reason(reason, str(number)))
        elif text:
            answers[number] = text
    return answers


def _numbered(completion: str) -> list[tuple[int, str]]:
    """The texts under each number, as they come. Numbers behind a word count where there are any, else those behind ###."""
    heading = _WORDED if _WORDED.search(completion) else _MARKED
    if heading is _MARKED and _FIRST.match(completion) and _MARKED.search(completion):
        completion = f"###\n{completion.lstrip()}"
    headings = list(heading.finditer(completion))
    ends = [*(each.start() for each in headings), len(completion)][1:]
    return [
        (int(each.group(1) or each.group(2)), _bare(completion[each.end() : end]))
        for each, end in zip(headings, ends, strict=True)
    ]


def _bare(text: str) -> str:
    return _SEPARATOR_BEHIND.sub("", _LABEL_AGAIN.sub("", f"\n{text.strip()}")).strip()


def _request(number: int, task: Task, language: Language) -> str:
    request, context, answer = _NAMES[language]
    lines = [f"### {request} {number}", task.instruction]
    lines += [f"{context}: {task.input}"] if task.input else []
    lines += [f"{answer}: {task.output}"] if task.output else []
    return "\n".join(lines)
