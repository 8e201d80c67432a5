"""Where people's text lies in a rendered conversation. In: a template and messages, out: text with proved spans.

The template is run twice: once with the words of people, once with a stand-in for each of them. Putting the words back
for their stand-ins must give the first text byte for byte; then every character is known to be the template's or a
person's. A template that looks into the words (cuts, translates, counts them) cannot be proved, and is an error.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Render = Callable[[list[dict[str, Any]], list[Any], "tuple[str, str] | None"], str]  # (messages, tools, marks) → text
HasMark = Callable[[str], bool]  # does a text contain an added token?

_MARGIN = re.compile(r"^(\s*)(.*?)(\s*)$", re.DOTALL)


class Span(NamedTuple):
    """[start, end) in characters of the rendered text."""

    start: int
    end: int


class Words(NamedTuple):
    """[start, end) of text that a person wrote in turn `message` (-1: in the description of a tool)."""

    start: int
    end: int
    message: int


@dataclass
class Spans:
    """`people`: in order, never overlapping. `contents[k]`: where the content of message k stands."""

    text: str
    people: list[Words] = field(default_factory=list)
    contents: dict[int, list[Span]] = field(default_factory=dict)
    generations: list[Span] = field(default_factory=list)  # insides of {% generation %} blocks


class UnprovedError(Exception):
    """The stand-ins do not lead back to the real text; `message` is the index of the turn where it first differs."""

    def __init__(self, message: int) -> None:
        super().__init__(message)
        self.message = message


def prove(messages: Sequence[dict[str, Any]], tools: Sequence[Any], render: Render, has_mark: HasMark) -> Spans:
    """Raises UnprovedError, and what `render` raises."""
    text = render(list(messages), list(tools), None)
    letter = _free_letter([text, *(str(part) for message in messages for part in message.values()), str(tools)])
    stand_ins = _StandIns(letter, has_mark)
    stood_in = [stand_ins.message(k, message) for k, message in enumerate(messages)]
    marks = (f"{letter}<{letter}", f"{letter}>{letter}")
    return stand_ins.aligned(render(stood_in, [stand_ins.within(tool, -1) for tool in tools], marks), text)


class _StandIns:
    """Hands out stand-ins (a number between two letters that occur nowhere) and finds them again."""

    def __init__(self, letter: str, has_mark: HasMark) -> None:
        self._letter = letter
        self._pattern = re.compile(f"{letter}(\\d+|<|>){letter}")
        self._has_mark = has_mark
        self._words: list[tuple[str, int, bool]] = []  # words, message, are they its content

    def message(self, index: int, message: dict[str, Any]) -> dict[str, Any]:
        stood_in = dict(message)
        for key in ("content", "context"):
            if message.get(key):
                stood_in[key] = self._stand_in(message[key], index, key == "content")
        if "tool_calls" in message:
            stood_in["tool_calls"] = self.within(message["tool_calls"], index)
        return stood_in

    def within(self, value: Any, index: int) -> Any:
        """The strings of a tool's description or call that could be read as special tokens, stood in for.

        The others stay: templates compare some of them ("function", "object", "string").
        """
        if isinstance(value, str):
            return self._stand_in(value, index, False) if self._has_mark(value) else value
        if isinstance(value, dict):
            return {self.within(key, index): self.within(inner, index) for key, inner in value.items()}
        return [self.within(inner, index) for inner in value] if isinstance(value, (list, tuple)) else value

    def _stand_in(self, text: str, index: int, is_content: bool) -> str:
        """White space around the words stays outside, so that a template's `trim` does the same to both."""
        left, words, right = _MARGIN.match(text).groups()  # type: ignore[union-attr]
        if not words:
            return text
        self._words.append((words, index, is_content))
        return f"{left}{self._letter}{len(self._words) - 1}{self._letter}{right}"

    def aligned(self, stood_in: str, text: str) -> Spans:
        """Walks both texts side by side."""
        spans, place, last, message = Spans(text), 0, 0, 0
        opened: list[int] = []
        for found in self._pattern.finditer(stood_in):
            place = _past(text, place, stood_in[last : found.start()], message)
            last = found.end()
            if found[1] == "<":
                opened.append(place)
            elif found[1] == ">":
                spans.generations.append(Span(opened.pop(), place))
            else:
                words, message, is_content = self._words[int(found[1])]
                span = Span(place, place + len(_spelling(text, place, words, message)))
                spans.people.append(Words(*span, message))
                if is_content:
                    spans.contents.setdefault(message, []).append(span)
                place = span.end
        if text[place:] != stood_in[last:]:
            raise UnprovedError(message)
        spans.generations.sort()
        return spans


def _past(text: str, place: int, literal: str, message: int) -> int:
    if not text.startswith(literal, place):
        raise UnprovedError(message)
    return place + len(literal)


def _spelling(text: str, place: int, words: str, message: int) -> str:
    """The words as they stand in the text: themselves, or as inside a JSON string (tool calls go through `tojson`)."""
    if text.startswith(words, place):
        return words
    for ascii_only in (False, True):
        spelling = json.dumps(words, ensure_ascii=ascii_only)[1:-1]
        if text.startswith(spelling, place):
            return spelling
    raise UnprovedError(message)


def _free_letter(texts: list[str]) -> str:
    """A letter of the private-use area that occurs in none of the texts."""
    return next(chr(code) for code in range(0xE000, 0xF900) if not any(chr(code) in text for text in texts))
