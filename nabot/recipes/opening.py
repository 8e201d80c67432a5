"""What a person names → something that answers. In: a source or a bot's folder, out: decoder, renderer, licences.

One function serves chat, exam and the Python API: a bot is a source with an adapter and a template of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nabot.adapters import load_adapter, question_ids
from nabot.bot import ADAPTER, BotRecord, is_finished, is_unfinished, read_record, read_template
from nabot.conversation import Conversation
from nabot.engine import Engine
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder, read_decoder_config
from nabot.models.precision import choose_device, choose_dtype
from nabot.models.quantised import quantise
from nabot.rendering import ChatTemplate, Renderer
from nabot.sources import Model, Progress, base_hash, resolve
from nabot.text import say
from nabot.textmodel import Sampling
from nabot.tokenizer import Tokenizer, check_fits, load_tokenizer

_LIVELY = {"temperature": 0.7, "top_p": 0.9}  # for a bare model; a bot knows its facts best at temperature 0


@dataclass(frozen=True)
class Opened:
    """A model that is ready to answer; `record` is None for a bare source, `plain` renders for the model as it is."""

    name: str
    model: Model
    decoder: Decoder
    plain: Renderer
    record: BotRecord | None = None

    @property
    def renderer(self) -> Renderer:
        """Renders for the decoder with whatever is attached to it just now."""
        return self.plain.around_questions(*question_ids(self.decoder))

    @property
    def tokenizer(self) -> Tokenizer:
        return self.plain.tokenizer

    def sampling(self, **changes: object) -> Sampling:
        """The bot's own defaults (or nabot's), with some fields changed."""
        record = self.record or BotRecord(base="", base_hash="", sampling=_LIVELY)
        return record.sampling_with(**changes)

    def engine(self) -> Engine:
        """Writes answers several times as fast, with weights of few bits (`nabot.models.quantised`), which are packed
        first."""
        few_rows = quantise(self.decoder)
        few_rows.prepare()
        return Engine(self.decoder, self.renderer, few_rows=few_rows)

    def chat_engine(self, *, idle: bool) -> Engine:
        """The same at once: the first words are written with the weights as they are, until others are packed.

        `idle`: a person is about to type, so that may begin now, and not behind the first token.
        """
        few_rows = quantise(self.decoder)
        if idle:
            few_rows.prepare_ahead()
        return Engine(self.decoder, self.renderer, few_rows=few_rows)

    def dense_engine(self) -> Engine:
        """With the weights as they are, which may go on to change."""
        return Engine(self.decoder, self.renderer)

    def fitted(self, conversation: Conversation, max_new_tokens: int) -> tuple[Conversation, int]:
        """Without the oldest turns that leave no room for an answer, and how many were dropped."""
        longest = self.decoder.longest
        room = max(longest - max_new_tokens, longest // 2)
        return self.renderer.shortened(conversation, room)


def open_source(
    source: str,
    *,
    template: str = "",
    system: str = "",
    dtype: str = "auto",
    device: str = "auto",
    base_bits: str = "dense",
    clock: Callable[[], datetime] = datetime.now,
    progress: Progress | None = None,
) -> Opened:
    """A model as it is, with its own chat template (or the named one; what suits it if it has none).

    `base_bits`: how its frozen linears are held, see `load_decoder`.
    """
    model = resolve(source, progress=progress)
    tokenizer = load_tokenizer(model.path)
    chosen = ChatTemplate.named(template, tokenizer)
    place = choose_device(device)
    check_fits(tokenizer, read_decoder_config(model.path).vocab_size, model.path)
    decoder = load_decoder(model.path, dtype=choose_dtype(dtype, place), device=place, base_bits=base_bits)
    return Opened(source, model, decoder, Renderer(chosen, tokenizer, system, clock))


def open_bot(
    folder: Path, *, base: str = "", dtype: str = "auto", device: str = "auto", progress: Progress | None = None
) -> Opened:
    """A finished bot: its base, checked by hash, with its adapter on. `base` says where its base lies now."""
    opened, record = open_base_of(folder, base=base, dtype=dtype, device=device, progress=progress)
    load_adapter(opened.decoder, folder / ADAPTER)
    return Opened(folder.name, opened.model, opened.decoder, opened.plain, record)


def open_base_of(
    folder: Path, *, base: str = "", dtype: str = "auto", device: str = "auto", progress: Progress | None = None
) -> tuple[Opened, BotRecord]:
    """The bot's base without its adapter, with the bot's template. Raises CheckpointError if it is another base."""
    record = read_record(folder)
    source = base or record.base
    opened = open_source(
        source,
        template=record.template,
        system=record.system,
        dtype=dtype,
        device=device,
        base_bits=record.base_bits,
        progress=progress,
    )
    seen = base_hash(opened.model.path)
    if seen != record.base_hash:
        raise CheckpointError(
            say(
                "bot.other_base",
                folder=folder,
                base=record.base,
                expected=record.base_hash[:12],
                source=source,
                seen=seen[:12],
            )
        )
    template = ChatTemplate(record.template, read_template(folder))
    return (
        Opened(opened.name, opened.model, opened.decoder, Renderer(template, opened.tokenizer, record.system)),
        record,
    )


def open_any(name: str, *, base: str = "", progress: Progress | None = None) -> Opened:
    """A bot's folder, or else a source. Raises ConfigError for a `base` where there is no bot."""
    if names_bot(name, base):
        return open_bot(Path(name), base=base, progress=progress)
    return open_source(name, progress=progress)


def names_bot(name: str, base: str) -> bool:
    """Whether `name` is a bot's folder. Raises ConfigError if it is none and there is a `base`, which only a bot has."""
    folder = Path(name)
    if is_finished(folder) or is_unfinished(folder):
        return True
    if base:
        raise ConfigError(say("opening.base_of_no_bot", name=name, base=base))
    return False
