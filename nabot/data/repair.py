"""Rows → the same rows without what can be repaired without inventing a word. In: paths, out: a new conversation file, and counts.

Repaired are: damaged characters, left-over placeholders and marks of templates at the edges, white space around texts,
turns behind the last answer, and rows that repeat another one, or differ from it in form alone (the first stays). Rows that
cannot be repaired are left out. What only a person can decide stays: two answers to one question, a row that asks what the exam asks.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data.characters import cleaned, damages
from nabot.data.check import Progress, repeated
from nabot.data.collisions import template_mark
from nabot.data.faults import Fault, Problem, problem
from nabot.data.files import Scan
from nabot.data.imports.outputs import Outputs, require_new
from nabot.data.imports.types import Preference
from nabot.data.judged import JudgedRow, judge
from nabot.data.rows import open_rows
from nabot.data.symptoms import symptoms, without_placeholder
from nabot.data.turns import Converted
from nabot.data.unwrapping import bare
from nabot.data.validate import conversation_or_problems
from nabot.errors import DataError
from nabot.text import say

# without its oldest turns that are too many; None: nothing fits; or what else is wrong with it
Fit = Callable[[Conversation], Conversation | Problem | None]


@dataclass
class Repaired:
    """What was done to how many rows, and which rows are not in the new file."""

    out: Path
    rows: int = 0  # that were written
    repairs: Counter[str] = field(default_factory=Counter)  # kind of fault → rows
    left_out: list[Fault] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The part of `nabot data check --fix --json` about the new file."""
        left_out = [fault.as_dict() for fault in self.left_out]
        return {"out": str(self.out), "rows": self.rows, "repairs": dict(self.repairs), "left_out": left_out}


def repair(
    paths: Sequence[Path],
    out: Path,
    *,
    fit: Fit = lambda conversation: conversation,
    force: bool = False,
    on_progress: Progress = lambda *_: None,
) -> Repaired:
    """Writes `out`, which no file of `paths` may be.

    Raises ConfigError if `out` cannot be written there, DataError if a file cannot be read, or if no row is left.
    """
    require_new([out], paths, force=force)
    done = Repaired(out)
    scans = [_repaired(path, fit, done, on_progress) for path in paths]
    while again := repeated(scans, on_progress).again:  # with a row gone, what contradicted it may repeat another one
        done.repairs.update(again.values())
        for scan in scans:
            rows = [(row, one) for row, one in scan.conversations if (scan.file, row, id(one)) not in again]
            scan.conversations[:] = rows
    with ExitStack() as stack:
        outputs = Outputs(lambda _: out, stack)
        for scan in scans:
            for _, conversation in scan.conversations:
                outputs.write(conversation)
        done.rows = outputs.counts.total()
        if not done.rows:
            raise DataError(say("check.nothing_left", files=", ".join(map(str, paths))))
    return done


def _repaired(path: Path, fit: Fit, done: Repaired, on_progress: Progress) -> Scan:
    """The rows of one file that are good now."""
    scan = Scan(str(path))
    for row in judge(path, open_rows(path)).rows:
        if isinstance(row.found, Preference):
            raise DataError(say("data.is_preferences", path=path, row=row.number))
        found, repairs = _repaired_row(row)
        if isinstance(found, Conversation) and (shorter := fit(found)) != found:
            repairs.add("too_long")
            found = shorter if isinstance(shorter, Conversation) else [shorter or problem("too_long_alone")]
        if isinstance(found, Conversation):
            scan.conversations.append((row.number, found))
            done.repairs.update(sorted(repairs))  # kinds of equal count are told in one order
        else:
            done.left_out += [one.at(str(path), row.number) for one in found]
        if row.number % 1000 == 0:
            on_progress("repair", row.number, None)
    return scan


def _repaired_row(row: JudgedRow) -> tuple[Conversation | list[Any], set[str]]:
    """The conversation, or what keeps the row from being one; and the kinds of fault that were repaired."""
    if row.source is None or not isinstance(row.source.messages, list):
        return (row.found if isinstance(row.found, list) else []), set()
    repairs: set[str] = set()
    messages = [_message(message, repairs) if isinstance(message, dict) else message for message in row.source.messages]
    source = replace(row.source, messages=messages)
    found = conversation_or_problems(source)
    if isinstance(found, list) and all(one.kind == "last_not_assistant" and one.fixable for one in found):
        repairs.add("last_not_assistant")
        source = replace(source, messages=_up_to_last_answer(messages))
        found = conversation_or_problems(source)
    if isinstance(found, Conversation):
        found = list(_beyond_repair(source)) or found
    return found, repairs


def _beyond_repair(source: Converted) -> Iterator[Any]:
    """Faults that are still there."""
    return (one for one in symptoms(source).problems if not one.at("", 0).is_warning)


def _up_to_last_answer(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
    return list(messages[: last + 1])


def _message(message: Mapping[str, Any], repairs: set[str]) -> dict[str, Any]:
    """The message with its texts repaired; what was done is added to `repairs`."""
    texts = {key: message[key] for key in ("content", "context") if isinstance(message.get(key), str)}
    return {**message, **{key: _text(text, message.get("role"), repairs) for key, text in texts.items()}}


def _text(text: str, role: Any, repairs: set[str]) -> str:
    before = text
    repairs.update(kind for kind, _ in damages(text) if kind != "replacement_character")
    text = cleaned(text)
    if role == "user" and (emptied := without_placeholder(text)) != text:
        repairs.add("noinput_left")
        text = emptied
    if role in ("user", "assistant") and template_mark(text, is_answer=role == "assistant") and bare(text) != text:
        repairs.add("template_mark")
        text = bare(text)
    if text.strip() != text and before.strip() != before:
        repairs.add("padded")
    return text.strip()
