"""Rows with two answers, one that people liked and one that they did not. In: a row, out: `Converted` with its rival.

The answers are texts, messages or lists of messages. Lists, and texts that hold a whole dialogue, may repeat the turns
before; those are then what both begin with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nabot.data.columns import CONTEXTS, QUESTIONS, Row, key_of
from nabot.data.spellings import any_turn, tools_of
from nabot.data.turns import Converted, Part, asked, listed, systems
from nabot.data.unwrapping import unwrapped_dialogue

KEYS = ("chosen", "rejected")


def has_two_answers(row: Row) -> bool:
    return all(key_of(row, (key,)) for key in KEYS)


def from_two_answers(row: Row) -> Iterator[Converted]:
    """One pair."""
    before, template = _before(row)
    (chosen, carried), (rejected, _) = (_answer(row, key_of(row, (key,)) or key, alone=not before) for key in KEYS)
    if _repeats_the_turns_before(chosen):
        before = []
    tools = tools_of(row)
    rival = Converted.of([*before, *rejected], KEYS[1], tools=tools)
    pair = Converted.of([*before, *chosen], KEYS[0], tools=tools, template=template or carried)
    yield replace(pair, rejected=rival, num_before=len(before) or _num_shared(chosen, rejected))


def _before(row: Row) -> tuple[list[Part], str]:
    """The turns that both answers follow, and the template that they carried."""
    for key in ("messages", "conversations"):
        if isinstance(row.get(key), list):
            return [*systems(row), *listed(row[key], key, any_turn)], ""
    question = key_of(row, QUESTIONS)
    if question is None:
        return [], ""
    if isinstance(row[question], list):
        return listed(row[question], question, any_turn), ""
    return asked(row, question, CONTEXTS)


def _answer(row: Row, field: str, *, alone: bool) -> tuple[list[Part], str]:
    """The turns of one answer, and the template that they carried; `alone`: the turns before may be in it, too."""
    value = row.get(field)
    if isinstance(value, list):
        return listed(value, field, any_turn), ""
    if isinstance(value, dict):
        return [(any_turn(value), lambda key: f"{field}.{key}")], ""
    inside = unwrapped_dialogue(value) if alone else None
    messages = inside.messages if inside else [{"role": "assistant", "content": value}]
    return [(message, lambda _: field) for message in messages], inside.template if inside else ""


def _repeats_the_turns_before(answer: Sequence[Part]) -> bool:
    first = answer[0][0] if answer else None
    return isinstance(first, dict) and first.get("role") in ("system", "user")


def _num_shared(chosen: Sequence[Part], rejected: Sequence[Part]) -> int:
    """How many messages both begin with; at least one is left to each."""
    most = max(0, min(len(chosen), len(rejected)) - 1)
    return next((i for i in range(most) if chosen[i][0] != rejected[i][0]), most)
