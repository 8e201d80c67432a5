"""A conversation as people and files know it. In: JSON-like dicts that were checked before, out: frozen records.

Checking what a person wrote is the work of `nabot.data`; turning a conversation into token ids that of
`nabot.rendering`. These records have no behaviour beyond that.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


def nfc(text: str) -> str:
    """Composed characters, so that 가 typed on a Mac equals 가 typed anywhere else.

    Full-width forms (Ａ) and compatibility jamo (ㅋㅋ) stay: they are other characters, which people chose.
    """
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class Message:
    """One turn. `context` is Alpaca's *input* (KoAlpaca's 맥락); `train=False` takes an assistant turn out of the loss."""

    role: Role
    content: str
    context: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    train: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The row of a conversation file; fields at their default are left out."""
        row: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.context:
            row["context"] = self.context
        if self.tool_calls:
            row["tool_calls"] = list(self.tool_calls)
        if not self.train:
            row["train"] = False
        return row


@dataclass(frozen=True)
class Conversation:
    """Turns in order; `tools` are the JSON schemas of the functions that the assistant may call."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> "Conversation":
        """From OpenAI-style dicts that are known to be good."""
        return cls(tuple(_message(m) for m in messages), tuple(tools))

    @classmethod
    def ask(cls, question: str, system: str = "", begun: str = "") -> "Conversation":
        """A single question, with an optional system prompt before it and an optional beginning of the answer behind it.

        All of it in NFC, as rows are.
        """
        head = (Message("system", nfc(system)),) if system else ()
        tail = (Message("assistant", nfc(begun)),) if begun else ()
        return cls((*head, Message("user", nfc(question)), *tail))

    @property
    def begun(self) -> tuple["Conversation", str]:
        """The turns that are to be answered, and how the answer begins: with the last turn's words if they are the assistant's."""
        *before, last = self.messages
        return (replace(self, messages=tuple(before)), last.content) if last.role == "assistant" else (self, "")

    def as_dict(self) -> dict[str, Any]:
        """One line of a conversation file."""
        row: dict[str, Any] = {"messages": [m.as_dict() for m in self.messages]}
        if self.tools:
            row["tools"] = list(self.tools)
        return row

    def with_system(self, system: str) -> "Conversation":
        """The same with `system` in front, unless it has a system prompt of its own (or `system` is empty)."""
        if not system or (self.messages and self.messages[0].role == "system"):
            return self
        return Conversation((Message("system", system), *self.messages), self.tools)


def _message(row: Mapping[str, Any]) -> Message:
    return Message(
        role=row["role"],
        content=row.get("content") or "",
        context=row.get("context") or "",
        tool_calls=tuple(row.get("tool_calls") or ()),
        train=row.get("train", True),
    )
