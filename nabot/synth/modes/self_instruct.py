"""Self-instruct's way, in three steps: instructions, is it a classification, instances. In: seeds, out: prompts; answers → tasks.

The steps, their sampling and their limits are those of Wang et al. 2022 (yizhongw/self-instruct: bootstrap_instructions.py,
identify_clf_or_not.py, generate_instances.py); the words of the prompts are nabot's. Two differences: an instruction goes through all
three steps before more are thought of, where self-instruct does step by step for all 50,000; and examples are seeds, not a fixed list.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nabot.conversation import Conversation
from nabot.synth.asking import INSTANCES, Candidate, Prompt
from nabot.synth.filters import reject_instruction
from nabot.synth.modes.material import Material
from nabot.synth.novelty import Pool
from nabot.synth.parsing import (
    CUT,
    MOST_INSTANCES,
    is_classification,
    parse_instances,
    parse_instructions,
    parse_labelled_instances,
    usable_instances,
)
from nabot.synth.seeds import Language, Seed
from nabot.synth.tasks import Reason, Rejected, Task
from nabot.textmodel import Completion, Sampling

_SHOWN, _SHOWN_OWN, _LISTED = (
    8,
    2,
    16,
)  # instructions in a prompt, of them at most two that the teacher wrote; length of the list
_SHOWN_OF_EACH = 8  # classifications, and other tasks, before the question which of them a task is
_SHOWN_WITH_INSTANCES = 4
_LIST, _KIND = "instructions", "classification"

_LIST_HEADERS: dict[Language, str] = {
    "en": "Here is the beginning of a list of {n} varied tasks. Go on with it from number {next}, one task a line, and write nothing else.",
    "ko": "다양한 과제 {n}개를 적은 목록의 앞부분입니다. {next}번부터 한 줄에 하나씩 이어서 쓰고, 다른 말은 쓰지 마세요.",
}
_KIND_HEADERS: dict[Language, str] = {
    "en": "Does the task have a small, fixed set of possible answers, so that it is a classification? Answer Yes or No.",
    "ko": "가능한 답이 정해진 몇 가지뿐인 분류 과제인가요? Yes 또는 No로만 답하세요.",
}
_INPUT_FIRST_HEADERS: dict[Language, str] = {
    "en": f"For the last task, write examples in the form of the others: each an input that the task can be done with, and the right output. At most {MOST_INSTANCES} examples; a task that needs no input has one example with an output alone.",
    "ko": f"마지막 과제의 예를 다른 과제들과 같은 형식으로 써 주세요. 예마다 과제에 쓸 입력과 올바른 출력을 씁니다. 예는 {MOST_INSTANCES}개까지이고, 입력이 필요 없는 과제는 출력만 있는 예 하나를 씁니다. Example, Input, Output이라는 이름표는 영어 그대로 두세요.",
}
_LABEL_FIRST_HEADERS: dict[Language, str] = {
    "en": "For the last task, a classification, write examples in the form of the others: first a class label, and from the next line on an input that belongs to it. One example for each possible label.",
    "ko": "마지막 분류 과제의 예를 다른 과제들과 같은 형식으로 써 주세요. 먼저 분류 이름을, 다음 줄부터 그에 맞는 입력을 씁니다. 가능한 분류마다 하나씩 쓰세요. Class label이라는 이름표는 영어 그대로 두세요.",
}


@dataclass(frozen=True)
class _Idea:
    """An instruction that passed the rules, on its way to instances."""

    instruction: str
    sources: tuple[str, ...]  # the seeds that its prompt showed
    is_classification: bool = False


class SelfInstruct:
    """Never runs out."""

    name = "self-instruct"

    def __init__(self, material: Material) -> None:
        self._language, self._rng, self._seeds = material.language, material.rng, material.seeds
        self._pool = Pool(seed.instruction for seed in material.seeds)
        self._own: list[str] = []  # instructions that the teacher wrote
        self._thought_of: deque[_Idea] = deque()
        self._classified: deque[_Idea] = deque()
        self._asked: dict[Prompt, _Idea] = {}

    def next_prompts(self, most: int) -> Sequence[Prompt]:
        """What is furthest on the way goes first."""
        if self._classified:
            return [self._about(self._classified.popleft(), self._instances) for _ in _up_to(most, self._classified)]
        if self._thought_of:
            return [self._about(self._thought_of.popleft(), self._kind) for _ in _up_to(most, self._thought_of)]
        seed = self._rng.getrandbits(31)
        asked = [self._list(seed) for _ in range(most)]
        return list({prompt.conversation: prompt for prompt in asked}.values())  # of few seeds some are drawn twice

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        if prompt.kind == _LIST:
            yield from self._read_list(prompt, completion)
            return
        idea = self._asked.pop(prompt)
        if prompt.kind == _KIND:
            answer = completion.text.strip().strip("*.!\"'")  # chat models write **Yes.**
            self._classified.append(_Idea(idea.instruction, idea.sources, is_classification(answer)))
            return
        for found in self._read_instances(idea, completion):
            yield found if isinstance(found, Rejected) else Candidate(found, idea.sources)

    def accepted(self, candidate: Candidate) -> None:
        """Whatever becomes of its instances, an instruction is shown again: self-instruct does so."""

    # ---- instructions

    def _list(self, sampling_seed: int) -> Prompt:
        own = self._rng.sample(self._own, min(_SHOWN_OWN, len(self._own)))
        seeds = self._rng.sample(self._seeds, min(_SHOWN - len(own), len(self._seeds)))
        shown = [*own, *(seed.instruction for seed in seeds)]
        self._rng.shuffle(shown)
        lines = [f"{number}. {' '.join(text.split()).rstrip(':')}" for number, text in enumerate(shown, start=1)]
        header = _LIST_HEADERS[self._language].format(n=_LISTED, next=len(shown) + 1)
        begun = "\n".join([*lines, f"{len(shown) + 1}."])
        sampling = Sampling(
            max_new_tokens=1024,
            temperature=0.7,
            top_p=0.5,
            presence_penalty=2.0,
            # unlike self-instruct, which stops at "16." and at an empty line: "in 2016.", and a list with spaces between
            stop=(f"\n{_LISTED + 1}.",),
            seed=sampling_seed,
        )
        return Prompt(_LIST, Conversation.ask(header, begun=begun), sampling, tuple(seed.id for seed in seeds))

    def _read_list(self, prompt: Prompt, completion: Completion) -> Iterator[Rejected]:
        finish = "stop" if completion.finish == "stop" else CUT
        first = prompt.conversation.messages[-1].content.rpartition("\n")[2]
        for found in parse_instructions(_bare_list(completion.text, first), finish):
            if isinstance(found, Rejected):
                yield found
            elif reason := reject_instruction(found) or self._copy(found):
                yield Rejected(found, reason)
            else:
                self._pool.add(found)
                self._own.append(found)
                self._thought_of.append(_Idea(found, prompt.sources))

    def _copy(self, instruction: str) -> Reason | None:
        near = self._pool.near_copy(instruction)
        return Reason("near_copy", f"{near.score:.2f}") if near else None

    # ---- classification or not, and instances

    def _about(self, idea: _Idea, ask: Callable[[_Idea], tuple[str, Conversation, Sampling]]) -> Prompt:
        kind, conversation, sampling = ask(idea)
        prompt = Prompt(kind, conversation, sampling, idea.sources)
        self._asked[prompt] = idea
        return prompt

    def _kind(self, idea: _Idea) -> tuple[str, Conversation, Sampling]:
        shown = [*self._some(True, _SHOWN_OF_EACH), *self._some(False, _SHOWN_OF_EACH)]
        self._rng.shuffle(shown)
        question = "Is it a classification?"
        examples = [f"Task: {s.instruction}\n{question} {'Yes' if s.is_classification else 'No'}\n" for s in shown]
        begun = "\n".join([*examples, f"Task: {idea.instruction}\n{question}"])
        asked = Conversation.ask(_KIND_HEADERS[self._language], begun=begun)
        # unlike self-instruct, whose 3 tokens are too few for the "**Yes**" of chat models
        return _KIND, asked, Sampling(max_new_tokens=8, stop=("\n", "Task"))

    def _instances(self, idea: _Idea) -> tuple[str, Conversation, Sampling]:
        headers = _LABEL_FIRST_HEADERS if idea.is_classification else _INPUT_FIRST_HEADERS
        form = _label_first if idea.is_classification else _input_first
        shown = self._some(idea.is_classification, _SHOWN_WITH_INSTANCES)
        begun = "\n".join([*map(form, shown), f"Task: {idea.instruction}\n"])
        asked = Conversation.ask(headers[self._language], begun=begun)
        limit = 300 if idea.is_classification else 350
        stop = (f"Example {MOST_INSTANCES + 1}", "Task:")
        return INSTANCES, asked, Sampling(max_new_tokens=limit, presence_penalty=1.5, stop=stop)

    def _some(self, classifications: bool, most: int) -> list[Seed]:
        those = [seed for seed in self._seeds if seed.is_classification == classifications]
        return self._rng.sample(those, min(most, len(those)))

    def _read_instances(self, idea: _Idea, completion: Completion) -> Iterator[Task | Rejected]:
        finish = "stop" if completion.finish == "stop" else CUT
        parse = parse_labelled_instances if idea.is_classification else parse_instances
        found = parse(idea.instruction, completion.text, finish)
        yield from (item for item in found if isinstance(item, Rejected))
        yield from usable_instances([item for item in found if isinstance(item, Task)], self._rng)


def _up_to(most: int, waiting: deque[_Idea]) -> range:
    return range(min(most, len(waiting)))


def _bare_list(text: str, first: str) -> str:
    """The list as self-instruct's parser wants it: behind the `first` number, without empty lines, and without words after it.

    Chat models greet, repeat the number that the prompt ended with, put empty lines between the items, and say goodbye.
    """
    if begun := re.search(rf"^[ \t]*{re.escape(first)} ", text, re.MULTILINE):
        text = text[begun.end() :]
    return re.sub(r"\n\s*\n(?=\s*\d)", "\n", text).partition("\n\n")[0]


def _input_first(seed: Seed) -> str:
    examples = [
        f"Example {number}\n" + (f"Input: {task.input}\n" if task.input else "") + f"Output: {task.output}\n"
        for number, task in enumerate(seed.tasks[:MOST_INSTANCES], start=1)
    ]
    return f"Task: {seed.instruction}\n{''.join(examples)}"


def _label_first(seed: Seed) -> str:
    examples = [f"Class label: {task.output}\n{task.input}\n" for task in seed.tasks[:MOST_INSTANCES]]
    return f"Task: {seed.instruction}\n{''.join(examples)}"
