"""A run that has learned → a bot. In: the decoder with its adapter, out: BOT's files, bot.toml last.

bot.toml is written after the saved adapter was read again and gave the same logits, so a folder that has one is whole.
"""

import math
from pathlib import Path
from typing import Any

import torch

from nabot.adapters import detach, has_learned, load_adapter, save_adapter
from nabot.artifacts import write_file
from nabot.bot import ADAPTER, TEMPLATE, BotRecord
from nabot.conversation import Conversation
from nabot.errors import CheckpointError, ConfigError
from nabot.memory import peak_memory_bytes
from nabot.recipes.opening import Opened
from nabot.sources import base_hash
from nabot.text import say
from nabot.train.checkpoints import RunState
from nabot.train.step import trainable

_SAME_LOGITS = 1e-4  # the re-read adapter holds the very bits; only the order of threads may differ


def save_bot(out: Path, opened: Opened, state: RunState, peak_rate: float, method: str) -> BotRecord:
    """Saves the adapter and the template, reads the adapter again and compares logits.

    Raises ConfigError if the last step of a rate too high has left weights that are not finite, CheckpointError if the
    adapter has learned nothing or comes back as another.
    """
    decoder = opened.decoder
    if not all(bool(p.isfinite().all()) for p in trainable(decoder).values()):
        raise ConfigError(say("train.not_finite", step=state.step, loss=math.nan, rate=peak_rate))  # what comes of them
    if not has_learned(decoder):
        raise CheckpointError(say("tune.learned_nothing", out=out))
    probe = torch.tensor([opened.renderer.prompt(Conversation.ask("?"))], device=decoder.embedding.device)
    with torch.inference_mode():
        before = decoder(probe).float()
    save_adapter(decoder, out / ADAPTER, opened.model.source)
    detach(decoder)
    load_adapter(decoder, out / ADAPTER)
    with torch.inference_mode():
        difference = float((decoder(probe).float() - before).abs().max())
    if not difference <= _SAME_LOGITS:
        raise CheckpointError(say("tune.not_the_same", out=out, difference=difference))
    write_file(out / TEMPLATE, opened.renderer.template.source)
    return BotRecord(
        base=opened.model.source,
        base_hash=base_hash(opened.model.path),
        base_licence=opened.model.licence,
        method=method,
        template=opened.renderer.template.name,
        system=opened.renderer.system,
    )


def figures_of(out: Path, state: RunState, wall_seconds: float, method: str, num_trainable: int) -> dict[str, Any]:
    """What `nabot tune --json` prints."""
    return {
        "bot": str(out),
        "method": method,
        "trainable": num_trainable,
        "adapter_bytes": sum(path.stat().st_size for path in (out / ADAPTER).glob("*.safetensors")),
        "steps": state.step,
        "tokens": state.tokens,
        "trained_tokens": state.trained_tokens,
        "seconds": round(state.seconds, 3),
        "wall_seconds": round(wall_seconds, 3),
        "tokens_per_second": round(state.tokens / state.seconds, 1) if state.seconds else 0.0,
        "peak_memory_bytes": peak_memory_bytes(),
        "loss": {"first": state.first_loss, "last": state.last_loss, "held_out": state.held_out_loss},
    }
