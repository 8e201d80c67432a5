"""nabot from Python. In: sources, conversations, folders, out: decoders and bots.

bot = nabot.tune([{"messages": [...]}, ...], base="smollm2", out="bots/mine")
print(bot.chat([{"role": "user", "content": "When do you open?"}]))
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nabot.adapters import load_adapter as _load_adapter
from nabot.adapters import save_adapter as _save_adapter
from nabot.adapters.lora import LoraConfig
from nabot.conversation import Conversation
from nabot.data import conversations_from
from nabot.data.validate import nfc_message
from nabot.engine import Engine
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder, read_decoder_config
from nabot.models.precision import choose_device, choose_dtype
from nabot.recipes.make import MakeRequest, MakeWatcher
from nabot.recipes.make import make as _make
from nabot.recipes.opening import Opened, open_bot
from nabot.recipes.request import TuneRequest, Watcher
from nabot.recipes.settings import Settings
from nabot.recipes.showing import shown, tune_watcher
from nabot.recipes.tune import tune as _tune
from nabot.sources import resolve
from nabot.tokenizer import Tokenizer, check_fits, load_tokenizer

__all__ = ["Bot", "LoraConfig", "Made", "load_adapter", "load_bot", "load_model", "make", "save_adapter", "tune"]

Messages = Sequence[Mapping[str, Any]]


class Bot:
    """A finished bot, opened: its base with its adapter on."""

    def __init__(self, opened: Opened, folder: Path) -> None:
        self.folder, self.record = folder, opened.record
        self._opened, self._engine = opened, opened.engine()

    @property
    def engine(self) -> Engine:
        """A `TextModel`: `generate` answers many conversations at once."""
        return self._engine

    def chat(self, messages: Messages, **sampling: Any) -> str:
        """The answer to a conversation; keywords are the fields of `nabot.textmodel.Sampling`."""
        return "".join(self.stream(messages, **sampling))

    def stream(self, messages: Messages, **sampling: Any) -> Iterator[str]:
        """The answer piece by piece. Oldest turns that leave no room for an answer are left out."""
        wanted = self._opened.sampling(**sampling)
        conversation, _ = self._opened.fitted(
            Conversation.of([nfc_message(m) for m in messages]), wanted.max_new_tokens
        )
        return self._engine.stream(conversation, wanted)


def load_model(source: str, *, dtype: str | torch.dtype = "auto", device: str = "auto") -> tuple[Decoder, Tokenizer]:
    """The decoder and the tokenizer of a source: `decoder(tokens_BT) -> logits_BTV`. Pulls it if needed."""
    model = resolve(source)
    place = choose_device(device)
    kind = dtype if isinstance(dtype, torch.dtype) else choose_dtype(dtype, place)
    tokenizer = load_tokenizer(model.path)
    check_fits(tokenizer, read_decoder_config(model.path).vocab_size, model.path)
    return load_decoder(model.path, dtype=kind, device=place), tokenizer


def load_adapter(decoder: Decoder, folder: str | Path) -> Decoder:
    """Puts the adapter in `folder` (PEFT's layout) on the decoder and returns it. Raises CheckpointError."""
    _load_adapter(decoder, Path(folder))
    return decoder


def save_adapter(decoder: Decoder, folder: str | Path) -> None:
    """Writes the attached adapter in PEFT's layout."""
    _save_adapter(decoder, Path(folder))


def load_bot(path: str | Path, *, base: str = "", dtype: str = "auto", device: str = "auto") -> Bot:
    """A finished bot. `base` says where its base lies now, if not where it was. Raises CheckpointError."""
    return Bot(open_bot(Path(path), base=base, dtype=dtype, device=device), Path(path))


def tune(
    conversations: Sequence[Conversation | Mapping[str, Any]],
    *,
    base: str,
    out: str | Path = "bots/mine",
    template: str = "",
    system: str = "",
    force: bool = False,
    show: bool = False,
    **settings: Any,
) -> Bot:
    """Tunes `base` on the conversations and returns the bot in `out`; keywords are the flat settings (`rank`, `epochs`).

    `show` prints how far it is, in a notebook in a line that renews itself.
    """
    request = TuneRequest(
        conversations=conversations_from(conversations),
        out=Path(out),
        base=base,
        settings=Settings().with_values(settings),
        template=template,
        system=system,
        force=force,
    )
    _tune(request, tune_watcher() if show else Watcher())
    return load_bot(out)


@dataclass(frozen=True)
class Made:
    """What `make` made: the bot, and the figures of each stage ("import", "generate", "check", "tune", "exam", …)."""

    bot: Bot
    figures: Mapping[str, Mapping[str, Any]]


def make(
    folder: str | Path,
    *,
    base: str,
    out: str | Path = "",
    teacher: str = "",
    model: str = "",
    key_env: str = "",
    rows: int = 0,
    exam: str | Path = "",
    assistant: str = "",
    mask: bool = False,
    language: str = "",
    seed: int = 0,
    concurrency: int | None = None,
    max_tokens_total: int | None = None,
    max_cost: float | None = None,
    price_in: float = 0,
    price_out: float = 0,
    fresh: bool = False,
    force: bool = False,
    show: bool = True,
    **settings: Any,
) -> Made:
    """`nabot make`: a folder of files becomes a bot in `out` (bots/FOLDER); keywords are the flat settings (`minutes`).

    `teacher` is the address of an OpenAI-compatible endpoint and `model` its model; without one the base writes the questions
    about documents itself: up to `rows` rows (0: as many as the documents and `minutes` have room for). What it may cost is limited
    by `max_tokens_total` and `max_cost`. The same call goes on where an earlier one was cut off, and does nothing twice; `fresh`
    begins anew, and keeps what was paid for aside.

    Raises ConfigError for a setting or a folder that cannot be used, DataError if nothing in it can be, UpstreamError if the
    teacher fails; what was finished until then stays.
    """
    request = MakeRequest.of(
        Path(folder),
        base,
        out=Path(out) if out else None,
        teacher=teacher,
        model=model,
        key_env=key_env,
        settings=settings,
        rows=rows,
        exam=Path(exam) if exam else None,
        assistant=assistant,
        mask=mask,
        language=language,
        seed=seed,
        concurrency=concurrency,
        max_tokens_total=max_tokens_total,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
        fresh=fresh,
        force=force,
    )
    figures = _make(request, shown() if show else MakeWatcher())
    return Made(load_bot(request.out), figures)
