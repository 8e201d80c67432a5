"""nabot (나봇): your own chatbot from the weights and the data that you have, on the machine that you have.

`nabot.make`, `nabot.tune`, `nabot.load_bot`, `nabot.load_model`, `nabot.load_adapter` and `nabot.save_adapter` are loaded when they
are first used, so that `import nabot` and `nabot --help` wait for neither torch nor the weights.
"""

import os
from typing import TYPE_CHECKING, Any

if not os.environ.get("OMP_WAIT_POLICY"):
    # Torch's threads (GNU's OpenMP) turn and wait for one another some hundred thousand times. Where another program has a
    # core, nearly all of a tuning step is spent so: two runs on two cores then take three times as long as one after the
    # other. Read once, when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

if TYPE_CHECKING:
    from nabot.api import Bot, LoraConfig, Made, load_adapter, load_bot, load_model, make, save_adapter, tune

__all__ = ["Bot", "LoraConfig", "Made", "load_adapter", "load_bot", "load_model", "make", "save_adapter", "tune"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nabot' has no attribute {name!r}")
    from nabot import api

    return getattr(api, name)
