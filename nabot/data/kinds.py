"""Rows to learn, or an exam? In: the first rows of a file, out: whether it is the other kind of file than expected.

One look at the whole file, so that a mix-up is one sentence and not a fault in every row.
"""

from collections.abc import Sequence
from typing import Any

from nabot.data.columns import Row
from nabot.data.layouts import choose_layout


def looks_like_exam(rows: Sequence[Row]) -> bool:
    """Every row has patterns for an answer, and none has the answer."""
    return bool(rows) and all("accept" in row and _last_role(row) == "user" for row in rows)


def looks_like_training(rows: Sequence[Row]) -> bool:
    """No row has patterns for an answer, and every row has the answer."""
    if any("accept" in row for row in rows):
        return False
    layout = choose_layout(rows)
    return layout is not None and (layout.name != "messages" or all(_last_role(row) == "assistant" for row in rows))


def _last_role(row: Row) -> Any:
    """Who speaks last; None where that cannot be told."""
    messages = row.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return last.get("role") if isinstance(last, dict) else None
