"""A text that already carries a chat template → the messages in it. In: a prompt or a whole dialogue, out: messages.

A text is believed to carry a template only if its turns come in order and, for a prompt, if it ends where the answer
would begin: a question that merely mentions "### Instruction:" stays as it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ROLES = {
    "user": ("instruction", "question", "user", "human", "질문", "명령어", "지시", "[inst]"),
    "context": ("input", "context", "입력", "맥락"),
    "assistant": ("response", "answer", "assistant", "답변", "응답", "[/inst]"),
    "system": ("system", "시스템"),
    "tool": ("tool",),
}
_ROLE_OF: Mapping[str, str] = {word: role for role, words in _ROLES.items() for word in words}
HEADINGS = "|".join(word for word in _ROLE_OF if word[0] != "[")

# What stands before a turn, by the name of the template. KoAlpaca's headings say it twice: "### Input(입력):".
_MARKS: Mapping[str, re.Pattern[str]] = {
    "alpaca": re.compile(rf"###[ ]?({HEADINGS})[ ]?(?:\([^()\n]*\))?[ ]?:", re.IGNORECASE),
    "vicuna": re.compile(r"(?:(?<!\S)|(?<=</s>))(SYSTEM|USER|ASSISTANT):"),
    "human-assistant": re.compile(r"(?:^|\n\n)(Human|Assistant):"),
    "llama2": re.compile(r"(\[/?INST\])"),
    "chatml": re.compile(r"<\|im_start\|>(system|user|assistant|tool)\n"),
    "llama3": re.compile(r"<\|start_header_id\|>(system|user|assistant|tool)<\|end_header_id\|>"),
}
_ORDER = re.compile("s?(?:(?:uc?|cu)a)+")  # the first letters of the roles; turns of tools have no text of their own
_PROMPT_ENDS = (":", "[/INST]", "assistant", "<|end_header_id|>")
_TOKENS = ("<s>", "</s>", "<|endoftext|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>")
_SYSTEM_OF_LLAMA2 = re.compile(r"<<SYS>>(.*?)<</SYS>>(.*)", re.DOTALL)

# Sentences that belong to a template and not to a person; what else stands in front is a system prompt.
_TEMPLATE_SENTENCES = (
    "Below is an instruction that describes a task, paired with an input that provides further context.",
    "Below is an instruction that describes a task.",
    "Write a response that appropriately completes the request.",
    "아래는 작업을 설명하는 명령어와 추가적 맥락을 제공하는 입력이 짝을 이루는 예제입니다.",
    "아래는 작업을 설명하는 명령어와 추가 컨텍스트를 제공하는 입력이 짝을 이루는 예제입니다.",
    "아래는 작업을 설명하는 명령어입니다.",
    "명령어에 따른 요청을 적절히 완료하는 응답을 작성하세요.",
    "요청을 적절히 완료하는 응답을 작성하세요.",
    "A chat between a curious user and an artificial intelligence assistant.",
    "A chat between a curious human and an artificial intelligence assistant.",
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    "The assistant gives helpful, detailed, and polite answers to the human's questions.",
)


@dataclass(frozen=True)
class Unwrapped:
    """The messages of a text, and the template that it carried."""

    template: str
    messages: list[dict[str, Any]]


def unwrapped_prompt(text: object) -> Unwrapped | None:
    """The turns up to where the answer begins; None if this is no prompt in a known template."""
    if not isinstance(text, str) or not text.rstrip().endswith(_PROMPT_ENDS):  # the patterns cost more than this look
        return None
    found = _readings(text + "\n")  # ChatML's last mark ends with a line break, which may have been lost
    return next((Unwrapped(name, turns[:-1]) for name, turns in found if not turns[-1]["content"]), None)


def unwrapped_dialogue(text: object) -> Unwrapped | None:
    """The turns with the last answer; None if this is no dialogue in a known template."""
    found = _readings(text) if isinstance(text, str) else iter(())
    return next((Unwrapped(name, turns) for name, turns in found if turns[-1]["content"]), None)


def bare(text: Any) -> Any:
    """A turn's text without the spaces and end tokens that belong to the template around it."""
    if not isinstance(text, str):
        return text
    shorter = text.strip()
    for token in _TOKENS:
        shorter = shorter.removeprefix(token).removesuffix(token)
    return text if shorter == text else bare(shorter)


def _readings(text: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The text as every template in which its turns come in order."""
    for name, mark in _MARKS.items():
        lead, *found = mark.split(text)  # a role and a text in turn
        roles, texts = [_ROLE_OF[word.lower()] for word in found[::2]], [bare(text) for text in found[1::2]]
        lead = _without_template_sentences(lead)
        if lead and roles and roles[0] != "system":
            roles, texts = ["system", *roles], [lead, *texts]
        if _ORDER.fullmatch("".join(role[0] for role in roles)):
            yield name, _turns(roles, texts)


def _turns(roles: list[str], texts: list[str]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    context = ""
    for i, (role, text) in enumerate(zip(roles, texts, strict=True)):
        if role == "context":
            context = text
        else:
            turns.append({"role": role, "content": text})
        if context and roles[i : i + 2] != ["context", "user"]:
            turns[-1]["context"], context = context, ""
    first = _SYSTEM_OF_LLAMA2.fullmatch(turns[0]["content"])
    if first and turns[0]["role"] == "user":
        system, question = map(bare, first.groups())
        turns[:1] = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return turns


def _without_template_sentences(lead: str) -> str:
    for sentence in _TEMPLATE_SENTENCES:
        lead = lead.replace(sentence, "")
    return bare(lead)
