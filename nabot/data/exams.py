"""Exam files: questions with what their answers must and must not say. In: a path, out: `ExamQuestion`s, or faults.

A pattern is a text that has to appear, or `/a regular expression/`. Asking and marking belong to `nabot.evals`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data.faults import Fault, Problem, ascii_escapes, excerpt, listing, num_faulty_rows, problem
from nabot.data.kinds import looks_like_training
from nabot.data.rows import is_table, open_rows
from nabot.data.turns import Converted
from nabot.data.validate import conversation_or_problems, nfc
from nabot.errors import DataError
from nabot.text import counted, near_names, say

KEYS = ("messages", "accept", "reject", "group", "tools")
FREE_KEYS = ("id", "fact", "topic", "tags", "source", "note", "comment")  # a person's own remarks, not read
_ANY_TEXTS = ("", "\ue000")  # a pattern that finds itself in nothing and in a private letter finds itself everywhere


@dataclass(frozen=True)
class ExamQuestion:
    """A conversation that ends with the user, and the patterns that mark the answer; any one of `accept` is enough."""

    conversation: Conversation
    accept: tuple[str, ...]
    reject: tuple[str, ...] = ()
    group: str = ""  # "general": what the base already knew, scored apart


def read_exam(path: Path) -> list[ExamQuestion]:
    """The questions in order. Raises DataError listing the first 20 faults: an exam with holes measures nothing."""
    rows, faults = scan_exam(path)
    if faults:
        bad = num_faulty_rows(faults)
        fields = {"files": path, "bad": bad, "rows": counted("count.rows", len(rows) + bad), "listing": listing(faults)}
        raise DataError(say("data.faulty", **fields, next=say("data.correct_exam")))
    return [question for _, question in rows]


def scan_exam(path: Path) -> tuple[list[tuple[int, ExamQuestion]], list[Fault]]:
    """The good questions, with their row from 1, and everything that is wrong with the others.

    Raises DataError for the file as a whole: missing, empty, not text, not JSON, rows to learn.
    """
    raw = open_rows(path)
    if raw.container == "text" or is_table(raw.container):
        raise DataError(say("data.exam_layout", path=path, seen=", ".join(map(excerpt, raw.header))))
    rows = list(raw.rows)
    if looks_like_training([row.value for row in rows if isinstance(row.value, dict)]):
        raise DataError(say("data.is_rows", path=path))
    questions: list[tuple[int, ExamQuestion]] = []
    faults: list[Fault] = []
    for row in rows:
        result = _question(row.value)
        if isinstance(result, ExamQuestion):
            questions.append((row.number, result))
        else:
            faults += [found.at(str(path), row.number) for found in result]
    if not questions and not faults:
        raise DataError(say("data.no_rows", path=path))
    return questions, faults


def as_regex(pattern: str) -> str | None:
    """What stands between the slashes of "/…/"; None for a plain text."""
    return pattern[1:-1] if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/") else None


def _question(value: Any) -> ExamQuestion | list[Problem]:
    if isinstance(value, Problem):
        return [value]
    if not isinstance(value, dict):
        return [problem("not_object", seen=excerpt(value))]
    conversation = conversation_or_problems(
        Converted(value.get("messages"), lambda i, key: f"messages[{i}].{key}", tools=value.get("tools")),
        ends_with="user",
    )
    problems = [] if isinstance(conversation, Conversation) else conversation
    problems += [*_list_problems(value, "accept", needed=True), *_list_problems(value, "reject", needed=False)]
    problems += _unknown_fields(value)
    group = value.get("group") or ""
    if not isinstance(group, str):
        problems.append(problem("not_text", "group", seen=excerpt(group)))
    if problems or not isinstance(conversation, Conversation):
        return problems
    reject = tuple(map(nfc, value.get("reject") or ()))
    return ExamQuestion(conversation, tuple(map(nfc, value["accept"])), reject, nfc(group))


def _unknown_fields(row: Mapping[str, Any]) -> Iterator[Problem]:
    """A misspelled "reject" would be no fault anywhere else: the answer would only never be rejected."""
    for key in row:
        if key not in KEYS and key not in FREE_KEYS:
            known, free = ", ".join(KEYS), ", ".join(FREE_KEYS)
            yield problem("unknown_field", ascii_escapes(key), near=near_names(key, KEYS), known=known, free=free)


def _list_problems(row: Mapping[str, Any], key: str, *, needed: bool) -> Iterator[Problem]:
    patterns = row.get(key)
    if patterns is None and not needed:
        return
    if not isinstance(patterns, list) or (needed and not patterns):
        yield problem("not_patterns", key, seen=excerpt(patterns), key=key)
        return
    for i, pattern in enumerate(patterns):
        yield from _pattern_problems(pattern, f"{key}[{i}]")


def _pattern_problems(pattern: Any, place: str) -> Iterator[Problem]:
    if not isinstance(pattern, str) or not pattern.strip():
        yield problem("not_pattern", place, seen=excerpt(pattern))
        return
    regex = as_regex(pattern)
    if regex is None:
        return
    try:
        compiled = re.compile(regex, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None) or 0
        yield problem("bad_pattern", place, seen=excerpt(pattern), position=position + 1, reason=str(error))
        return
    if all(compiled.search(text) for text in _ANY_TEXTS):
        yield problem("matches_everything", place, seen=excerpt(pattern))
