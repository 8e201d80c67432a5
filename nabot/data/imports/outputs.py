"""Items → JSON Lines files, one for each kind. In: items, out: files that are whole, or not there."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from nabot.artifacts import new_file
from nabot.conversation import Conversation
from nabot.data.imports.types import Passage, Preference
from nabot.data.validate import has_half_character
from nabot.errors import ConfigError
from nabot.text import say

_KIND_OF = {Conversation: "conversations", Preference: "preferences", Passage: "passages"}


class Outputs:
    """The files that are written, each from the first item of its kind on. They appear when `stack` is closed."""

    def __init__(self, place_of: Callable[[str], Path], stack: ExitStack) -> None:
        self.counts: Counter[str] = Counter()
        self.places: dict[str, Path] = {}
        self._place_of, self._stack = place_of, stack
        self._files: dict[str, TextIO] = {}

    def write(self, item: Conversation | Preference | Passage) -> None:
        kind = _KIND_OF[type(item)]
        self.write_line(kind, item.as_dict())
        self.counts[kind] += 1

    def write_line(self, kind: str, row: dict[str, Any]) -> None:
        """A line of that file, which is none of the items that were asked for."""
        if kind not in self._files:
            self.places[kind] = self._place_of(kind)
            aside = self._stack.enter_context(new_file(self.places[kind]))
            self._files[kind] = self._stack.enter_context(aside.open("w", encoding="utf-8", newline="\n"))
        self._files[kind].write(json_line(row))

    def next_place(self, item: Conversation | Preference | Passage) -> str:
        """File and line that `item` will have."""
        kind = _KIND_OF[type(item)]
        return f"{self._place_of(kind)}:{self.counts[kind] + 1}"


def require_new(places: Sequence[Path], inputs: Sequence[Path], *, force: bool) -> None:
    """Raises ConfigError for a file to write that is there already, is one of `inputs`, or is named twice."""
    read = [path.resolve() for path in inputs]
    for place in places:
        if place.is_dir():
            raise ConfigError(say("data.out_is_folder", path=place))
        if place.exists() and not place.is_file():
            raise ConfigError(say("data.out_is_no_file", path=place))
        if place.resolve() in read:
            raise ConfigError(say("data.out_is_input", path=place))
        if [other.resolve() for other in places].count(place.resolve()) > 1:
            raise ConfigError(say("data.out_twice", path=place))
        if place.exists() and not force:
            raise ConfigError(say("data.out_exists", path=place))


def json_line(row: dict[str, Any]) -> str:
    """The row with its line break; people's letters as they are, but for halves of them, which no encoding can write."""
    text = json.dumps(row, ensure_ascii=False, default=str)  # str: a date in the tools of a Parquet file
    return (json.dumps(row, default=str) if has_half_character(text) else text) + "\n"
