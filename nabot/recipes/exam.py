"""Examining a bot, or a bare source. In: a bot and an exam file, out: figures, and BOT/report.

Three contestants sit the same exam: the base as it is, the base with the facts in its prompt (the honest rival of
tuning), and the bot.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nabot.adapters import load_adapter
from nabot.artifacts import read_json
from nabot.bot import ADAPTER, REPORT, BotRecord
from nabot.data import ExamQuestion, read_exam, read_text
from nabot.evals.exam import Contestant, Marked, Sheet, result, sit
from nabot.recipes.opening import Opened, names_bot, open_base_of, open_source
from nabot.recipes.reporting import write_page
from nabot.sources import Progress
from nabot.text import say
from nabot.textmodel import Sampling

_MAX_NEW_TOKENS = 64  # an exam asks for facts, not for essays


@dataclass(frozen=True)
class ExamWatcher:
    """Who looks on."""

    pulling: Progress | None = None
    sitting: Callable[[str, int], None] = lambda *_: None  # contestant, number of questions
    answered: Callable[[Marked], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None  # something worth knowing, in words


def examine(
    name: str, exam: Path, *, facts: Path | None = None, base: str = "", watcher: ExamWatcher = ExamWatcher()
) -> tuple[dict[str, Any], dict[Contestant, Sheet]]:
    """The figures of design's contract, and every sheet. A bot's report is written into its folder."""
    questions = read_exam(exam)
    facts_text = read_text(facts) if facts else ""
    folder = Path(name)
    opened, record = _open(name, base=base, pulling=watcher.pulling)
    if record is not None and not facts_text and _was_prompted(folder):
        watcher.note(say("exam.loses_prompted", path=folder / REPORT))
    sampling = _sampling(record)
    sheets: dict[Contestant, Sheet] = {"base": _sit("base", opened, questions, sampling, watcher)}
    if facts_text:
        sheets["prompted"] = _sit("prompted", opened, questions, sampling, watcher, facts_text)
    if record is not None:
        load_adapter(opened.decoder, folder / ADAPTER)
        sheets["tuned"] = _sit("tuned", opened, questions, sampling, watcher)
    figures = result(str(exam), sheets)
    if record is not None:
        write_page(folder, figures, sheets)
    return figures, sheets


def _open(name: str, *, base: str, pulling: Progress | None) -> tuple[Opened, BotRecord | None]:
    if names_bot(name, base):
        return open_base_of(Path(name), base=base, progress=pulling)
    return open_source(name, progress=pulling), None


def _was_prompted(folder: Path) -> bool:
    """Whether the bot's last report has the column of the base with the facts, which is then asked anew or lost."""
    try:
        return "prompted" in read_json(folder / REPORT / "report.json")["results"]
    except (OSError, ValueError, TypeError, LookupError):  # no report, or a damaged one
        return False


def _sampling(record: BotRecord | None) -> Sampling:
    """As the bot answers people; the same for everyone who sits the exam."""
    own = record.sampling_with() if record else Sampling()
    return replace(own, max_new_tokens=min(_MAX_NEW_TOKENS, own.max_new_tokens))


def _sit(
    contestant: Contestant,
    opened: Opened,
    questions: list[ExamQuestion],
    sampling: Sampling,
    watcher: ExamWatcher,
    facts: str = "",
) -> Sheet:
    asked = [q for q in questions if q.group != "general"] if facts else questions
    watcher.sitting(contestant, len(asked))
    return sit(opened.engine(), asked, sampling, facts=facts, on_answer=watcher.answered)
