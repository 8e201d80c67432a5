"""Rows and passages that are there already → what modes ask about. In: files, out: candidates, passages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.files import require_good, scan_file
from nabot.data.imports.types import Passage
from nabot.data.records import read_records
from nabot.data.rows import open_rows
from nabot.data.validate import nfc
from nabot.errors import DataError
from nabot.synth.asking import Candidate
from nabot.synth.tasks import Task
from nabot.text import counted, say


def read_candidates(path: Path) -> list[Candidate]:
    """Every row of one question and one answer; longer conversations and system messages are passed over.

    What a row says of its evidence and sources goes on with it. Raises DataError for faulty rows, and if no row is of
    this kind.
    """
    scan = scan_file(path)
    require_good([scan])
    origins = {row.number: _provenance(row.value) for row in open_rows(path).rows}
    tasks = [(number, _task(conversation)) for number, conversation in scan.conversations]
    found = [_candidate(task, origins[number]) for number, task in tasks if task]
    if not found:
        raise DataError(say("synth.no_questions", path=path, rows=counted("count.rows", scan.num_rows)))
    return found


def read_passages(path: Path) -> list[Passage]:
    """A passage file (docs/files.md). Raises DataError, which lists the first 20 faults."""
    return read_records(path, lambda row, _number: _passage(row), say("synth.correct_passages"))


def _task(conversation: Conversation) -> Task | None:
    roles = [message.role for message in conversation.messages]
    if roles != ["user", "assistant"]:
        return None
    asked, answered = conversation.messages
    return Task(asked.content, asked.context, answered.content)


def _provenance(row: Any) -> Mapping[str, Any]:
    found = row.get("provenance") if isinstance(row, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _candidate(task: Task, origin: Mapping[str, Any]) -> Candidate:
    sources = origin.get("sources")
    return Candidate(
        task,
        tuple(map(str, sources)) if isinstance(sources, list) else (),
        str(origin.get("evidence") or ""),
        invented=False,
    )


def _passage(row: Any) -> Passage | list[Problem]:
    if not isinstance(row, Mapping):
        return [problem("not_object", seen=excerpt(row))]
    if not isinstance(row.get("text"), str) or not row["text"].strip():
        return [problem("not_text", "text", seen=excerpt(row.get("text")))]
    return Passage(nfc(row["text"]).strip(), str(row.get("source") or ""), str(row.get("place") or ""))
