"""The shapes in which people bring rows. In: a row as it lies in the file, out: messages, or what is missing.

`LAYOUTS` is the whole list: a new layout is one more line there. Converting only moves text to its place; whether the
messages make a conversation is judged afterwards, in `validate.py`, in the words of the person's own layout.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from nabot.data.faults import Problem, problem

Row = Mapping[str, Any]

QUESTIONS = ("question", "q", "instruction", "prompt", "query", "input", "user", "질문", "문의", "물음", "문제", "지시")
ANSWERS = (
    "answer",
    "a",
    "response",
    "completion",
    "output",
    "reply",
    "assistant",
    "답변",
    "답",
    "대답",
    "응답",
    "정답",
)
CONTEXTS = ("context", "input", "맥락", "문맥")  # "input" only where it is not the question itself
SYSTEMS = ("system", "시스템")


@dataclass(frozen=True)
class Converted:
    """Messages in the form of a conversation file, not judged yet, and how the person calls each part of them."""

    messages: Any
    name_of: Callable[[int, str], str]  # (message, key) → the person's field
    list_name: str = "messages"
    tools: Any = None


@dataclass(frozen=True)
class Layout:
    """One shape of rows. `keys` are those it cannot do without, `optional` those it also reads."""

    name: str
    keys: tuple[str, ...]
    recognises: Callable[[Row], bool]
    convert: Callable[[Row], "Converted | Problem"]
    optional: tuple[str, ...] = ()
    in_tables: bool = field(default=False, kw_only=True)  # its rows are flat, so a CSV file may hold them


def choose_layout(first_rows: Sequence[Row]) -> Layout | None:
    """The layout that most of the rows have; on a tie the first of `LAYOUTS`. None if no row has any."""
    counts = [sum(layout.recognises(row) for row in first_rows) for layout in LAYOUTS]
    best = max(counts, default=0)
    return LAYOUTS[counts.index(best)] if best else None


def nearest_layout(keys: Sequence[str]) -> Layout | None:
    """The layout that shares most keys with the rows. None if none shares any.

    A misspelled key that the layout needs counts half, so does a key that it can do without.
    """
    seen = [_plain(key) for key in keys]

    def shared(layout: Layout) -> float:
        needed = sum(
            1.0 if key in seen else 0.5 * bool(get_close_matches(key, seen, cutoff=0.75)) for key in layout.keys
        )
        return needed + sum(0.5 for key in layout.optional if key in seen)

    best = max(LAYOUTS, key=shared)
    return best if shared(best) else None


def table_header(cells: Sequence[str]) -> bool:
    """Whether these cells name the columns of a layout that tables may have."""
    row = dict.fromkeys(cells, "")
    return any(layout.in_tables and layout.recognises(row) for layout in LAYOUTS)


# ---- conversation files, and preference for their spelling


def _has_messages(row: Row) -> bool:
    return "messages" in row


def _from_messages(row: Row) -> Converted:
    return Converted(row.get("messages"), lambda i, key: f"messages[{i}].{key}", tools=row.get("tools"))


# ---- ShareGPT: {"conversations": [{"from": "human", "value": …}, …]}

_SHAREGPT_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}


def _has_conversations(row: Row) -> bool:
    return isinstance(row.get("conversations"), list)


def _from_conversations(row: Row) -> Converted | Problem:
    turns = row.get("conversations")
    if not isinstance(turns, list):
        return problem("missing_field", "conversations", wanted="conversations")
    system = [{"role": "system", "content": row["system"]}] if row.get("system") else []

    def name_of(i: int, key: str) -> str:
        theirs = {"role": "from", "content": "value"}.get(key, key)
        return f"conversations[{i - len(system)}].{theirs}" if i >= len(system) else "system"

    return Converted([*system, *map(_sharegpt_turn, turns)], name_of, "conversations", row.get("tools"))


def _sharegpt_turn(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    role = turn.get("from", turn.get("role"))
    known = _SHAREGPT_ROLES.get(role, role) if isinstance(role, str) else role
    return {**turn, "role": known, "content": turn.get("value", turn.get("content"))}


# ---- one question and one answer to a row


def _pairs(
    name: str, questions: tuple[str, ...], answers: tuple[str, ...], contexts: tuple[str, ...] = CONTEXTS
) -> Layout:
    """Rows with a question, an answer, perhaps a context and a system prompt, under any of the names given."""

    def recognises(row: Row) -> bool:
        return _key(row, questions) is not None and _key(row, answers) is not None

    def convert(row: Row) -> Converted | Problem:
        question, answer = _key(row, questions), _key(row, answers)
        if question is None or answer is None:
            wanted = questions[0] if question is None else answers[0]
            return problem("missing_field", wanted, wanted=wanted)
        if isinstance(row[question], list) and isinstance(row[answer], list):  # TRL's conversational form
            return _joined(row, question, answer)
        context = _key({key: row[key] for key in row if key != question}, contexts)
        return _pair(row, question, answer, context, _key(row, SYSTEMS))

    optional = (*questions[1:], *answers[1:], *contexts, *SYSTEMS)
    return Layout(name, (questions[0], answers[0]), recognises, convert, optional, in_tables=True)


def _pair(row: Row, question: str, answer: str, context: str | None, system: str | None) -> Converted:
    user = {"role": "user", "content": row[question]} | ({"context": row[context]} if context else {})
    messages = [user, {"role": "assistant", "content": row[answer]}]
    names = [question, answer]
    if system and row[system]:
        messages.insert(0, {"role": "system", "content": row[system]})
        names.insert(0, system)
    return Converted(messages, lambda i, key: context if key == "context" and context else names[i])


def _joined(row: Row, question: str, answer: str) -> Converted:
    first = len(row[question])
    return Converted(
        [*row[question], *row[answer]],
        lambda i, key: f"{question}[{i}].{key}" if i < first else f"{answer}[{i - first}].{key}",
        tools=row.get("tools"),
    )


def _key(row: Row, names: Sequence[str]) -> str | None:
    """The row's own spelling of the first of `names` that it has."""
    spellings = {_plain(key): key for key in row}
    return next((spellings[name] for name in names if name in spellings), None)


def _plain(key: str) -> str:
    return unicodedata.normalize("NFC", str(key)).strip().casefold()


LAYOUTS: tuple[Layout, ...] = (
    Layout("messages", ("messages",), _has_messages, _from_messages, ("tools",)),
    Layout("sharegpt", ("conversations",), _has_conversations, _from_conversations, ("system", "tools")),
    _pairs("alpaca", ("instruction",), ("output",), ("input", "context", "맥락", "문맥")),
    _pairs("prompt-completion", ("prompt",), ("completion",)),
    _pairs("question-answer", QUESTIONS, ANSWERS),
)
