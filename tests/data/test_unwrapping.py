"""Prompts that already carry a chat template."""

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nabot.rendering
from nabot.conversation import Conversation, Message
from nabot.data.files import read_conversations, scan_file
from nabot.data.notes import Note
from nabot.data.unwrapping import unwrapped_dialogue, unwrapped_prompt

ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
ALPACA_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
KOALPACA = (
    f"{ALPACA_INPUT}\n아래는 작업을 설명하는 명령어와 추가적 맥락을 제공하는 입력이 짝을 이루는 예제입니다. "
    "요청을 적절히 완료하는 응답을 작성하세요."
)
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def user(content: str, context: str = "") -> dict[str, Any]:
    return {"role": "user", "content": content} | ({"context": context} if context else {})


def bot(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


PROMPTS = {
    "alpaca without input": ("alpaca", f"{ALPACA}\n\n### Instruction:\nTea?\n\n### Response:\n", [user("Tea?")]),
    "alpaca with input": (
        "alpaca",
        f"{ALPACA_INPUT}\n\n### Instruction:\nSum up.\n\n### Input:\nLong\n\ntext\n\n### Response:",
        [user("Sum up.", "Long\n\ntext")],
    ),
    "alpaca with an empty input": (
        "alpaca",
        f"{ALPACA_INPUT}\n\n### Instruction:\nTea?\n\n### Input:\n\n\n### Response:",
        [user("Tea?")],
    ),
    "headings alone": ("alpaca", "### Instruction:\nTea?\n### Response:", [user("Tea?")]),
    "own words in front": (
        "alpaca",
        "You are a waiter.\n\n### Instruction:\nTea?\n\n### Response:",
        [system("You are a waiter."), user("Tea?")],
    ),
    "koalpaca for llama": (
        "alpaca",
        f"{KOALPACA}\n\n### Instruction(명령어):\n요약해 줘\n\n### Input(입력):\n긴 글\n\n### Response(응답):",
        [user("요약해 줘", "긴 글")],
    ),
    "koalpaca for polyglot": ("alpaca", "### 질문: 몇 시에 여나요?\n\n### 답변:", [user("몇 시에 여나요?")]),
    "koalpaca with 맥락": (
        "alpaca",
        "### 질문: 몇 시에 여나요?\n\n### 맥락: 달카페는 7시에 연다.\n\n### 답변:",
        [user("몇 시에 여나요?", "달카페는 7시에 연다.")],
    ),
    "맥락 in front": ("alpaca", "### 맥락: 긴 글\n\n### 명령어: 요약\n\n### 응답:", [user("요약", "긴 글")]),
    "human and assistant headings": (
        "alpaca",
        "### Human: Tea?### Assistant: Yes.### Human: Cake?### Assistant:",
        [user("Tea?"), bot("Yes."), user("Cake?")],
    ),
    "vicuna": ("vicuna", f"{VICUNA} USER: Tea? ASSISTANT:", [user("Tea?")]),
    "vicuna of two turns": (
        "vicuna",
        "Be short. USER: Tea? ASSISTANT: Yes.</s>USER: Cake? ASSISTANT:",
        [system("Be short."), user("Tea?"), bot("Yes."), user("Cake?")],
    ),
    "human and assistant": ("human-assistant", "\n\nHuman: Tea?\n\nAssistant:", [user("Tea?")]),
    "llama 2": ("llama2", "<s>[INST] Tea? [/INST]", [user("Tea?")]),
    "llama 2 with a system prompt and two turns": (
        "llama2",
        "<s>[INST] <<SYS>>\nBe short.\n<</SYS>>\n\nTea? [/INST] Yes. </s><s>[INST] Cake? [/INST]",
        [system("Be short."), user("Tea?"), bot("Yes."), user("Cake?")],
    ),
    "chatml": (
        "chatml",
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nTea?<|im_end|>\n<|im_start|>assistant\n",
        [system("Be short."), user("Tea?")],
    ),
    "chatml without its last line break": (
        "chatml",
        "<|im_start|>user\nTea?<|im_end|>\n<|im_start|>assistant",
        [user("Tea?")],
    ),
    "llama 3": (
        "llama3",
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nTea?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        [user("Tea?")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_in_a_known_template_gives_its_turns(name: str):
    template, prompt, messages = PROMPTS[name]
    found = unwrapped_prompt(prompt)
    assert found is not None
    assert (found.template, found.messages) == (template, messages)
    assert unwrapped_dialogue(prompt) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Tea?",
        'What does "### Instruction:" mean?',
        "Write a prompt with ### Instruction: and ### Response: in it.",
        "### Response:",
        "### Input:\nText\n\n### Response:",
        "### Instruction:\nOne\n### Instruction:\nTwo\n### Response:",
        f"{ALPACA}\n\n### Instruction:\nTea?\n\n### Response:\nYes.",
        "# Question:\nTea?\n# Answer:",
        "User: Tea?\nAssistant:",
        "MULTIUSER: Tea? ASSISTANT:",
        "Continue the list:",
        "[INST] Tea?",
        "<|im_start|>user\nTea?<|im_end|>\n<|im_start|>tool\n1<|im_end|>\n<|im_start|>assistant\n",
        None,
        ["### Instruction:", "### Response:"],
    ],
)
def test_whatever_is_no_whole_prompt_stays_as_it_is(text: object):
    assert unwrapped_prompt(text) is None


WORDS = st.text(st.sampled_from("가나다 abc.,!?\n#[]<>:|"), min_size=1, max_size=20).map(str.strip).filter(bool)
TURNS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3)


@pytest.mark.parametrize("template", ["llama2", "chatml", "llama3"])
@given(system_prompt=st.none() | WORDS, turns=TURNS)
def test_what_a_template_wrapped_is_unwrapped_again(
    template: str, system_prompt: str | None, turns: list[tuple[str, str]]
):
    messages = [system(system_prompt)] if system_prompt else []
    messages += [message for question, answer in turns for message in (user(question), bot(answer))]
    source = (Path(nabot.rendering.__file__).parent / "templates" / f"{template}.jinja").read_text(encoding="utf-8")
    end = {"llama2": "</s>", "chatml": "<|im_end|>", "llama3": "<|eot_id|>"}[template]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = AssertionError
    text = environment.from_string(source).render(
        messages=messages, bos_token="<s>", eos_token=end, add_generation_prompt=False
    )
    found = unwrapped_dialogue(text)
    assert found is not None
    assert (found.template, found.messages) == (template, messages)


# ---- in files


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_answer_loses_what_belonged_to_the_template(tmp_path: Path):
    path = write(tmp_path, {"prompt": "[INST] Tea? [/INST]", "completion": " Yes, and cake. </s>"})
    assert read_conversations([path]) == [
        Conversation((Message("user", "Tea?"), Message("assistant", "Yes, and cake.")))
    ]


def test_the_answer_to_a_plain_prompt_keeps_its_spaces(tmp_path: Path):
    path = write(tmp_path, {"prompt": "Tea?", "completion": " Yes.\n"})
    assert read_conversations([path])[0].messages[1].content == " Yes.\n"


def test_a_system_prompt_of_its_own_goes_in_front_and_two_of_them_leave_the_prompt_alone(tmp_path: Path):
    plain = {"prompt": "USER: Tea? ASSISTANT:", "completion": "Yes.", "system": "Be short."}
    doubled = plain | {"prompt": "Be long. USER: Tea? ASSISTANT:"}
    one, two = read_conversations([write(tmp_path, plain, doubled)])
    assert [m.content for m in one.messages] == ["Be short.", "Tea?", "Yes."]
    assert [m.content for m in two.messages] == ["Be short.", "Be long. USER: Tea? ASSISTANT:", "Yes."]


def test_a_prompt_beside_a_context_of_its_own_stays_as_it_is(tmp_path: Path):
    path = write(tmp_path, {"prompt": "USER: Tea? ASSISTANT:", "completion": "Yes.", "context": "menu"})
    assert read_conversations([path])[0].messages[0] == Message("user", "USER: Tea? ASSISTANT:", "menu")


def test_how_many_prompts_were_unwrapped_is_told(tmp_path: Path):
    wrapped = {"prompt": "### Instruction:\nTea?\n\n### Response:", "completion": "Yes."}
    path = write(tmp_path, wrapped, {"prompt": "Tea?", "completion": "Yes."}, wrapped)
    notes: list[Note] = []
    read_conversations([path], on_note=notes.append)
    assert [note.kind for note in notes] == ["template"]
    assert "2 rows" in notes[0].message
    assert "alpaca" in notes[0].message
    assert scan_file(path).templates == {"alpaca": 2}


def test_a_column_of_whole_dialogues_is_read(tmp_path: Path):
    path = write(tmp_path, {"text": "### 질문: 몇 시?\n\n### 답변: 7시요.<|endoftext|>"}, {"text": "그냥 글"})
    scan = scan_file(path)
    assert scan.layout == "text"
    assert scan.conversations == [(1, Conversation((Message("user", "몇 시?"), Message("assistant", "7시요."))))]
    assert [(fault.kind, fault.row, fault.field) for fault in scan.faults] == [("no_dialogue", 2, "text")]
