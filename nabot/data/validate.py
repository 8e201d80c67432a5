"""Do these messages make a conversation? In: converted rows, out: problems, or the frozen record.

Roles: a system prompt only in front; then user and assistant in turn; tool results only after an assistant that called
tools. A training row ends with an answer, an exam question with the user.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from nabot.conversation import ROLES, Conversation, nfc
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.turns import Converted
from nabot.text import say

__all__ = ["conversation_or_problems", "has_half_character", "nfc", "nfc_message"]

Messages = Sequence[Mapping[str, Any]]

# Who may speak after whom; "" is the beginning, "call" an assistant that calls tools.
_NEXT: dict[str, tuple[str, ...]] = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "call": ("tool", "user"),
    "tool": ("tool", "assistant"),
}


def conversation_or_problems(
    row: Converted, *, ends_with: Literal["assistant", "user"] = "assistant"
) -> Conversation | list[Problem]:
    """The conversation with its text in NFC, or everything that keeps the row from being one."""
    problems = list(_shape_problems(row))
    if not problems:  # sense is only looked for where the shape is right
        problems = [*_order_problems(row, ends_with), *_empty_problems(row)]
        if ends_with == "assistant":
            problems += _training_problems(row)
    return problems or Conversation.of([nfc_message(m) for m in row.messages], row.tools or ())


def has_half_character(text: str) -> bool:
    """Whether the text holds half of a UTF-16 pair (a stray \\ud83d in JSON), which no encoding can write down."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _shape_problems(row: Converted) -> Iterator[Problem]:
    if not isinstance(row.messages, list) or not row.messages:
        yield problem("no_messages", row.list_name, seen=_kind(row.messages), wanted=row.list_name)
        return
    if row.tools is not None and not _is_list_of_objects(row.tools):
        yield problem("not_objects", "tools", seen=_kind(row.tools))
    for i, message in enumerate(row.messages):
        if not isinstance(message, dict):
            yield problem("not_object", row.name_of(i, "").rstrip("."), seen=_kind(message))
        else:
            yield from _message_problems(row, i, message)


def _message_problems(row: Converted, i: int, message: Mapping[str, Any]) -> Iterator[Problem]:
    role, calls, train = message.get("role"), message.get("tool_calls"), message.get("train")
    if role not in ROLES:
        yield problem("unknown_role", row.name_of(i, "role"), seen=excerpt(role), known=", ".join(ROLES))
    if calls is not None and not _is_list_of_objects(calls):
        yield problem("not_objects", row.name_of(i, "tool_calls"), seen=_kind(calls))
    if train is not None and not isinstance(train, bool):
        yield problem("not_true_false", row.name_of(i, "train"), seen=excerpt(train))
    for key in ("content", "context"):
        value = message.get(key)
        may_be_absent = key == "context" or bool(calls)
        if value is None and may_be_absent:
            continue
        if not isinstance(value, str):
            yield problem("not_text", row.name_of(i, key), seen=_kind(value))
        elif has_half_character(value):
            yield problem("half_character", row.name_of(i, key), seen=excerpt(value))


def _order_problems(row: Converted, ends_with: str) -> Iterator[Problem]:
    """The first turn out of order, and a wrong last one."""
    before = ""
    for i, message in enumerate(row.messages):
        role = message["role"]
        if role not in _NEXT[before]:
            yield problem(
                "roles_order",
                row.name_of(i, "role"),
                seen=role,
                before={"": say("data.beginning"), "call": "assistant"}.get(before, before),
                expected=" / ".join(_NEXT[before]),
            )
            return
        before = "call" if message.get("tool_calls") else role
    last = row.messages[-1]["role"]
    has_answer = any(message["role"] == "assistant" for message in row.messages)
    if last != ends_with and (has_answer or ends_with == "user"):
        kind = "last_not_assistant" if ends_with == "assistant" else "last_not_user"
        yield problem(kind, row.name_of(len(row.messages) - 1, "role"), fixable=has_answer, seen=last)


def _empty_problems(row: Converted) -> Iterator[Problem]:
    for i, message in enumerate(row.messages):
        blank = not (message.get("content") or "").strip()
        if blank and message["role"] == "assistant" and not message.get("tool_calls"):
            yield problem("empty_answer", row.name_of(i, "content"), seen=excerpt(message["content"]))
        if blank and message["role"] == "user" and not (message.get("context") or "").strip():
            yield problem("empty_question", row.name_of(i, "content"), seen=excerpt(message["content"]))


def _training_problems(row: Converted) -> Iterator[Problem]:
    answers = [message for message in row.messages if message["role"] == "assistant"]
    if not answers:
        roles = ", ".join(message["role"] for message in row.messages)
        yield problem("no_assistant", row.list_name, seen=roles)
    elif all(message.get("train") is False for message in answers):
        yield problem("nothing_trained", row.list_name)


def nfc_message(message: Mapping[str, Any]) -> dict[str, Any]:
    texts = {key: nfc(message[key]) for key in ("content", "context") if message.get(key)}
    return {**message, "train": message.get("train") is not False, **texts}


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _kind(value: object) -> str:
    """What JSON calls this value."""
    if value is None:
        return "null"
    names = {bool: "true/false", str: "text", int: "number", float: "number", list: "list", dict: "object"}
    return "an empty list" if value == [] else names.get(type(value), type(value).__name__)
