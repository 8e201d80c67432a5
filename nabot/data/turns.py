"""Where each message of a row comes from. In: parts of a row, out: `Converted`, messages that know their field's name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nabot.data.columns import SYSTEMS, Row, key_of
from nabot.data.unwrapping import unwrapped_prompt

Part = tuple[Any, Callable[[str], str]]  # a message, and key → how the person calls that field of it
_SHAREGPT_KEYS = {"role": "from", "content": "value", "tool_calls": "value"}


@dataclass(frozen=True)
class Converted:
    """Messages in the form of a conversation file, not judged yet, and how the person calls each part of them."""

    messages: Any
    name_of: Callable[[int, str], str]  # (message, key) → the person's field
    list_name: str = "messages"
    tools: Any = None
    template: str = ""  # the one that the prompt carried, and that was taken off
    rejected: "Converted | None" = None  # of a preference: the same with the answer that was not liked …
    num_before: int = 0  # … and how many messages both begin with

    @classmethod
    def of(
        cls, parts: Sequence[Part], list_name: str = "messages", *, tools: Any = None, template: str = ""
    ) -> "Converted":
        """Messages that come from different places of a row."""
        return cls([message for message, _ in parts], lambda i, key: parts[i][1](key), list_name, tools, template)


def listed(messages: Sequence[Any], field: str, spelling: Callable[[Any], Any]) -> list[Part]:
    """A list of messages, each brought to our spelling."""

    def part(i: int, message: Any) -> Part:
        theirs = _SHAREGPT_KEYS if isinstance(message, dict) and "from" in message else {}
        return spelling(message), lambda key: f"{field}[{i}].{theirs.get(key, key)}"

    return [part(i, message) for i, message in enumerate(messages)]


def said(role: str, row: Row, field: str) -> Part:
    """A message that is the text of one field."""
    return {"role": role, "content": row[field]}, lambda _: field


def systems(row: Row) -> Iterator[Part]:
    """The system prompt of the row, if it has one."""
    system = key_of(row, SYSTEMS)
    if system and row[system]:
        yield said("system", row, system)


def asked(row: Row, question: str, contexts: Sequence[str]) -> tuple[list[Part], str]:
    """The turns up to the answer, and the template that the question carried ("" for none)."""
    head = list(systems(row))
    context = key_of({key: row[key] for key in row if key != question}, contexts)
    inside = None if context and row[context] else unwrapped_prompt(row[question])
    if inside and not (head and inside.messages[0]["role"] == "system"):  # with two system prompts it stays as it is
        return [*head, *((message, lambda _: question) for message in inside.messages)], inside.template
    user = {"role": "user", "content": row[question]} | ({"context": row[context]} if context else {})
    return [*head, (user, lambda key: context if key == "context" and context else question)], ""
