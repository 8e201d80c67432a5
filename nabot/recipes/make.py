"""A folder of files → a bot that knows them. In: the folder, a base, a teacher, out: the bot, and a report of what it learned.

Import → questions and answers about the documents → check → tuning → exam, each a stage that is passed over while nothing that it
depends on has changed. What the stages hand on lies in BOT.making, in files that a person can read, change and use by themselves.
"""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nabot.artifacts import json_lines, write_file
from nabot.bot import BOTS, MANIFEST, REPORT, is_unfinished
from nabot.data import read_exam
from nabot.data.check import check
from nabot.data.imports.importing import ImportRequest, files_in, import_files
from nabot.data.imports.report import KINDS, MASKED, FileReport
from nabot.data.imports.types import Asked, Passage
from nabot.data.repair import repair
from nabot.errors import ConfigError, DataError, UpstreamError
from nabot.recipes.exam import ExamWatcher, examine
from nabot.recipes.generate import GenerateRequest, GenerateWatcher, Teacher, generate_rows, told_lost
from nabot.recipes.own_exam import asked_otherwise, decisive_terms, exam_rows
from nabot.recipes.request import Watcher, request_from_files
from nabot.recipes.runfiles import refuse_to_overwrite
from nabot.recipes.settings import Settings, Value
from nabot.recipes.stages import Figures, Stage, Stages
from nabot.recipes.tune import resume, tune
from nabot.sources import resolve
from nabot.synth.budget import UNLIMITED, Budget, Tokens
from nabot.synth.journal import OtherRun, locked
from nabot.synth.modes.grounded import PAIRS_A_PROMPT, Grounded
from nabot.synth.modes.reworded import Reworded
from nabot.synth.modes.sentences import ROWS as ROWS_A_SENTENCE
from nabot.synth.modes.sentences import Sentences, num_sentences
from nabot.synth.rows import read_candidates, read_passages
from nabot.text import counted, say, tallied

ROWS_A_PASSAGE = 6


@dataclass(frozen=True)
class _Way:
    """How documents are asked about."""

    mode: str
    rows_a_request: int
    possible: Callable[[Sequence[Passage]], int]  # rows
    # What its exam is: the same asked again, where a small model says nothing in other words but asks otherwise by chance;
    # else the rows reworded.
    asks_again: bool


_BY_PASSAGE = _Way(Grounded.name, PAIRS_A_PROMPT, lambda passages: ROWS_A_PASSAGE * len(passages), asks_again=False)
_BY_SENTENCE = _Way(Sentences.name, 1, lambda passages: ROWS_A_SENTENCE * num_sentences(passages), asks_again=True)
_DRAWS = 3  # rows for a question of an exam that is asked by chance: two of three ask as before
# Of so many rows at most a minute of tuning learns each three times, as Alpaca did: 240 tokens a second on two cores
# (benchmarks/results), short questions and answers of about 60, and everyday questions beside them.
ROWS_A_MINUTE = 60
MOST_ROWS = 1000  # where epochs say how long it learns, and more rows would only be a larger bill
MOST_QUESTIONS = 60  # of an exam that nobody wrote
_RECORDS = "stages"
FEWEST_QUESTIONS = 5  # below that its interval says nothing


@dataclass(frozen=True)
class MakeRequest:
    """What the person asked for."""

    folder: Path
    base: str
    out: Path
    teacher: Teacher
    settings: Settings = field(default_factory=Settings)
    rows: int = 0  # about the documents, at most; 0: see `wanted`
    exam: Path | None = None  # None: one is made
    assistant: str = ""
    mask: bool = False
    language: str = ""  # of the questions that are kept; "": of each passage its own
    seed: int = 0
    concurrency: int | None = None  # as in GenerateRequest
    budget: Budget = UNLIMITED
    fresh: bool = False  # all stages are done again; what was paid for is kept aside
    force: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError for a number that cannot be."""
        for name, value, least in (("rows", self.rows, 0), ("concurrency", self.concurrency, 1)):
            if value is not None and value < least:
                raise ConfigError(say("generate.bad_number", name=name, seen=value))

    @classmethod
    def of(
        cls,
        folder: Path,
        base: str,
        *,
        out: Path | None,
        teacher: str,
        model: str,
        key_env: str,
        settings: Mapping[str, Value],
        seed: int,
        max_tokens_total: int | None,
        max_cost: float | None,
        price_in: float,
        price_out: float,
        **others: Any,
    ) -> "MakeRequest":
        """What people type, on the command line and in Python; `others` are fields. `settings` are flat.

        Without `out` the bot goes into bots/FOLDER; without a teacher's address the base writes. Raises ConfigError.
        """
        return cls(
            folder=folder,
            base=base,
            out=out or BOTS / folder.resolve().name,
            teacher=Teacher(teacher, model, "" if teacher else base, key_env=key_env),
            settings=Settings().with_values({"seed": seed, **settings}),
            seed=seed,
            budget=Budget(max_tokens_total, max_cost, price_in, price_out),
            **others,
        )

    @property
    def way(self) -> _Way:
        """A model on this machine is a small one, as a rule."""
        return _BY_PASSAGE if self.teacher.url else _BY_SENTENCE

    def wanted(self, passages: Sequence[Passage]) -> int:
        """Rows that are asked for: six a passage or four a sentence, but no more than can be learned in the time that was given."""
        minutes = self.settings.train.minutes
        learnable = max(ROWS_A_PASSAGE, int(ROWS_A_MINUTE * minutes)) if minutes else MOST_ROWS
        return self.rows or min(self.way.possible(passages), learnable)

    @property
    def making(self) -> Path:
        """Where the stages' files lie."""
        out = self.out if self.out.name not in ("", "..") else self.out.resolve()
        return out.with_name(f"{out.name}.making")


@dataclass(frozen=True)
class MakeWatcher:
    """Who looks on; the stages have their own."""

    stage: Callable[[str, bool], None] = lambda *_: None  # its name, and whether it is passed over
    file: Callable[[FileReport], None] = lambda _: None
    generate: GenerateWatcher = field(default_factory=GenerateWatcher)
    tune: Watcher = field(default_factory=Watcher)
    exam: ExamWatcher = field(default_factory=ExamWatcher)
    note: Callable[[str], None] = lambda _: None


def make(request: MakeRequest, watcher: MakeWatcher = MakeWatcher()) -> dict[str, Figures]:
    """The figures of each stage by its name. What was cut off goes on when the same is asked again.

    Raises what the stages raise; what they have finished stays.
    """
    if not request.folder.is_dir():
        raise ConfigError(say("make.no_folder", path=request.folder))
    if request.out.resolve().is_relative_to(request.folder.resolve()):
        elsewhere = request.folder.resolve().parent / BOTS / request.out.resolve().name
        raise ConfigError(say("make.out_in_folder", out=request.out, folder=request.folder, elsewhere=elsewhere))
    if request.exam:
        read_exam(request.exam)  # what is wrong with it is told before anything is fetched or paid for
    if not Stages(request.making / _RECORDS).is_own("tune", [request.out / MANIFEST]):
        refuse_to_overwrite(request.out, force=request.force)
    resolve(request.base, progress=watcher.tune.pulling)  # a base that is none is told before anything is paid for, too
    with locked(request.making / _RECORDS):
        return _Making(request, watcher).run()


class _Making:
    """The stages of one request, each with the files that it reads and writes."""

    def __init__(self, request: MakeRequest, watcher: MakeWatcher) -> None:
        self._asked, self._watcher = request, watcher
        at = request.making
        self._imported, self._preferences, self._passages = (at / f"{kind}.jsonl" for kind in KINDS)
        self._generated, self._reworded, self._rows = (at / f"{n}.jsonl" for n in ("generated", "reworded", "rows"))
        self._exam = request.exam or at / "exam.jsonl"
        self._stages = Stages(at / _RECORDS, watcher.stage, self._told_aside, fresh=request.fresh)
        self._spent = Tokens()

    def run(self) -> dict[str, Figures]:
        files = list(files_in(self._asked.folder))
        figures = {"import": self._run("import", self._import, files, self._import_told(files))}
        sources = [path for path in (self._imported,) if path.exists()]
        has_exam = bool(self._asked.exam)
        if self._has_questions():
            about = self._generate_request(self._asked.way.mode, self._generated, passages=self._passages)
            told = about.settings() | {"count": about.count, "budget": asdict(self._asked.budget)}
            figures["generate"] = self._run("generate", lambda _: self._ask(about), [self._passages], told)
            sources.append(self._generated)
            tokens = figures["generate"]["tokens"]
            self._spent = Tokens(tokens["in"], tokens["out"])
            if not self._asked.exam:
                figures["questions"] = self._run("questions", self._questions, [self._generated], told)
                has_exam = self._exam.exists()
        if not sources:
            raise DataError(say("make.nothing_to_learn", folder=self._asked.folder))
        if not has_exam:
            self._watcher.note(say("make.no_exam", fewest=FEWEST_QUESTIONS))
        exam = self._exam if has_exam else None
        reads = [*sources, *filter(None, [exam])]
        figures["check"] = self._run("check", lambda _: self._check(sources, exam), reads, {})
        told = {"base": self._asked.base, **self._asked.settings.as_dict()}
        # not the exam: it measures what was learned, and another one is no reason to learn it again
        figures["tune"] = self._run("tune", lambda begun: self._tune(exam, begun), [self._rows], told)
        if has_exam:
            figures["exam"] = self._run("exam", self._sit, [self._exam, self._asked.out / MANIFEST], {})
        return figures

    def _run(self, name: str, work: Callable[[bool], Figures], reads: list[Path], told: Mapping[str, Any]) -> Figures:
        writes = {
            "import": [self._imported, self._preferences, self._passages],
            "generate": [self._generated],
            "questions": [self._reworded, self._exam],
            "check": [self._rows],
            "tune": [self._asked.out / MANIFEST],
            "exam": [self._asked.out / REPORT / "report.json"],
        }[name]
        return self._stages.run(Stage(name, reads, told, writes, work, is_editable=name not in ("tune", "exam")))

    def _told_aside(self, path: Path, aside: Path) -> None:
        self._watcher.note(say("make.kept_aside", path=path, aside=aside))

    # ---- the stages

    def _import_told(self, files: list[Path]) -> dict[str, Any]:
        names = [str(path.relative_to(self._asked.folder)) for path in files]
        return {"assistant": self._asked.assistant, "mask": self._asked.mask, "names": names}

    def _import(self, _begun: bool) -> Figures:
        request = ImportRequest(
            paths=(self._asked.folder,),
            out=self._imported,
            preferences=self._preferences,
            passages=self._passages,
            asked=Asked(assistant=self._asked.assistant),
            mask=self._asked.mask,
            force=True,
        )
        for kind in (*KINDS, MASKED):
            request.place_of(kind).unlink(missing_ok=True)  # that of the last time
        report = import_files(request, self._watcher.file)
        for reason in report.passed_over:
            self._watcher.note(say("make.file_passed_over", reason=reason))
        if masked := report.told_masked():
            self._watcher.note(masked)
        return {
            "files": len(report.files),
            "written": dict(report.written),
            "passed_over": report.passed_over,
            "masked": report.masked_as_dict(),
        }

    def _has_questions(self) -> bool:
        """Whether there are documents, and something in them that can be asked about."""
        if not self._passages.exists():
            return False
        is_any = self._asked.wanted(read_passages(self._passages)) > 0
        if not is_any:
            self._watcher.note(say("make.nothing_to_ask", path=self._passages))
        return is_any

    def _generate_request(self, mode: str, out: Path, **files: Path) -> GenerateRequest:
        passages = read_passages(self._passages)
        return GenerateRequest(
            out=out,
            mode=mode,
            count=self._asked.wanted(passages),
            teacher=self._asked.teacher,
            language=self._asked.language,
            seed=self._asked.seed,
            concurrency=self._asked.concurrency,
            budget=self._asked.budget,
            fresh=self._asked.fresh,
            **files,  # type: ignore[arg-type]
        )

    def _ask(self, about: GenerateRequest) -> Figures:
        """Rows about the documents; how many requests that takes is said before the first."""
        rows = self._asked.way.rows_a_request
        self._watcher.note(
            say(
                "make.asks",
                count=about.count,
                teacher=about.teacher.name,
                requests=counted("count.requests", math.ceil(about.count / rows)),
                pairs=counted("count.rows", rows),
                questions="" if self._asked.exam else say("make.asks_questions", most=min(about.count, MOST_QUESTIONS)),
            )
        )
        figures = self._generate(about)
        if not figures["rows"]:
            raise _no_rows(figures)
        return figures

    def _generate(self, request: GenerateRequest) -> Figures:
        """Goes on with the journal that is there; one of other settings or questions is kept aside."""
        try:
            report = generate_rows(request, self._watcher.generate)
        except OtherRun as other:
            self._watcher.note(say("make.asked_anew", why=str(other).splitlines()[0]))
            report = generate_rows(replace(request, fresh=True), self._watcher.generate)
        if report["ended"] == "budget":
            self._watcher.note(say("generate.ended.budget"))
        for line in told_lost(report):
            self._watcher.note(line)
        return {key: report[key] for key in ("rows", "answers", "tokens", "lost", "cost", "ended", "dropped")}

    def _questions(self, _begun: bool) -> Figures:
        """An exam: what the bot is to learn, asked in other words, with what is left of the budget."""
        self._exam.unlink(missing_ok=True)
        rows = [row for row in json_lines(self._generated) if _can_be_marked(row)]
        budget = self._asked.budget.less(self._spent)
        if len(rows) < FEWEST_QUESTIONS or not budget:
            return {"questions": 0}
        request = self._again() if self._asked.way.asks_again else self._in_other_words(rows)
        figures = self._generate(replace(request, budget=budget))
        questions = self._marked() if self._reworded.exists() else []
        if len(questions) >= FEWEST_QUESTIONS:
            _write_rows(self._exam, questions)
        return {**figures, "questions": len(questions)}

    def _in_other_words(self, rows: list[dict[str, Any]]) -> GenerateRequest:
        """Some of the rows, reworded."""
        asked = self._asked.making / "asked.jsonl"
        random.Random(self._asked.seed).shuffle(rows)
        _write_rows(asked, rows[:MOST_QUESTIONS])
        request = self._generate_request(Reworded.name, self._reworded, rows=asked)
        return replace(request, count=len(rows[:MOST_QUESTIONS]))

    def _again(self) -> GenerateRequest:
        """The same documents asked about once more."""
        request = self._generate_request(self._asked.way.mode, self._reworded, passages=self._passages)
        return replace(request, count=_DRAWS * min(request.count, MOST_QUESTIONS), seed=self._asked.seed + 1)

    def _marked(self) -> list[dict[str, Any]]:
        """Questions of an exam about what was taught; no more than enough."""
        asked = read_candidates(self._reworded)
        if self._asked.way.asks_again:
            asked = list(asked_otherwise(asked, read_candidates(self._generated)))
        return list(exam_rows(asked))[:MOST_QUESTIONS]

    def _check(self, sources: list[Path], exam: Path | None) -> Figures:
        """The rows of both kinds without what can be repaired; what only a person can decide is told, and stays."""
        repaired = repair(sources, self._rows, force=True)
        report = check([self._rows], exam=exam)
        if report.faults:
            self._watcher.note(say("make.faults", faults=counted("count.faults", len(report.faults)), path=self._rows))
        return {
            "rows": repaired.rows,
            "repairs": dict(repaired.repairs),
            "left_out": len(repaired.left_out),
            "faults": len(report.faults),
        }

    def _tune(self, exam: Path | None, begun: bool) -> Figures:
        out = self._asked.out
        if begun and is_unfinished(out):
            return resume(out, self._watcher.tune)
        request = request_from_files(
            [self._rows],
            skip_faulty=False,
            watcher=self._watcher.tune,
            out=out,
            base=self._asked.base,
            settings=self._asked.settings,
            exam=exam,
            force=True,  # `make` has looked: the bot that is there is its own
        )
        return tune(request, self._watcher.tune)

    def _sit(self, _begun: bool) -> Figures:
        return examine(str(self._asked.out), self._exam, watcher=self._watcher.exam)[0]


def _no_rows(figures: Figures) -> ConfigError | UpstreamError:
    """Why there is nothing to learn about the documents."""
    dropped = tallied(figures["dropped"].items())
    why = say(f"generate.ended.{figures['ended']}")
    left_out = f"\n{say('generate.dropped', reasons=dropped)}" if dropped else ""
    told = say("make.no_rows", answers=counted("count.answers", figures["answers"]), why=why, dropped=left_out)
    return ConfigError(told) if figures["ended"] == "budget" else UpstreamError(told)


def _can_be_marked(row: Mapping[str, Any]) -> bool:
    """Whether an answer in other words could be told right from wrong. People may have changed the row."""
    messages = row.get("messages") or []
    if [message.get("role") for message in messages] != ["user", "assistant"]:
        return False
    asked, answered = (message.get("content") or "" for message in messages)
    evidence = (row.get("provenance") or {}).get("evidence")
    return bool(evidence and decisive_terms(asked, answered, evidence))


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    write_file(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
