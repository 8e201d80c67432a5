"""Alpaca's way: one prompt gives instruction, input and output of up to 17 tasks. In: seeds, out: prompts; answers → tasks.

The structure is Alpaca's (Taori et al. 2023, prompt.txt and generate_instruction.py of tatsu-lab/stanford_alpaca): rules, then a list of
20 tasks of which three seeds are there already, and sampling at temperature 1. The words are nabot's, in English and Korean, and
the rules are numbered without a gap or a repetition.
"""

from collections.abc import Iterator, Sequence

from nabot.conversation import Conversation
from nabot.synth.asking import Candidate, Prompt
from nabot.synth.modes.material import Material
from nabot.synth.parsing import CUT, SHOWN, parse_alpaca
from nabot.synth.seeds import Language, Seed
from nabot.synth.tasks import Rejected
from nabot.textmodel import Completion, Sampling

NO_INPUT = "<noinput>"
_LISTED = 20
_HEADERS: dict[Language, str] = {  # {shown} and {next} are filled in
    "en": f"""Make a list of {_LISTED} tasks that people could give to a language model, each together with a good answer. Another model will learn from the list how to follow instructions.

Keep to these rules:
1. No two instructions begin with the same verb; let the list be as varied as possible.
2. Vary the tone and the form, too: some instructions ask a question, others say what is to be done.
3. Mix many kinds of tasks: open questions, classification, rewriting, extracting facts, ideas, planning, arithmetic, programming, conversation, and others.
4. A model that only reads and writes text must be able to do every task. So nothing to look at or listen to, neither given nor wanted, and nothing to be done in the world, such as setting an alarm or booking a table.
5. Everything is in English.
6. An instruction has one sentence or two, as a question or as a request.
7. What a task works on stands in its input: something concrete and lifelike, never a mere placeholder, with 100 words at most.
8. A task that needs nothing to work on, such as a general question, has {NO_INPUT} as its input.
9. The output answers the instruction, correctly and completely, in fewer than 100 words.

Write nothing but the list, each task in the form of the first {{shown}}, which are there already. Go on with number {{next}}.

The {_LISTED} tasks:""",
    "ko": f"""사람들이 언어 모델에게 맡길 만한 과제 {_LISTED}개를, 저마다 좋은 답과 함께 목록으로 만들어 주세요. 다른 모델이 이 목록을 보고 지시를 따르는 법을 배웁니다.

다음 규칙을 지켜 주세요.
1. 지시마다 다른 동사를 써서 목록을 되도록 다양하게 만듭니다.
2. 말투와 형식도 섞습니다. 어떤 지시는 질문으로, 어떤 지시는 부탁이나 명령으로 씁니다.
3. 자유로운 질문, 분류, 고쳐 쓰기, 정보 추출, 아이디어, 계획, 계산, 프로그래밍, 대화 등 여러 종류를 고루 넣습니다.
4. 글만 읽고 쓰는 모델이 할 수 있는 과제여야 합니다. 보거나 들어야 하는 것은 주지도 요구하지도 않고, 알람을 맞추거나 자리를 예약하는 것처럼 실제로 행동해야 하는 일도 넣지 않습니다.
5. 모두 자연스러운 한국어로 씁니다. 다만 Instruction, Input, Output이라는 이름표는 영어 그대로 둡니다.
6. 지시는 질문이나 요청으로, 한두 문장으로 씁니다.
7. 과제에 필요한 자료는 입력에 씁니다. 빈칸을 대신하는 말이 아니라 구체적이고 있을 법한 내용으로, 100단어를 넘지 않게 합니다.
8. 일반적인 질문처럼 자료가 필요 없는 과제는 입력에 {NO_INPUT}이라고 씁니다.
9. 출력은 지시에 맞는 정확하고 빠짐없는 답이며, 100단어보다 짧습니다.

목록 말고는 아무것도 쓰지 마세요. 처음 {{shown}}개는 이미 있으니, 같은 형식으로 {{next}}번부터 이어 가세요.

과제 {_LISTED}개:""",
}
# unlike Alpaca, which stops at "20.": that also ends an answer that says "in 2020."
_STOP = (f"\n{_LISTED + 1}. Instruction",)
_MAX_NEW_TOKENS = 3072


class Alpaca:
    """Never runs out: every prompt shows other seeds."""

    name = "alpaca"

    def __init__(self, material: Material) -> None:
        self._header, self._seeds, self._rng = _HEADERS[material.language], material.seeds, material.rng

    def next_prompts(self, most: int) -> Sequence[Prompt]:
        sampling = Sampling(max_new_tokens=_MAX_NEW_TOKENS, temperature=1.0, stop=_STOP, seed=self._rng.getrandbits(31))
        return list(dict.fromkeys(self._prompt(sampling) for _ in range(most)))  # of few seeds some are drawn twice

    def _prompt(self, sampling: Sampling) -> Prompt:
        shown = self._rng.sample(self._seeds, min(SHOWN, len(self._seeds)))
        items = "".join(_item(number, seed) for number, seed in enumerate(shown, start=1))
        header = self._header.format(shown=len(shown), next=len(shown) + 1)
        begun = f"{items}###\n{len(shown) + 1}. Instruction:"
        return Prompt("alpaca", Conversation.ask(header, begun=begun), sampling, tuple(seed.id for seed in shown))

    def take(self, prompt: Prompt, completion: Completion) -> Iterator[Candidate | Rejected]:
        finish = "stop" if completion.finish == "stop" else CUT
        for found in parse_alpaca(completion.text, finish, shown=len(prompt.sources)):
            yield found if isinstance(found, Rejected) else Candidate(found)

    def accepted(self, candidate: Candidate) -> None:
        """Alpaca shows seeds alone."""


def _item(number: int, seed: Seed) -> str:
    task = seed.tasks[0]
    instruction = " ".join(seed.instruction.split()).rstrip(":")
    return (
        f"###\n{number}. Instruction: {instruction}\n"
        f"{number}. Input:\n{task.input or NO_INPUT}\n"
        f"{number}. Output:\n{task.output}\n"
    )
