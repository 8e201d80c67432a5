"""QLoRA, the word that people look for: LoRA over a frozen base of few bits. In: settings and a base, out: settings of LoRA.

Source: Dettmers et al. 2023, arXiv 2305.14314.
"""

from dataclasses import replace
from typing import Any

from nabot.models.loading import few_bits
from nabot.models.precision import choose_device
from nabot.recipes.settings import QLORA, Settings
from nabot.sources import Progress, resolve


def spelt_out(settings: Settings, base: str, progress: Progress | None = None) -> Settings:
    """`qlora` as what it is: `lora`, and a `base_bits` that suits the base, unless there is one. Pulls the base."""
    if settings.method != QLORA:
        return settings
    bits: Any = settings.train.base_bits
    if bits == "dense":
        bits = few_bits(resolve(base, progress=progress).path, choose_device(settings.train.device))
    return replace(settings, method="lora", train=replace(settings.train, base_bits=bits))
