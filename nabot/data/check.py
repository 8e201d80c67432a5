"""Is this data fit for tuning? In: conversation files, perhaps an exam, out: a report of rows, faults and notes.

Beside the faults of single rows: the same conversation twice, one question with two answers, an exam question among
the rows to be learned, rows longer than the model can read.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation, Message
from nabot.data.exams import ExamQuestion, scan_exam
from nabot.data.faults import Fault, excerpt, problem
from nabot.data.files import Scan, scan_file, template_notes
from nabot.data.notes import Note, notes
from nabot.errors import NabotError

LengthOf = Callable[[Conversation], int]  # tokens of the rendered conversation


@dataclass(frozen=True)
class CheckReport:
    """What `nabot data check` found; the data is fit if there are no faults."""

    rows: int  # good and faulty ones
    usable: int
    files: tuple[Scan, ...]
    faults: tuple[Fault, ...]
    notes: tuple[Note, ...]
    exam: str = ""  # its file; empty if none was given
    questions: int = 0  # good ones in the exam

    def as_dict(self) -> dict[str, Any]:
        """What `nabot data check --json` prints."""
        files = [
            {"file": s.file, "rows": s.num_rows, "container": s.container, "layout": s.layout, "encoding": s.encoding}
            for s in self.files
        ]
        faults = [fault.as_dict() for fault in self.faults]
        exam = {"file": self.exam, "questions": self.questions} if self.exam else None
        told = [note.as_dict() for note in self.notes]
        return {"rows": self.rows, "usable": self.usable, "files": files, "exam": exam, "faults": faults, "notes": told}


def check(
    paths: Sequence[Path],
    *,
    exam: Path | None = None,
    length_of: LengthOf | None = None,
    max_tokens: int | None = None,
    language: str = "",
) -> CheckReport:
    """Looks at every row; in each file faults come in the order of its rows. `language` is the base's, if it is known.

    Raises DataError if a file as a whole cannot be read. The exam's own faults are part of the report.
    """
    scans = tuple(scan_file(path) for path in paths)
    faults = [fault for scan in scans for fault in (*scan.faults, *_too_long(scan, length_of, max_tokens))]
    faults += _repeated(scans)
    questions: list[tuple[int, ExamQuestion]] = []
    if exam is not None:
        questions, exam_faults = scan_exam(exam)
        faults += exam_faults
        faults += _overlaps(scans, str(exam), [(row, question.conversation) for row, question in questions])
    order = {str(path): i for i, path in enumerate(paths)}
    faults.sort(key=lambda fault: (order.get(fault.file, len(order)), fault.row))
    usable = [conversation for scan in scans for _, conversation in scan.conversations]
    return CheckReport(
        rows=sum(scan.num_rows for scan in scans),
        usable=len(usable),
        files=scans,
        faults=tuple(faults),
        notes=(*notes(usable, language), *template_notes(scans)),
        exam=str(exam or ""),
        questions=len(questions),
    )


def question_key(conversation: Conversation) -> str:
    """Everything before the last answer, without regard to case and white space: equal keys ask the same."""
    messages = conversation.messages
    last = next((i for i in reversed(range(len(messages))) if messages[i].role == "assistant"), len(messages))
    head = [[m.role, _folded(m.content), _folded(m.context), m.tool_calls] for m in messages[:last]]
    return json.dumps([head, conversation.tools], sort_keys=True)


def words(text: str) -> str:
    """The words of a text in lower case: what is left of a question without its punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _repeated(scans: Sequence[Scan]) -> Iterator[Fault]:
    """Duplicates and contradictions, each told of its first appearance."""
    seen: dict[str, tuple[str, str]] = {}
    for scan in scans:
        for row, conversation in scan.conversations:
            answer = _last_answer(conversation)
            first_answer, place = seen.setdefault(question_key(conversation), (answer, f"{scan.file}:{row}"))
            if place == f"{scan.file}:{row}":
                continue
            if first_answer == answer:
                found = problem("duplicate", fixable=True, place=place)
            else:
                found = problem("contradiction", place=place, seen=excerpt(answer))
            yield found.at(scan.file, row)


def _overlaps(scans: Sequence[Scan], exam: str, questions: Iterable[tuple[int, Conversation]]) -> Iterator[Fault]:
    """Training rows that ask what the exam asks: the same turn, or for several turns the same turns from the start."""
    asked: dict[tuple[str, ...], int] = {}
    for row, conversation in questions:
        asked.setdefault(tuple(_user_turns(conversation)), row)
    for scan in scans:
        for row, conversation in scan.conversations:
            turns = _user_turns(conversation)
            starts = {tuple(turns[: i + 1]) for i in range(len(turns))} | {(turn,) for turn in turns}
            for exam_row in sorted(asked[start] for start in starts if start in asked):
                yield problem("exam_overlap", "messages", place=f"{exam}:{exam_row}").at(scan.file, row)


def _too_long(scan: Scan, length_of: LengthOf | None, max_tokens: int | None) -> Iterator[Fault]:
    if length_of is None or max_tokens is None:
        return
    for row, conversation in scan.conversations:
        try:
            num_tokens = length_of(conversation)
        except NabotError as error:
            yield problem("not_renderable", reason=error).at(scan.file, row)
            continue
        if num_tokens > max_tokens:
            yield problem("too_long", fixable=True, seen=num_tokens, limit=max_tokens).at(scan.file, row)


def _last_answer(conversation: Conversation) -> str:
    answers = [m for m in conversation.messages if m.role == "assistant"]
    return _folded(answers[-1].content) + json.dumps(answers[-1].tool_calls) * bool(answers[-1].tool_calls)


def _user_turns(conversation: Conversation) -> list[str]:
    return [words(_asked(m)) for m in conversation.messages if m.role == "user"]


def _asked(message: Message) -> str:
    return f"{message.content} {message.context}"


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
