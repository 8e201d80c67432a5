"""Raw rows → conversations and preferences, or what is wrong with them. In: `RawFile`, out: a stream of judged rows.

The layout is the one that most of the first rows have. A fault in a row never ends the reading; only a file that cannot
be read at all does.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from nabot.conversation import Conversation
from nabot.data.columns import ANSWERS, QUESTIONS, Row, key_of, plain
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.imports.types import Preference
from nabot.data.kinds import looks_like_exam
from nabot.data.layouts import LAYOUTS, MESSAGES, Layout, choose_layout, nearest_layout, table_header
from nabot.data.rows import RawFile, RawRow, is_table
from nabot.data.turns import Converted
from nabot.data.validate import conversation_or_problems
from nabot.errors import DataError
from nabot.text import nearest, say

PROBED_ROWS = 20
_NAMES_SHOWN = 8
_ROWS_SHOWN = 2


@dataclass(frozen=True)
class JudgedRow:
    """What a row gave. A seed task with several instances gives several, all with its number."""

    number: int  # from 1
    found: Conversation | Preference | list[Problem]
    template: str = ""  # the one that its prompt carried, and that was taken off
    source: Converted | None = None  # its messages as they lie in the file


@dataclass(frozen=True)
class Judged:
    """A file's layout ("" if no row could be parsed), and its rows, which can be walked once."""

    layout: str
    rows: Iterator[JudgedRow]


def judge(path: Path, raw: RawFile, *, columns: Mapping[str, str] | None = None, layout: str = "") -> Judged:
    """`columns` maps our names to the file's, which are all that is read then; `layout` is looked for if none is named.

    Raises DataError for the file as a whole: no rows, an unknown layout, an exam, a column that it lacks.
    """
    if raw.container == "text":
        raise DataError(say("data.plain_text", path=path, seen=excerpt(raw.header[0])))
    theirs = _head(raw.rows)
    if not theirs and not raw.header:
        raise DataError(say("data.no_rows", path=path))
    if columns:
        _require_columns(path, columns, raw.header or _keys(theirs))
    head = [_renamed(row, columns) for row in theirs]
    if looks_like_exam(_objects(head)):
        raise DataError(say("data.is_exam", path=path))
    chosen = _named(layout) or choose_layout(_objects(head))
    if chosen is None and columns and _objects(head):
        raise DataError(say("data.map_incomplete", path=path, seen=", ".join(columns)))
    if chosen is None and is_table(raw.container) and not table_header(raw.header):
        raise unknown_columns(path, raw.header, _objects(head))
    if not theirs:
        raise DataError(say("data.no_rows", path=path))
    if chosen is not None:
        _require_told_apart(path, raw.header, columns.values() if columns else (*chosen.keys, *chosen.optional))
    if chosen is None and (keys := _keys(head)):
        raise _unknown_layout(path, keys, _objects(head))
    rest = (_renamed(row, columns) for row in raw.rows)
    rows = (judged for row in chain(head, rest) for judged in judged_row(row, chosen or MESSAGES))
    return Judged(chosen.name if chosen else "", _in_their_words(rows, columns or {}))


def judged_row(row: RawRow, layout: Layout) -> Iterator[JudgedRow]:
    """What one row gives in this layout."""
    value = row.value
    if isinstance(value, Problem):
        yield JudgedRow(row.number, [value])
    elif isinstance(value, Conversation):
        yield JudgedRow(row.number, value)
    elif not isinstance(value, dict):
        yield JudgedRow(row.number, [problem("not_object", seen=excerpt(value))])
    else:
        for converted in layout.convert(value):
            if isinstance(converted, Problem):
                yield JudgedRow(row.number, [converted])
            else:
                yield JudgedRow(row.number, _found(converted), converted.template, converted)


def _found(converted: Converted) -> Conversation | Preference | list[Problem]:
    chosen = conversation_or_problems(converted)
    if converted.rejected is None:
        return chosen
    rejected = conversation_or_problems(converted.rejected)
    if not isinstance(chosen, Conversation) or not isinstance(rejected, Conversation):
        both = [found for found in (chosen, rejected) if isinstance(found, list)]
        return list(dict.fromkeys(chain.from_iterable(both)))  # what is wrong before the answers is told once
    if chosen == rejected:
        return [problem("equal_answers", converted.rejected.list_name)]
    num_before = converted.num_before
    before = Conversation(chosen.messages[:num_before], chosen.tools)
    return Preference(before, chosen.messages[num_before:], rejected.messages[num_before:])


def unknown_columns(path: Path, header: Sequence[str], rows: Sequence[Row]) -> DataError:
    """The error of a table whose header says nothing to us: its columns, its first rows, and the flags to type."""
    fields = {"seen": _shown(header), "questions": ", ".join(QUESTIONS), "answers": ", ".join(ANSWERS)}
    first = " · ".join(_shown(list(row.values())) for row in rows[:_ROWS_SHOWN]) or say("data.nothing")
    return DataError(say("data.unknown_header", path=path, first=first, **fields, flags=_flags(header, rows)))


def _unknown_layout(path: Path, keys: Sequence[str], rows: Sequence[Row]) -> DataError:
    known = "; ".join(f"{layout.name} ({', '.join(layout.keys)})" for layout in LAYOUTS)
    fields = {"seen": _shown(keys), "known": known, "flags": _flags(keys, rows)}
    near = nearest_layout(keys)
    if near is None:
        return DataError(say("data.unknown_layout", path=path, **fields))
    return DataError(say("data.unknown_layout_near", path=path, **fields, near=near.name, keys=", ".join(near.keys)))


def _flags(names: Sequence[str], rows: Sequence[Row]) -> str:
    """--map flags with the two columns that hold the most text, the likeliest to be question and answer."""

    def num_characters(name: str) -> int:
        return sum(len(row[name]) for row in rows if isinstance(row.get(name), str))

    named = [name for name in names if name.strip()]  # --map takes nothing else
    longest = sorted(sorted(named, key=num_characters, reverse=True)[:2], key=named.index)
    pairs = zip(("question", "answer"), longest, strict=False)
    return " ".join(f"--map {shlex.quote(f'{ours}={theirs}')}" for ours, theirs in pairs)


def _shown(values: Sequence[object]) -> str:
    return ", ".join(map(excerpt, values[:_NAMES_SHOWN])) + ", …" * (len(values) > _NAMES_SHOWN)


def _head(rows: Iterator[RawRow]) -> list[RawRow]:
    """Rows up to the twentieth that is an object: enough to see the layout."""
    head: list[RawRow] = []
    num_objects = 0
    for row in rows:
        head.append(row)
        num_objects += isinstance(row.value, dict)
        if num_objects == PROBED_ROWS:
            break
    return head


def _objects(rows: Sequence[RawRow]) -> list[Row]:
    return [row.value for row in rows if isinstance(row.value, dict)]


def _keys(rows: Sequence[RawRow]) -> tuple[str, ...]:
    """All keys of the rows, in the order of their first appearance."""
    return tuple(dict.fromkeys(key for row in _objects(rows) for key in row))


def _named(name: str) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.name == name), None)


def _require_told_apart(path: Path, header: Sequence[str], read: Iterable[str]) -> None:
    """Raises DataError for two columns of one name that are read; those of another name may be as many as they like."""
    for name in map(plain, read):
        alike = [f"{excerpt(theirs)} ({n})" for n, theirs in enumerate(header, start=1) if plain(theirs) == name]
        if len(alike) > 1:
            raise DataError(say("data.columns_alike", path=path, columns=", ".join(alike)))


# ---- columns that a person named


def _require_columns(path: Path, columns: Mapping[str, str], header: Sequence[str]) -> None:
    for ours, theirs in columns.items():
        if key_of(dict.fromkeys(header), (plain(theirs),)) is None:
            near = ", ".join(map(excerpt, nearest(theirs, list(header), 1))) or _shown(header)
            raise DataError(say("data.no_column", path=path, ours=ours, theirs=theirs, near=near, seen=_shown(header)))


def _renamed(row: RawRow, columns: Mapping[str, str] | None) -> RawRow:
    """The row with our names, and with nothing else in it: a column that was not named must not decide the layout."""
    if not columns or not isinstance(row.value, dict):
        return row
    keys = {ours: key_of(row.value, (plain(theirs),)) for ours, theirs in columns.items()}
    return replace(row, value={ours: row.value[key] for ours, key in keys.items() if key is not None})


def _in_their_words(rows: Iterator[JudgedRow], columns: Mapping[str, str]) -> Iterator[JudgedRow]:
    """The problems name the person's columns again."""
    for row in rows:
        if columns and isinstance(row.found, list):
            yield replace(row, found=[replace(found, field=_their_name(found.field, columns)) for found in row.found])
        else:
            yield row


def _their_name(field: str, columns: Mapping[str, Any]) -> str:
    ours = field.partition("[")[0].partition(".")[0]
    return columns.get(ours, ours) + field[len(ours) :]
