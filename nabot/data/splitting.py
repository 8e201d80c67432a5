"""One file → rows to learn and rows that only measure. In: a path, out: two files, and what stands in them.

A held-out loss means something only if its questions were not learned. So rows that ask the same, or nearly the same
(`near`), stand on one side, whatever chain of near copies connects them.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nabot.artifacts import new_file
from nabot.conversation import Conversation
from nabot.data.check import words
from nabot.data.groups import Groups
from nabot.data.imports.outputs import json_line, require_new
from nabot.data.near import near_pairs
from nabot.data.packing import order
from nabot.data.whole import WholeRow, whole_rows
from nabot.errors import ConfigError, DataError
from nabot.text import say

_KINDS_OF_ROWS = ("category", "source")  # keys by which both sides get the same shares, if rows have them


@dataclass(frozen=True)
class Split:
    """What was written. `together` rows have a near copy, and so no choice of their own."""

    train: Path
    held_out: Path
    train_rows: int
    held_out_rows: int
    wanted: int  # rows to hold out
    together: int

    def as_dict(self) -> dict[str, Any]:
        """What `nabot data split --json` prints."""
        sides = {"train": (self.train, self.train_rows), "held_out": (self.held_out, self.held_out_rows)}
        told = {side: {"file": str(path), "rows": rows} for side, (path, rows) in sides.items()}
        return {"rows": self.train_rows + self.held_out_rows, **told, "wanted": self.wanted, "together": self.together}


def split_file(
    path: Path, train: Path, held_out: Path, *, share: float, count: int | None, seed: int, force: bool
) -> Split:
    """Holds out `count` rows, or else `share` of them: at most that many, and fewer where near copies leave no other way.

    Rows are written as they are, in their order, as JSON Lines. Raises ConfigError for a setting, DataError for faulty rows
    or if nothing can be held out; then nothing is written.
    """
    require_new([train, held_out], [path], force=force)
    asked, kinds = [], []
    for row in whole_rows(path):
        asked.append(_asked(row.conversations))
        kinds.append(_kind(row))
    wanted = _wanted(len(asked), share, count)
    group_of = near_groups(asked)
    measured = held_out_places(group_of, kinds, wanted, seed)
    if not measured:
        raise DataError(say("split.all_alike", path=path, rows=len(asked), wanted=wanted))
    _write(path, (train, held_out), measured)
    sizes = Counter(group_of)
    together = sum(size for size in sizes.values() if size > 1)
    return Split(train, held_out, len(asked) - len(measured), len(measured), wanted, together)


def near_groups(texts: Sequence[str]) -> list[int]:
    """For each text the first of its group; near copies are in one group. Raises ConfigError without rensa."""
    groups = Groups(len(texts))
    try:
        for one, other in near_pairs([("", text, "") for text in texts]):
            groups.join(one, other)
    except ImportError as error:
        raise ConfigError(say("data.no_rensa")) from error
    return [groups.first(place) for place in range(len(texts))]


def held_out_places(group_of: Sequence[int], kinds: Sequence[str], wanted: int, seed: int) -> set[int]:
    """At most `wanted` places, whole groups in an order drawn by `seed`: first each kind of rows its share, then any.

    A group counts as the kind of its first row.
    """
    members: dict[int, list[int]] = {}
    for place, group in enumerate(group_of):
        members.setdefault(group, []).append(place)
    room = {kind: wanted * size // len(kinds) for kind, size in Counter(kinds).items()}
    groups = list(members)
    drawn = [groups[number] for number in order(len(groups), seed, 0)]
    taken: set[int] = set()
    for group in drawn:
        if len(members[group]) <= room[kinds[group]]:
            room[kinds[group]] -= len(members[group])
            taken.update(members[group])
    for group in drawn:
        if group not in taken and len(taken) + len(members[group]) <= wanted:
            taken.update(members[group])
    return taken


def _wanted(num_rows: int, share: float, count: int | None) -> int:
    if count is None and not 0 < share < 1:
        raise ConfigError(say("split.bad_share", seen=share))
    wanted = round(num_rows * share) if count is None else count
    if not 0 < wanted < num_rows:
        raise ConfigError(say("split.bad_count", seen=wanted, rows=num_rows))
    return wanted


def _asked(conversations: Sequence[Conversation]) -> str:
    """What all user turns say, in words; as it stands where there are none, as in a row of signs."""
    turns = [f"{m.content} {m.context}" for one in conversations for m in one.messages if m.role == "user"]
    return words(" ".join(turns)) or " ".join(turns)


def _kind(row: WholeRow) -> str:
    return next((str(row.value[key]) for key in _KINDS_OF_ROWS if row.value.get(key)), "")


def _write(path: Path, sides: tuple[Path, Path], held_out: set[int]) -> None:
    with ExitStack() as stack:
        files = [
            stack.enter_context(stack.enter_context(new_file(side)).open("w", encoding="utf-8", newline="\n"))
            for side in sides
        ]
        for place, row in enumerate(whole_rows(path)):
            files[place in held_out].write(json_line(row.value))
