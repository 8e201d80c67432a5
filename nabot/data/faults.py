"""What is wrong with a person's rows, as data. In: places and kinds, out: faults, and the error that lists them.

A `Problem` is found by looking at one row alone; a `Fault` is a problem with its place. `kind` is a stable slug that
scripts may rely on; `message` is a sentence for the person: what was seen; what was expected.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nabot.text import say

FAULTS_LISTED = 20
# What a person is told of, and need not repair: it may be meant, or rests on a rule that errs, or nabot undoes it on reading.
WARNINGS = frozenset(
    {
        "near_duplicate",
        "same_as_input",
        "refusal",
        "cut_off",
        "repeats_itself",
        "decomposed",
        "other_language",
        "personal_data",
        "toxic_word",
    }
)
_EXCERPT_CHARACTERS = 40


@dataclass(frozen=True)
class Problem:
    """Something wrong inside one row; `field` is what the person calls the place, empty for the row as a whole."""

    field: str
    kind: str
    message: str
    fixable: bool = False  # it can be repaired without inventing a word

    def at(self, file: str, row: int) -> "Fault":
        """The same with its place; `row` counts from 1, as editors and spreadsheets do."""
        return Fault(file, row, self.field, self.kind, self.message, self.fixable)


@dataclass(frozen=True)
class Fault:
    """One fault of one row of one file."""

    file: str
    row: int  # line of a JSON Lines file, element of a JSON list, row of a spreadsheet; from 1
    field: str
    kind: str
    message: str
    fixable: bool

    @property
    def is_warning(self) -> bool:
        """Whether the row may stay as it is."""
        return self.kind in WARNINGS

    def as_dict(self) -> dict[str, Any]:
        """The object that `nabot data check --json` prints."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}" + (f":{self.field}" if self.field else "")
        return f"{place}: {self.message}"


def problem(kind: str, field: str = "", *, fixable: bool = False, **values: Any) -> Problem:
    """A problem whose message is the text `data.fault.KIND`."""
    return Problem(field, kind, say(f"data.fault.{kind}", **values), fixable)


def listing(faults: Sequence[Fault], *, most: int | None = FAULTS_LISTED) -> str:
    """The first `most` faults, a line each, and how many more there are; None: all of them."""
    lines = [f"  {fault}" for fault in faults[:most]]
    if len(faults) > len(lines):
        lines.append("  " + say("data.more_faults", count=len(faults) - len(lines)))
    return "\n".join(lines)


def num_faulty_rows(faults: Sequence[Fault]) -> int:
    """Rows with at least one fault."""
    return len({(fault.file, fault.row) for fault in faults})


def excerpt(value: object) -> str:
    """The beginning of a value, quoted, on one line; the word "nothing" where there is none."""
    if value is None:
        return say("data.nothing")
    text = value if isinstance(value, str) else repr(value)
    short = text if len(text) <= _EXCERPT_CHARACTERS else text[: _EXCERPT_CHARACTERS - 1] + "…"
    return ascii_escapes(f'"{short}"')


def ascii_escapes(text: str) -> str:
    """Control characters and half characters as escapes, so that a terminal can always print the text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
