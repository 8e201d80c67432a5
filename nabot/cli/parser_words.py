"""The parser's own words in the person's language. In: pages and errors as typer writes them, out: the same in Korean.

typer has no translations, and breaks lines by letters, of which a Korean one takes two columns. So a Korean page is laid
out here, and a sentence of the parser is found by its English text (`parser.…` in nabot/text.py) and said anew.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from nabot.cli.columns import padded, width, wrapped
from nabot.text import ENGLISH, language, say

_FIELD = re.compile(r"\\\{(\w+)\\\}")  # as `re.escape` leaves a field of a template
Verb = TypeVar("Verb", bound=Callable[..., Any])
_MOST_NAMES = 30  # columns for the names of a list


def told_by_parser(error: Any) -> str:
    """What the parser would print of its own error, in the person's language."""
    page = io.StringIO()
    error.show(file=page)
    return "\n".join(map(in_own_words, page.getvalue().rstrip("\n").split("\n")))


def in_own_words(text: str) -> str:
    """Every sentence of the parser in `text`, said in the person's language; names and values stay."""
    if language() == "en":
        return text
    for text_id, pattern in _sentences():
        text = pattern.sub(partial(_said, text_id), text)
    return text


def _said(text_id: str, found: re.Match[str]) -> str:
    return say(text_id, **found.groupdict())


@cache
def _sentences() -> list[tuple[str, re.Pattern[str]]]:
    """A pattern for each English sentence of the parser; a field at its end takes the rest of the line."""
    found = []
    for text_id, english in ENGLISH.items():
        if text_id.startswith("parser."):
            pattern = _FIELD.sub(r"(?P<\1>.+?)", re.escape(english))
            if " " not in english and english[0].isalpha():  # a heading: only where it stands alone
                pattern = f"^{pattern}$"
            found.append((text_id, re.compile(re.sub(r"\+\?\)$", "+)", pattern))))
    return found


class _Page(typer.Context.formatter_class):  # type: ignore[valid-type,misc]  # not public under a name of its own
    """A page of help whose lines are measured in columns."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The line that shows how a command is typed."""
        head = f"{in_own_words(prefix or 'Usage:').strip()} {prog} "
        first, *others = wrapped(in_own_words(args), max(20, self.width - width(head))) or [""]
        self.write("\n".join([head + first, *(" " * width(head) + line for line in others)]) + "\n")

    def write_heading(self, heading: str) -> None:
        """The name of a section."""
        super().write_heading(in_own_words(heading))

    def write_text(self, text: str) -> None:
        """Paragraphs, with an empty line between them."""
        indent = " " * self.current_indent
        lines = _paragraphs(text, self.width - self.current_indent)
        self.write("".join(f"{indent}{line}".rstrip() + "\n" for line in lines))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = _MOST_NAMES, col_spacing: int = 2) -> None:
        """Names and what they mean, side by side."""
        column = min(max((width(name) for name, _ in rows), default=0), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, meaning in rows:
            lines = list(_paragraphs(in_own_words(meaning), max(10, self.width - column - 2))) or [""]
            if width(name) > column - col_spacing:
                self.write(f"{indent}{name}\n")
                names = [""] * len(lines)
            else:
                names = [name] + [""] * (len(lines) - 1)
            for beside, line in zip(names, lines, strict=True):
                self.write(f"{indent}{padded(beside, column)}{line}".rstrip() + "\n")


def _paragraphs(text: str, room: int) -> Iterator[str]:
    """The lines of each, wrapped anew, and an empty one between two."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ""
        yield from wrapped(paragraph, room)


class _Context(typer.Context):
    def make_formatter(self) -> Any:
        """English pages are the library's own."""
        if language() == "en":
            return super().make_formatter()
        return _Page(width=self.terminal_width, max_width=self.max_content_width)


class Command(TyperCommand):
    """A verb."""

    context_class = _Context


class Group(TyperGroup):
    """A verb with verbs below it."""

    context_class = _Context


class App(typer.Typer):
    """A typer whose verbs write their pages in the person's language."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Verb], Verb]:
        """As typer's, for a `Command`."""
        return super().command(name, **{"cls": Command, **options})
