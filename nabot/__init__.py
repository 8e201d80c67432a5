"""nabot (나봇): your own chatbot from the weights and the data that you have, on the machine that you have.

`nabot.make`, `nabot.tune`, `nabot.load_bot`, `nabot.load_model`, `nabot.load_adapter` and `nabot.save_adapter` are loaded when they
are first used, so that `import nabot` and `nabot --help` wait for neither torch nor the weights.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nabot.api import Bot, LoraConfig, Made, load_adapter, load_bot, load_model, make, save_adapter, tune

__all__ = ["Bot", "LoraConfig", "Made", "load_adapter", "load_bot", "load_model", "make", "save_adapter", "tune"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nabot' has no attribute {name!r}")
    from nabot import api

    return getattr(api, name)
