"""What the instructions of a file ask for, counted. In: instructions, out: how often each verb has which object."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from nabot.data.language import language_of
from nabot.data.roots_english import Root, english_root
from nabot.data.roots_korean import korean_root

# as many as the figure of Alpaca (Taori et al. 2023), which is that of Wang et al. 2022, "Self-Instruct"
TOP_VERBS, TOP_OBJECTS = 20, 4


@dataclass
class Roots:
    """Counts of a file. `read` instructions were in a language with rules; not all have a verb with an object."""

    read: int = 0
    pairs: Counter[Root] = field(default_factory=Counter)

    def top(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """The most frequent verbs with their most frequent objects; of equal ones that comes first which was seen first."""
        verbs: Counter[str] = Counter()
        for root, count in self.pairs.items():
            verbs[root.verb] += count
        return [(verb, self._objects(verb)) for verb, _ in verbs.most_common(TOP_VERBS)]

    def _objects(self, verb: str) -> list[tuple[str, int]]:
        mine = Counter({root.object: count for root, count in self.pairs.items() if root.verb == verb})
        return mine.most_common(TOP_OBJECTS)


def roots(instructions: Iterable[str]) -> Roots:
    """Counts verbs with objects. Raises ConfigError for Korean instructions if kiwipiepy is not installed."""
    counted = Roots()
    for instruction in instructions:
        language = language_of(instruction)
        if language not in ("ko", "en", "latin"):  # latin: too short to tell, and in rows for a bot mostly English
            continue
        counted.read += 1
        root = korean_root(instruction) if language == "ko" else english_root(instruction)
        if root and root.object:
            counted.pairs[root] += 1
    return counted
