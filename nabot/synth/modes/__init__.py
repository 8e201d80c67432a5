"""The ways of asking a teacher, by name. In: material, out: a mode."""

from collections.abc import Callable, Mapping

from nabot.synth.asking import Mode
from nabot.synth.modes.alpaca import Alpaca
from nabot.synth.modes.material import Material
from nabot.synth.modes.self_instruct import SelfInstruct

MODES: Mapping[str, Callable[[Material], Mode]] = {
    Alpaca.name: Alpaca,
    SelfInstruct.name: SelfInstruct,
}

__all__ = ["MODES", "Material"]
