"""What modes draw on. In: nothing, out: a record."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from nabot.data.imports.types import Passage
from nabot.synth.asking import Candidate
from nabot.synth.seeds import Language, Seed


@dataclass(frozen=True)
class Material:
    """`rng` is the mode's own from here on. What a mode has no use for is empty."""

    language: Language
    rng: random.Random
    seeds: Sequence[Seed] = ()
    passages: Sequence[Passage] = ()
    rows: Sequence[Candidate] = ()
