"""Instructions made deeper and broader. In: rows, and what a teacher wrote, out: prompts, and rows that ask for more.

The idea is Evol-Instruct: Xu et al. 2023, "WizardLM: Empowering Large Language Models to Follow Complex Instructions". One of
five ways makes an instruction harder (in depth), a sixth writes a rarer one of the same field (in breadth); the way is drawn
for every row and round. What came out is answered in a second request. The requests here are nabot's own.

A round that fails leaves its row as it was, and the next round tries another way, as there. Failed means the paper's
rules of elimination. It lets a model judge whether anything was gained; here the words decide that.
"""

import random
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nabot.conversation import Conversation
from nabot.data.sentences import num_words
from nabot.synth.asking import Candidate, Prompt
from nabot.synth.content import answers_in, content, prompt_language
from nabot.synth.parsing import CUT
from nabot.synth.seeds import Language
from nabot.synth.tasks import Reason, Rejected, Task
from nabot.textmodel import Completion, Sampling

_LEAST_NEW_WORDS = 2
_SHORT_WORDS = 80  # Xu et al. 2023, section 3.2: "sorry" in an answer shorter than this is a refusal

# the way → what is done to the instruction
_WAYS: dict[Language, dict[str, str]] = {
    "en": {
        "add_constraint": "Add one condition or limit that a good answer has to meet.",
        "deepen": "Where it stays on the surface, ask for the reasons and consequences too, so that it reaches further and deeper.",
        "concretise": "Replace what is general in it by something particular: a certain person, place, case or purpose.",
        "more_steps": "Change it so that several steps of thought are needed where one would have done.",
        "complicate_input": "Add data that has to be worked with, written out in full: a short table, a list, some code, a letter or a calculation.",
    },
    "ko": {
        "add_constraint": "좋은 답변이라면 지켜야 할 조건이나 제한을 하나 더하세요.",
        "deepen": "겉만 묻는 부분에서 까닭과 결과까지 묻도록 하여, 더 넓고 깊은 답이 필요하게 하세요.",
        "concretise": "막연한 말을 특정한 사람, 장소, 상황, 목적처럼 구체적인 것으로 바꾸세요.",
        "more_steps": "한 번에 답할 수 있는 것을 여러 단계로 생각해야 답할 수 있게 바꾸세요.",
        "complicate_input": "다루어야 할 자료를 더하고 그 내용을 모두 적으세요. 짧은 표, 목록, 코드, 편지, 계산식 같은 것입니다.",
    },
}
_BREADTH = "breadth"
_ALL_WAYS = (*_WAYS["en"], _BREADTH)

_DEEPER: dict[Language, str] = {
    "en": """Make the instruction below more demanding, so that it is harder to follow well, and still clear to a person and possible to follow with text alone.
{way}
Keep its meaning and everything it was given. Add 10 to 20 words at most, unless data is added. Do not follow the instruction.

Instruction:
{text}

Write the changed instruction, complete and in English, and nothing else.""",
    "ko": """아래 지시를 더 어렵게 바꾸세요. 사람이 분명히 이해할 수 있고 글만으로 따를 수 있어야 합니다.
{way}
원래 뜻과 주어진 내용은 모두 지키세요. 자료를 더하는 경우가 아니면 스무 낱말 넘게 늘리지 마세요. 지시를 따르지는 마세요.

지시:
{text}

바꾼 지시 전체를 한국어로 쓰고 다른 말은 쓰지 마세요.""",
}
_BROADER: dict[Language, str] = {
    "en": """Here is an instruction, as an example of a field of work. Write another one of the same field that fewer people would think of: about as long and as hard, about something else, clear to a person and possible to follow with text alone. Do not follow the instruction.

Instruction:
{text}

Write the other instruction, complete and in English, and nothing else.""",
    "ko": """아래 지시는 어떤 분야의 예입니다. 같은 분야에서 사람들이 잘 떠올리지 않는 다른 지시를 하나 쓰세요. 길이와 난이도는 비슷하고 다루는 것은 달라야 하며, 사람이 분명히 이해할 수 있고 글만으로 따를 수 있어야 합니다. 지시를 따르지는 마세요.

지시:
{text}

다른 지시 전체를 한국어로 쓰고 다른 말은 쓰지 마세요.""",
}

_TALK = r"(?:sure|certainly|of course|here is|here's|물론|네)\b[^\n]{0,80}[:.!]\s*\n\s*"
_LABEL = r"[#*_\s]*(?:(?:the |my )?(?:new|changed|other|more demanding)? ?instruction|(?:새|새로운|바꾼|다른)? ?지시)[*_\s]*[:：][*_]*\s*"
_LEAD = re.compile(rf"\A(?:{_TALK})?(?:{_LABEL})?", re.IGNORECASE)  # said before the instruction, and no harm
_QUOTED = re.compile(r"\A[\"“]([^\"“”]*)[\"”]\Z")
_COPIED = re.compile(  # words of a request for an evolution; the first four are the paper's
    r"(?:given|rewritten|created|new) ?prompt|#[^#\n]{0,30}(?:prompt|instruction|지시)[^#\n]{0,10}#"
    r"|(?:changed|given|original|rewritten|more demanding) instruction|instruction:|(?:바꾼|원래|주어진) 지시|지시[:：]",
    re.IGNORECASE,
)
_SORRY = re.compile(r"\bsorry\b|\bapologi[sz]e\b|죄송|미안", re.IGNORECASE)
_ABOUT_SORRY = re.compile(r"\bsorry\b|\bapolog|죄송|미안|사과|사죄", re.IGNORECASE)


@dataclass
class _Line:
    """A row and what has become of it."""

    row: Candidate
    rounds: int = 0  # begun
    evolved: str = ""  # waits for its answer
    way: str = ""  # in which it was evolved


@dataclass(frozen=True)
class _Prompt(Prompt):
    line: _Line = field(kw_only=True, compare=False, repr=False)


@dataclass(frozen=True)
class _Candidate(Candidate):
    line: _Line = field(kw_only=True, compare=False, repr=False)


class Evolve:
    """`depth` rounds over `rows` (tasks with where they come from); a row that was accepted is what the next round begins with.

    An input becomes part of the instruction. Sources are those of the row, and the ways that it went. Reasons: "cut_off",
    "empty_instruction", "other_language", "copies_prompt", "no_more_information", and of answers "empty_output", "sorry", "only_fillers".
    """

    name = "evolve"

    def __init__(
        self,
        rows: Sequence[Candidate],
        rng: random.Random,
        *,
        depth: int = 1,
        sampling: Sampling = Sampling(max_new_tokens=1024, temperature=0.7, top_p=0.95),
    ) -> None:
        self._rng, self._depth, self._sampling = rng, depth, sampling
        self._to_evolve = deque(_Line(row) for row in rows)
        self._to_answer: deque[_Line] = deque()

    def next_prompts(self, most: int) -> list[Prompt]:
        """Answers first, so that rows come from the beginning of a run on."""
        prompts: list[Prompt] = []
        while self._to_answer and len(prompts) < most:
            line = self._to_answer.popleft()
            prompts.append(self._prompt("answer", line.evolved, line))
        while self._to_evolve and len(prompts) < most:
            line = self._to_evolve.popleft()
            if line.rounds < self._depth:
                line.rounds += 1
                line.way = self._rng.choice(_ALL_WAYS)
                prompts.append(self._prompt("instruction", _request(line), line))
        return prompts

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        """Of an evolved instruction only a rejection, if it is none; of an answer the row."""
        assert isinstance(prompt, _Prompt)
        line, text = prompt.line, completion.text.strip()
        if prompt.kind == "instruction":
            text = _QUOTED.sub(r"\1", _LEAD.sub("", text).strip())
            reason = _no_evolution(text, completion.finish, line)
            if not reason:
                line.evolved = text
                self._to_answer.append(line)
        else:
            reason = _no_answer(text, completion.finish, line.evolved)
            if not reason:
                yield _Candidate(Task(line.evolved, "", text), prompt.sources, line=line)
        if reason:
            yield Rejected(completion.text, reason)
        if reason or prompt.kind == "answer":
            self._to_evolve.append(line)

    def accepted(self, candidate: Candidate) -> None:
        """The next round begins with this row."""
        assert isinstance(candidate, _Candidate)
        candidate.line.row = candidate

    def _prompt(self, kind: str, text: str, line: _Line) -> _Prompt:
        return _Prompt(kind, Conversation.ask(text), self._sampling, (*line.row.sources, line.way), line=line)


def _request(line: _Line) -> str:
    """What a teacher is asked, to evolve the row of `line` in its way."""
    text = _whole(line.row.task)
    language = prompt_language(text)
    if line.way == _BREADTH:
        return _BROADER[language].format(text=text)
    return _DEEPER[language].format(way=_WAYS[language][line.way], text=text)


def _whole(task: Task) -> str:
    return f"{task.instruction}\n\n{task.input}" if task.input else task.instruction


def _no_evolution(text: str, finish: str, line: _Line) -> Reason | None:
    """Why `text` is no evolved instruction."""
    if finish == CUT:
        return Reason("cut_off")
    if not text:
        return Reason("empty_instruction")
    if not answers_in(text, prompt_language(_whole(line.row.task))):
        return Reason("other_language")
    if copied := _COPIED.search(text):
        return Reason("copies_prompt", copied.group())
    new = content(text) - content(_whole(line.row.task))
    return Reason("no_more_information") if len(new) < _LEAST_NEW_WORDS else None


def _no_answer(text: str, finish: str, instruction: str) -> Reason | None:
    """Why `text` is no answer to learn from."""
    if finish == CUT:
        return Reason("cut_off")
    if not text:
        return Reason("empty_output")
    # unlike the paper: where an apology was asked for, it is the answer
    if num_words(text) < _SHORT_WORDS and (found := _SORRY.search(text)) and not _ABOUT_SORRY.search(instruction):
        return Reason("sorry", found.group())
    return None if content(text) or re.search(r"\d", text) else Reason("only_fillers")
