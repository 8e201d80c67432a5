"""What modes draw on. In: nothing, out: a record."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from nabot.synth.seeds import Language, Seed


@dataclass(frozen=True)
class Material:
    """`rng` is the mode's own from here on."""

    language: Language
    rng: random.Random
    seeds: Sequence[Seed]
