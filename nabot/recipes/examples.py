"""Conversations → what a run learns. In: rows and a renderer, out: examples, and those held out.

A row that the template refuses is an error that names it; one that has nothing to learn, or whose last turn alone is too
long, is left out and counted.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from nabot.conversation import Conversation
from nabot.data import held_out_places
from nabot.data.faults import excerpt
from nabot.errors import DataError
from nabot.rendering import Renderer
from nabot.text import say
from nabot.train.batches import Example


def split_examples(
    renderer: Renderer,
    rows: Sequence[Conversation],
    *,
    held_out: int | None,
    seed: int,
    limit: int,
    note: Callable[[str], None],
    longer: str = "",
) -> tuple[list[Example], list[Example]]:
    """Examples to learn, and examples held out (`held_out` rows; None: a share), of at most `limit` tokens each; `longer`
    says what takes longer ones.

    Raises DataError if the template refuses a row, or if nothing is left to learn.
    """
    apart = held_out_places(rows, count=held_out, seed=seed)
    if held_out and held_out > len(rows) // 2:
        note(say("tune.fewer_held_out", asked=held_out, rows=len(rows), seen=len(apart)))
    rendered = _rendered(renderer, rows, limit)
    learned = [e for place, e in enumerate(rendered) if e and place not in apart]
    if rows and not learned:
        raise DataError(say("tune.no_targets", rows=len(rows), limit=limit, longer=longer))
    left_out = sum(e is None for e in rendered)
    if left_out:
        note(say("tune.dropped", dropped=left_out, rows=len(rows), limit=limit, longer=longer))
    return learned, [e for place, e in enumerate(rendered) if e and place in apart]


def said_most(rows: Sequence[Conversation], characters: int) -> str:
    """The answers that are to be learned, a line each: those that stand in most rows first, about so many characters.

    Each is named once, so that a short text says as much as it can of what the rows teach.
    """
    counts = Counter(m.content for row in rows for m in row.messages if m.role == "assistant" and m.train)
    lines: list[str] = []
    for answer, _ in counts.most_common():
        if sum(map(len, lines)) >= characters:
            break
        lines.append(answer)
    return "\n".join(lines)


def _rendered(renderer: Renderer, rows: Sequence[Conversation], limit: int) -> list[Example | None]:
    """An example for each row, or None. Raises DataError naming the first row that the template refuses."""
    examples: list[Example | None] = []
    refused: list[str] = []
    for number, row in enumerate(rows, start=1):
        try:
            fitted = renderer.fitted(row, limit)
        except DataError as error:
            refused.append(say("tune.row_refused", row=number, text=excerpt(row.messages[0].content), reason=error))
            continue
        example = Example.of(fitted.ids, fitted.trained) if fitted else None
        examples.append(example if example and example.targets else None)
    if refused:
        raise DataError(say("tune.rows_refused", count=len(refused), rows=len(rows), first=refused[0]))
    return examples
