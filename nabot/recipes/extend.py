"""A base with a longer vocabulary. In: a source, a person's texts and how many tokens, out: a folder that is a source.

The folder holds the tokenizer and the new rows alone (`nabot/sources/extension.py`), a few megabytes beside the base.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from nabot.adapters.targets import ENDS
from nabot.artifacts import new_folder
from nabot.data import read_conversations
from nabot.data.files import read_text
from nabot.data.rows import open_rows
from nabot.errors import ConfigError, DataError
from nabot.models.loading import open_weights
from nabot.models.more_rows import mean_rows, save_rows
from nabot.recipes.settings import Settings
from nabot.sources import Progress, base_hash, resolve, write_licence_files
from nabot.sources.extension import Extension, is_extension
from nabot.text import say
from nabot.tokenizer import load_tokenizer
from nabot.tokenizer.extending import extended, new_tokens, tokens_per_character, write_tokenizer

_HELD_OUT_EVERY = 10  # texts: a tenth measures what the rest has taught


@dataclass(frozen=True)
class ExtendRequest:
    """`count`: new tokens out of `corpus`; `specials`: those that are given."""

    base: str
    out: Path
    corpus: Sequence[Path] = ()
    count: int = 0
    specials: Sequence[str] = ()
    force: bool = False


@dataclass(frozen=True)
class Extended:
    """`before`, `after`: tokens a character of the texts that were held out; None without a corpus."""

    out: str
    base: str
    first_id: int
    learned: int
    special: int
    held_out: int
    before: float | None
    after: float | None

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def extend(request: ExtendRequest, progress: Progress | None = None) -> Extended:
    """Raises ConfigError before anything is written, DataError for a corpus without text."""
    _check(request)
    texts = corpus_texts(request.corpus)
    held_out = texts[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY]
    model = resolve(request.base, progress=progress)
    tokenizer = load_tokenizer(model.path)
    config, tensors = open_weights(model.path)
    first = tokenizer.vocab_size
    if first > config.vocab_size:
        raise ConfigError(say("extend.other_sizes", path=model.path, tokens=first, rows=config.vocab_size))
    learning = [text for n, text in enumerate(texts, 1) if n % _HELD_OUT_EVERY]
    new = new_tokens(tokenizer, learning, request.count, request.specials)
    if not new:
        raise DataError(say("extend.nothing_new", files=", ".join(map(str, request.corpus))))
    with new_folder(request.out) as aside:
        write_tokenizer(aside, tokenizer, extended(tokenizer, new))
        save_rows(aside, mean_rows(config, tensors, [token.pieces for token in new]))
        Extension(model.source, base_hash(model.path), model.licence, first).write(aside)
        write_licence_files(aside, model.licence)  # its new rows are made of the model's
        grown = load_tokenizer(aside)
    special = sum(token.special for token in new)
    before, after = (tokens_per_character(one, held_out) if held_out else None for one in (tokenizer, grown))
    return Extended(str(request.out), model.source, first, len(new) - special, special, len(held_out), before, after)


def corpus_texts(paths: Sequence[Path]) -> list[str]:
    """Every line of texts, and every turn of conversations, once. Raises DataError for what cannot be read."""
    texts: list[str] = []
    for path in paths:
        if open_rows(path).container == "text":
            texts += (line for line in read_text(path).splitlines() if line.strip())
        else:
            turns = (message for one in read_conversations([path]) for message in one.messages)
            texts += (part for turn in turns for part in (turn.content, turn.context) if part.strip())
    return list(dict.fromkeys(texts))


def with_rows_learning(settings: Settings, base: str) -> Settings:
    """LoRA over a base with new rows: embedding and head learn, too, unless that was asked for otherwise."""
    if settings.method != "lora" or "save_whole" in settings.given or not is_extension(Path(base).expanduser()):
        return settings
    return replace(settings, lora=replace(settings.lora, save_whole=",".join(ENDS)))


def _check(request: ExtendRequest) -> None:
    if request.count < 0 or (not request.count and not request.specials):
        raise ConfigError(say("extend.nothing_asked"))
    if request.count and not request.corpus:
        raise ConfigError(say("extend.no_corpus"))
    if request.out.exists() and not is_extension(request.out):
        raise ConfigError(say("extend.not_ours", out=request.out))
    if request.out.exists() and not request.force:
        raise ConfigError(say("extend.is_there", out=request.out))
