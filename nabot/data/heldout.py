"""Conversations → those that are learned and those that only measure. In: conversations, out: places of the latter.

A held-out loss means something only if its questions were not learned, so one question never stands on both sides.
"""

from collections.abc import Sequence

from nabot.conversation import Conversation
from nabot.data.check import words
from nabot.data.packing import order

_FEWEST_ROWS = 40  # below, every row is worth more learned than measured
_MOST_HELD_OUT = 64  # a mean over more answers is not worth its seconds
_SHARE = 0.05


def held_out_rows(num_rows: int) -> int:
    """How many rows to hold out if nobody says: none of few, else 5 %, at most 64."""
    return 0 if num_rows < _FEWEST_ROWS else min(_MOST_HELD_OUT, int(num_rows * _SHARE))


def held_out_places(
    conversations: Sequence[Conversation], *, count: int | None = None, fraction: float | None = None, seed: int = 0
) -> set[int]:
    """Places of those that only measure, from 0. Neither number: `held_out_rows`.

    Rows whose last user turn asks the same stay together, so slightly fewer than asked for may be held out; never
    more than that, and never more than half of the rows.
    """
    wanted = _wanted(len(conversations), count, fraction)
    groups: dict[str, list[int]] = {}
    for i, conversation in enumerate(conversations):
        groups.setdefault(_last_question(conversation), []).append(i)
    members = list(groups.values())
    held_out: set[int] = set()
    for number in order(len(members), seed, 0):
        if len(held_out) + len(members[number]) <= wanted:
            held_out.update(members[number])
    return held_out


def _wanted(num_rows: int, count: int | None, fraction: float | None) -> int:
    if count is None:
        count = held_out_rows(num_rows) if fraction is None else round(num_rows * fraction)
    return min(count, num_rows // 2)


def _last_question(conversation: Conversation) -> str:
    asked = [m for m in conversation.messages if m.role == "user"]
    return words(f"{asked[-1].content} {asked[-1].context}") if asked else ""
