"""Numbers as bars in a terminal. In: a summary of rows, out: lines of at most 80 columns, without colour."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from nabot.data.summary import Summary, histogram
from nabot.text import counted, say, tallied

COLUMNS = 80
_LABEL = 18  # columns; wide letters take two
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LANGUAGES_SHOWN = 8

Entry = tuple[str, int]


def picture(summary: Summary) -> Iterator[str]:
    """Lengths, languages, repeated rows, and what can be said in numbers alone."""
    if not summary.lengths:
        return
    yield from _lengths(summary)
    yield ""
    yield say("check.languages")
    named = [(language or say("check.unknown_language"), n) for language, n in summary.languages.most_common()]
    yield from bars(named[:_LANGUAGES_SHOWN])
    yield ""
    yield say("check.repeats")
    once = len(summary.lengths) - summary.duplicates - summary.near_duplicates
    counts = (once, summary.duplicates, summary.near_duplicates)
    kinds = ("check.repeats_not", "check.repeats_exact", "check.repeats_near")
    yield from bars([(say(kind), count) for kind, count in zip(kinds, counts, strict=True)])
    yield ""
    if summary.contradictions:
        questions = counted("count.questions", summary.contradicted_questions)
        yield say("check.contradictions", questions=questions, rows=counted("count.rows", summary.contradictions))
    if summary.personal:
        yield say("check.personal", kinds=tallied(summary.personal.most_common()))


def bars(entries: Sequence[Entry]) -> Iterator[str]:
    """A line each: label, bar, number, share. The longest bar takes the room there is."""
    total, most = max(1, sum(n for _, n in entries)), max((n for _, n in entries), default=0)
    numbers = [f"{n} ({100 * n / total:.0f} %)" for _, n in entries]
    room = COLUMNS - _LABEL - 2 - max(map(len, numbers), default=0)
    for (label, n), number in zip(entries, numbers, strict=True):
        padding = " " * (_LABEL - cell_len(label))
        yield f"{padding}{label} {_bar(n / max(1, most) * room)} {number}"


def _bar(length: float) -> str:
    """So many columns, an eighth more or less; something at least for what is not nothing."""
    eighths = max(round(8 * length), int(length > 0))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _lengths(summary: Summary) -> Iterator[str]:
    shown = summary.as_dict()["lengths"]
    yield say("check.lengths", unit=say(f"check.{shown['unit']}"), median=shown["median"], longest=shown["longest"])
    yield from bars([(f"{one.low}–{one.high}", one.rows) for one in histogram(summary.lengths)])
    if counts := summary.tokens:
        share = 100 * counts.share_trained
        yield say("check.token_counts", tokens=counts.tokens, share=share, per_character=counts.per_character)
