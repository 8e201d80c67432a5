"""The ways of asking a teacher, by name. In: material, out: a mode."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from nabot.synth.asking import Mode
from nabot.synth.modes.alpaca import Alpaca
from nabot.synth.modes.evolve import Evolve
from nabot.synth.modes.grounded import Grounded
from nabot.synth.modes.koalpaca import Koalpaca
from nabot.synth.modes.material import Material
from nabot.synth.modes.reworded import Reworded
from nabot.synth.modes.self_instruct import SelfInstruct
from nabot.synth.modes.sentences import Sentences

Needs = Literal["seeds", "passages", "rows"]


@dataclass(frozen=True)
class Way:
    """How a mode is made, and what it cannot do without."""

    needs: Needs
    mode: Callable[[Material], Mode]


MODES: Mapping[str, Way] = {
    Alpaca.name: Way("seeds", Alpaca),
    SelfInstruct.name: Way("seeds", SelfInstruct),
    Grounded.name: Way("passages", lambda material: Grounded(material.passages, material.rng)),
    Sentences.name: Way("passages", lambda material: Sentences(material.passages, material.rng)),
    Koalpaca.name: Way("rows", lambda material: Koalpaca(material.rows, material.language)),
    Evolve.name: Way("rows", lambda material: Evolve(material.rows, material.rng)),
    Reworded.name: Way("rows", lambda material: Reworded(material.rows)),
}

__all__ = ["MODES", "Material", "Way"]
