"""Several files → one, each with a share of its own. In: paths with weights, out: a file, and how often each row stands in it.

Shares follow weights, or the sizes of the files: p ∝ min(n, limit)^(1/T). T = 1 takes the files as they are, a higher one
helps the small ones, infinity makes all equal.   Source: Raffel et al. 2020 (T5), section 3.5.2; the limit is 3,000 in FLAN
(Wei et al. 2021).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nabot.artifacts import new_file
from nabot.data.imports.outputs import json_line, require_new
from nabot.data.packing import order, row_at
from nabot.data.whole import WholeRow, whole_rows
from nabot.errors import ConfigError
from nabot.text import say

# Muennighoff et al. 2023, "Scaling data-constrained language models": up to four times a row is worth as much as a new one
MOST_EPOCHS = 4


@dataclass(frozen=True)
class Source:
    """A file, and what the person said of it: a weight beside the others', or how often to take it; neither: by its size."""

    path: Path
    weight: float | None = None
    epochs: float | None = None


@dataclass(frozen=True)
class Part:
    """What became of one source."""

    file: str
    rows: int  # in the file
    taken: int  # times that one of them stands in the mix
    share: float  # of the mix

    @property
    def epochs(self) -> float:
        """How often a row stands there in the mean; single rows differ by one at most."""
        return self.taken / self.rows

    def as_dict(self) -> dict[str, Any]:
        """One of `sources` in what `nabot data mix --json` prints."""
        return {"file": self.file, "rows": self.rows, "taken": self.taken, "share": self.share, "epochs": self.epochs}


def mix_files(
    sources: Sequence[Source],
    out: Path,
    *,
    num_rows: int | None = None,
    temperature: float = 1.0,
    limit: int | None = None,
    seed: int = 0,
    force: bool = False,
) -> list[Part]:
    """Writes `num_rows` (as many as all files together have) conversations, whole ones, in an order drawn by `seed`.

    Memory: all files. Raises ConfigError for settings that contradict each other, DataError for faulty rows; then nothing
    is written.
    """
    require_new([out], [source.path for source in sources], force=force)
    _require_settings(sources, num_rows, temperature, limit)
    lines = [[json_line(row) for whole in whole_rows(source.path) for row in _rows(whole)] for source in sources]
    taken = amounts(sources, list(map(len, lines)), num_rows=num_rows, temperature=temperature, limit=limit)
    # another order for each file, or two copies of one file would be taken in step
    drawn = [
        mine[row_at(position, len(mine), seed + number)]
        for number, (mine, count) in enumerate(zip(lines, taken, strict=True), start=1)
        for position in range(count)
    ]
    with new_file(out) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(drawn[place] for place in order(len(drawn), seed, 0))
    return [
        Part(str(source.path), len(mine), count, count / len(drawn))
        for source, mine, count in zip(sources, lines, taken, strict=True)
    ]


def amounts(
    sources: Sequence[Source],
    sizes: Sequence[int],
    *,
    num_rows: int | None = None,
    temperature: float = 1.0,
    limit: int | None = None,
) -> list[int]:
    """How many rows to take of each. Those with `epochs` have their own number, the others share what is left."""
    fixed = {i: round(source.epochs * sizes[i]) for i, source in enumerate(sources) if source.epochs is not None}
    free = [i for i in range(len(sources)) if i not in fixed]
    left = sum(sizes[i] for i in free) if num_rows is None else num_rows - sum(fixed.values())
    if left < 0 or (free and not left):
        raise ConfigError(say("mix.no_room", rows=num_rows, taken=sum(fixed.values())))
    if not free and not sum(fixed.values()):
        raise ConfigError(say("mix.nothing"))
    shares = _shares([sources[i] for i in free], [sizes[i] for i in free], temperature, limit)
    return [
        dict(zip(free, apportioned(shares, left), strict=True)).get(i, fixed.get(i, 0)) for i in range(len(sources))
    ]


def apportioned(shares: Sequence[float], total: int) -> list[int]:
    """`total` in whole numbers by `shares`, which sum to 1: each is rounded down or up (largest remainders)."""
    exact = [share * total for share in shares]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts


def _shares(sources: Sequence[Source], sizes: Sequence[int], temperature: float, limit: int | None) -> list[float]:
    limited = [min(size, limit or size) for size in sizes]
    largest = max(limited, default=1)  # powers of shares of it cannot overflow
    weights = [
        source.weight if source.weight is not None else (size / largest) ** (1 / temperature)
        for source, size in zip(sources, limited, strict=True)
    ]
    most = max(weights, default=1.0)  # nor can the sum of shares of the largest weight
    return [weight / most / sum(other / most for other in weights) for weight in weights]


def _require_settings(sources: Sequence[Source], num_rows: int | None, temperature: float, limit: int | None) -> None:
    for source in sources:
        if [other.path.resolve() for other in sources].count(source.path.resolve()) > 1:
            raise ConfigError(say("mix.twice", path=source.path))
        for name, value in (("weight", source.weight), ("epochs", source.epochs)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(say("mix.not_positive", path=source.path, name=name, seen=value))
        if source.weight is not None and source.epochs is not None:
            raise ConfigError(say("mix.weight_and_epochs", path=source.path))
    by_weight = {source.weight is not None for source in sources if source.epochs is None}
    if by_weight == {True, False}:
        raise ConfigError(say("mix.some_weights"))
    if not temperature > 0:
        raise ConfigError(say("mix.bad_temperature", seen=temperature))
    if True in by_weight and (temperature != 1 or limit is not None):
        raise ConfigError(say("mix.weights_and_temperature"))
    if not by_weight and num_rows is not None:
        raise ConfigError(say("mix.rows_and_epochs"))


def _rows(row: WholeRow) -> list[dict[str, Any]]:
    """The conversations in one layout, because a file has only one; a row of messages keeps its other keys."""
    more = {key: value for key, value in row.value.items() if key not in ("messages", "tools")}
    kept = more if "messages" in row.value else {}
    return [conversation.as_dict() | kept for conversation in row.conversations]
