"""Is this data fit for tuning? In: conversation files, perhaps an exam, out: a report of rows, faults, warnings and notes.

Beside what single rows show: the same conversation twice or nearly so, one question with two answers, an exam question among
the rows to be learned, rows in another language than most, rows longer than the model can read. Faults must be repaired,
warnings looked at; docs/check.md says which is which, and why.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation, Message
from nabot.data.exams import ExamQuestion, scan_exam
from nabot.data.faults import Fault, excerpt, problem
from nabot.data.files import Scan, scan_file, template_notes
from nabot.data.judged import JudgedRow
from nabot.data.language import language_of
from nabot.data.near import Texts, forms, near_duplicates
from nabot.data.notes import Note, file_notes, notes, token_notes
from nabot.data.summary import Summary, TokenCounts
from nabot.data.symptoms import is_foreign, main_language, symptoms
from nabot.errors import NabotError
from nabot.text import say


@dataclass(frozen=True)
class Measured:
    """One row as the model sees it: tokens, those that are learned, characters of the rendered text."""

    tokens: int
    trained: int
    characters: int


Measure = Callable[[Conversation], Measured]
Progress = Callable[[str, int, int | None], None]  # what is done ("read", "near", "measure"), rows, of how many
_ROWS_A_STEP = 1000  # between two words about progress


@dataclass(frozen=True)
class CheckReport:
    """What `nabot data check` found; the data is fit if there are no faults."""

    rows: int  # good and faulty ones
    usable: int
    files: tuple[Scan, ...]
    faults: tuple[Fault, ...]  # must be repaired
    warnings: tuple[Fault, ...]  # are to be looked at
    notes: tuple[Note, ...]
    summary: Summary
    exam: str = ""  # its file; empty if none was given
    questions: int = 0  # good ones in the exam

    def as_dict(self) -> dict[str, Any]:
        """What `nabot data check --json` prints."""
        files = [
            {"file": s.file, "rows": s.num_rows, "container": s.container, "layout": s.layout, "encoding": s.encoding}
            for s in self.files
        ]
        faults = [fault.as_dict() for fault in self.faults]
        warnings = [fault.as_dict() for fault in self.warnings]
        exam = {"file": self.exam, "questions": self.questions} if self.exam else None
        told = [note.as_dict() for note in self.notes]
        found = {"faults": faults, "warnings": warnings, "notes": told, "summary": self.summary.as_dict()}
        return {"rows": self.rows, "usable": self.usable, "files": files, "exam": exam, **found}


def check(
    paths: Sequence[Path],
    *,
    exam: Path | None = None,
    measure: Measure | None = None,
    max_tokens: int | None = None,
    language: str = "",
    on_progress: Progress = lambda *_: None,
) -> CheckReport:
    """Looks at every row; in each file faults come in the order of its rows. `language` is the base's, if it is known.

    Raises DataError if a file as a whole cannot be read. The exam's own faults are part of the report.
    """
    seen = _Seen(on_progress)
    scans = tuple(scan_file(path, seen.listener(str(path))) for path in paths)
    found = [fault for scan in scans for fault in scan.faults] + seen.faults + list(seen.foreign())
    repeats = repeated(scans, on_progress)
    found += repeats.faults
    lengths, tokens, too_long = _measured(scans, measure, max_tokens, on_progress)
    found += too_long
    questions: list[tuple[int, ExamQuestion]] = []
    if exam is not None:
        questions, exam_faults = scan_exam(exam)
        found += exam_faults
        found += _overlaps(scans, str(exam), [(row, question.conversation) for row, question in questions])
    order = {str(path): i for i, path in enumerate(paths)}
    found.sort(key=lambda fault: (order.get(fault.file, len(order)), fault.row))
    usable = [conversation for scan in scans for _, conversation in scan.conversations]
    kinds = Counter(fault.kind for fault in repeats.faults)
    rows = sum(scan.num_rows for scan in scans)
    about_tokens = token_notes(per_character=tokens.per_character, trained=tokens.share_trained) if tokens else ()
    about_rows = file_notes(padded=seen.num_padded, rows=rows, near_searched=repeats.near_searched)
    return CheckReport(
        rows=rows,
        usable=len(usable),
        files=scans,
        faults=tuple(fault for fault in found if not fault.is_warning),
        warnings=tuple(fault for fault in found if fault.is_warning),
        notes=(*notes(usable, language), *template_notes(scans), *about_rows, *about_tokens),
        summary=Summary(
            lengths=lengths,
            tokens=tokens,
            languages=seen.languages,
            duplicates=kinds["duplicate"],
            near_duplicates=kinds["near_duplicate"],
            contradictions=kinds["contradiction"],
            contradicted_questions=repeats.contradicted_questions,
            personal=seen.personal,
        ),
        exam=str(exam or ""),
        questions=len(questions),
    )


class _Seen:
    """What rows show by themselves, gathered while the files are read."""

    def __init__(self, on_progress: Progress) -> None:
        self.faults: list[Fault] = []
        self.languages: Counter[str] = Counter()
        self.personal: Counter[str] = Counter()
        self.num_padded = 0
        self._answers: list[tuple[str, int, Conversation, str]] = []
        self._on_progress = on_progress

    def listener(self, file: str) -> Callable[[JudgedRow], None]:
        """What is to hear of each row of `file`."""
        return lambda row: self._look(file, row)

    def foreign(self) -> Iterator[Fault]:
        """Rows in another language than most; known when all were read."""
        main = main_language(self.languages)
        for file, row, conversation, language in self._answers:
            if is_foreign(language, main) and is_foreign(language_of("\n".join(_asked_in(conversation))), main):
                yield problem("other_language", seen=language, main=main).at(file, row)

    def _look(self, file: str, row: JudgedRow) -> None:
        if row.source is None or not isinstance(row.found, Conversation):
            return
        shown = symptoms(row.source)
        self.faults += [found.at(file, row.number) for found in shown.problems]
        self.languages[shown.language] += 1
        self.personal.update(shown.personal)
        self.num_padded += shown.is_padded
        self._answers.append((file, row.number, row.found, shown.language))
        if len(self._answers) % _ROWS_A_STEP == 0:
            self._on_progress("read", len(self._answers), None)


def question_key(conversation: Conversation) -> str:
    """Everything before the last answer, without regard to case and white space: equal keys ask the same."""
    messages = conversation.messages
    last = next((i for i in reversed(range(len(messages))) if messages[i].role == "assistant"), len(messages))
    head = [[m.role, _folded(m.content), _folded(m.context), m.tool_calls] for m in messages[:last]]
    return json.dumps([head, conversation.tools], sort_keys=True)


def words(text: str) -> str:
    """The words of a text in lower case: what is left of a question without its punctuation."""
    return " ".join(re.findall(r"\w+", text.casefold()))


_Place = tuple[str, int, Conversation]  # a row: its file, its number, what it says


@dataclass
class Repeats:
    """Rows that say again what an earlier one says, or contradict it."""

    faults: list[Fault] = field(default_factory=list)
    contradicted_questions: int = 0
    near_searched: bool = True
    # (file, row, id of it) → kind, of rows that a repair drops; the first is not among them
    again: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def add(self, kind: str, place: str, row: _Place, **more: Any) -> None:
        """One row that says again what stands at `place`, and that a repair drops."""
        file, number, conversation = row
        self.faults.append(problem(kind, fixable=True, place=place, **more).at(file, number))
        self.again[file, number, id(conversation)] = kind

    def add_near(self, near: Mapping[int, int], rows: Sequence[_Place]) -> None:
        """Near duplicates, as places in `rows`. A repair drops those that differ from a row that stays in form alone."""
        first_of: dict[Texts, int] = {}
        for place in sorted({*near, *near.values()}):
            both = forms(texts_of(rows[place][2]))
            same = next((first_of[form] for form in both if form in first_of), None)
            if same is None:
                first_of.update(dict.fromkeys(both, place))
            if place in near:
                file, number, _ = rows[near[place] if same is None else same]
                if same is None:
                    found = problem("near_duplicate", place=f"{file}:{number}", remedy=say("data.near.stays"))
                    self.faults.append(found.at(*rows[place][:2]))
                else:
                    self.add("near_duplicate", f"{file}:{number}", rows[place], remedy=say("data.near.goes"))


def repeated(scans: Sequence[Scan], on_progress: Progress) -> Repeats:
    """Duplicates and contradictions, each told of its first appearance; near duplicates among the rest."""
    repeats = Repeats()
    answers: dict[str, dict[str, str]] = {}  # question → answer → where it stood first
    fresh: list[_Place] = []
    for scan in scans:
        for row, conversation in scan.conversations:
            answer, place = last_answer(conversation), f"{scan.file}:{row}"
            known = answers.setdefault(question_key(conversation), {})
            if answer in known:
                repeats.add("duplicate", known[answer], (scan.file, row, conversation))
            elif known:
                first = next(iter(known.values()))
                repeats.faults.append(problem("contradiction", place=first, seen=excerpt(answer)).at(scan.file, row))
            else:
                fresh.append((scan.file, row, conversation))
            known.setdefault(answer, place)
    repeats.contradicted_questions = sum(len(known) > 1 for known in answers.values())
    try:
        near = near_duplicates(
            [texts_of(one) for *_, one in fresh], lambda done, total: on_progress("near", done, total)
        )
    except ImportError:
        near, repeats.near_searched = {}, False
    repeats.add_near(near, fresh)
    return repeats


def texts_of(conversation: Conversation) -> Texts:
    """What two rows are compared by: the system prompt, all other texts, the last answer; "" where there is none."""
    system = [m.content for m in conversation.messages if m.role == "system"]
    turns = [m for m in conversation.messages if m.role != "system"]
    before = [text for m in turns[:-1] for text in (m.content, m.context, *_calls(m))]
    return ("\n".join(system), *before, "\n".join([turns[-1].content, *_calls(turns[-1])]))


def _calls(message: Message) -> list[str]:
    return [json.dumps(message.tool_calls, ensure_ascii=False, sort_keys=True)] if message.tool_calls else []


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


def _measured(
    scans: Sequence[Scan], measure: Measure | None, max_tokens: int | None, on_progress: Progress
) -> tuple[list[int], TokenCounts | None, list[Fault]]:
    """The length of each row, in tokens if they can be measured and in characters otherwise; and what is wrong with it."""
    rows = [(scan.file, row, conversation) for scan in scans for row, conversation in scan.conversations]
    if measure is None:
        return [sum(len(m.content) + len(m.context) for m in one.messages) for *_, one in rows], None, []
    all_measured: list[Measured] = []
    faults: list[Fault] = []
    for done, (file, row, conversation) in enumerate(rows, start=1):
        try:
            seen = measure(conversation)
        except NabotError as error:
            faults.append(problem("not_renderable", reason=error).at(file, row))
            continue
        all_measured.append(seen)
        if max_tokens is not None and seen.tokens > max_tokens:
            faults.append(problem("too_long", fixable=True, seen=seen.tokens, limit=max_tokens).at(file, row))
        if not seen.trained:
            faults.append(problem("no_trained_token").at(file, row))
        if done % _ROWS_A_STEP == 0:
            on_progress("measure", done, len(rows))
    counts = [sum(getattr(seen, name) for seen in all_measured) for name in ("tokens", "trained", "characters")]
    return [seen.tokens for seen in all_measured], TokenCounts(*counts), faults


def last_answer(conversation: Conversation) -> str:
    """What the last answer says and calls, without regard to case and white space."""
    answers = [m for m in conversation.messages if m.role == "assistant"]
    return _folded(answers[-1].content) + json.dumps(answers[-1].tool_calls) * bool(answers[-1].tool_calls)


def _user_turns(conversation: Conversation) -> list[str]:
    return [words(asked) for asked in _asked_in(conversation)]


def _asked_in(conversation: Conversation) -> list[str]:
    return [_asked(m) for m in conversation.messages if m.role == "user"]


def _asked(message: Message) -> str:
    return f"{message.content} {message.context}"


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
