"""Rows and tables as text: JSON Lines, a JSON list, CSV, TSV, in every layout of `layouts.py`. In: a path, out: items."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nabot.conversation import Conversation
from nabot.data.encoding import beginning
from nabot.data.imports.types import Asked, Changed, Format, Item, Preference
from nabot.data.judged import judge
from nabot.data.rows import JSON_SUFFIXES, TABLE_SUFFIXES, RawFile, known_delimiter, open_rows, says_delimiter

_JSON = re.compile(r'\s*(\{\s*["}]|\[\s*[{"\]])')  # not "[a link](…)", nor "{{ a template }}"


@dataclass(frozen=True)
class RowsReader:
    """Any layout, or with a name that one alone."""

    layout: str = ""

    @property
    def name(self) -> str:
        return self.layout or "rows"

    def recognises(self, path: Path, head: bytes) -> bool:
        """By its name, or because it begins like JSON or with a header that nabot knows."""
        if path.suffix.lower() in (*JSON_SUFFIXES, *TABLE_SUFFIXES):
            return True
        text = beginning(head).lstrip()
        first = text.partition("\n")[0]
        return bool(_JSON.match(text) or says_delimiter(first) or known_delimiter(first))

    def read(self, path: Path, asked: Asked) -> Iterator[Item]:
        """Raises DataError if the file as a whole has no rows, or no known layout."""
        return row_items(path, open_rows(path), asked, layout=self.layout)


def row_items(path: Path, raw: RawFile, asked: Asked, *, layout: str = "") -> Iterator[Item]:
    """The rows of a container as items. Raises DataError as `judge` does."""
    judged = judge(path, raw, columns=asked.columns, layout=layout)
    yield Format(judged.layout or "rows", ", ".join(filter(None, (raw.container, raw.encoding))))
    for row in judged.rows:
        if isinstance(row.found, Conversation | Preference):
            if row.template:
                yield Changed("template", row.template)
            yield row.found
        else:
            yield from (problem.at(str(path), row.number) for problem in row.found)
