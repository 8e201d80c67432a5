"""Text ↔ token ids. In: a model folder or a .gguf file, out: a `Tokenizer`; its `encode` changes nothing in the text.

People's text never becomes a special token here: it goes through a plain twin (`nabot.tokenizer.plain_twin`) that knows none.
Reading a folder is `nabot.tokenizer.files`, rebuilding a GGUF vocabulary `nabot.tokenizer.gguf_vocab`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer as Backend

from nabot.errors import DataError
from nabot.ggufio import open_gguf
from nabot.text import say
from nabot.tokenizer import plain_twin
from nabot.tokenizer.files import read_folder
from nabot.tokenizer.gguf_vocab import rebuild
from nabot.tokenizer.parts import TokenizerParts
from nabot.tokenizer.token_text import IncrementalDecoder, TokenBytes, decode

# What ends a turn in well-known templates. Counted only where the model's own template writes it.
END_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<|end_of_turn|>", "<end_of_turn>", "<|end|>", "<|eom_id|>")


class Tokenizer:
    """One model's tokenizer. `stop_ids` are the tokens that end an answer: eos and end-of-turn marks."""

    def __init__(self, parts: TokenizerParts) -> None:
        self.backend = parts.backend
        self.bos_id, self.eos_id = parts.bos_id, parts.eos_id
        self.chat_template, self.named_tokens = parts.chat_template, parts.named_tokens
        self.special_tokens = parts.backend.get_added_tokens_decoder()
        self.added_tokens: Mapping[str, int] = {t.content: n for n, t in self.special_tokens.items()}
        self.vocab_size = max(
            self.backend.get_vocab_size(with_added_tokens=True), max(self.special_tokens, default=-1) + 1
        )
        self.stop_ids = self._stop_ids(parts)
        self._marks = frozenset(n for n, token in self.special_tokens.items() if plain_twin.is_mark(token))
        self._prefix, self._suffix = self._around_text(parts)
        self._bytes = TokenBytes(
            parts.backend,
            frozenset(n for n, t in self.special_tokens.items() if t.special),
            {n: t.content for n, t in self.special_tokens.items() if plain_twin.is_mark(t)},  # "▁▁" is two spaces
        )
        self._scheme = plain_twin.prefix_scheme(parts.backend)
        self._plain = plain_twin.plain_twin(parts.backend, self.special_tokens)
        self._bare = self._plain if self._scheme == "none" else plain_twin.without_prefix(self._plain)
        self._strict: tuple[Backend, Backend] | None = None  # made when first needed
        self._encode_short = lru_cache(maxsize=8192)(self._encode_plain)

    @property
    def adds_bos(self) -> bool:
        """True if the model's own tokenizer begins every text with BOS."""
        return self.bos_id is not None and self.bos_id in self._prefix

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Ids of `text` exactly as given; BOS (and EOS) only where the model's own tokenizer adds it.

        `parse_special=True` reads special tokens written in the text, as `tokenizers` does: never for people's text.
        """
        if parse_special:
            inner: Sequence[int] = _ids(self.backend, text)
        else:
            inner = self._encode_plain(text, self._scheme != "none")
        return [*self._prefix, *inner, *self._suffix]

    def encode_piece(self, text: str, *, continues: bool, at_start: bool = False) -> list[int]:
        """Ids of a piece of a longer text, without BOS and without special tokens; for the renderer.

        `continues`: it follows other text, so nothing is put before it. Otherwise it follows a special token, or
        `at_start` begins the whole: then it gets the "▁" that `tokenizers` would put there.
        """
        prefixed = not continues and (self._scheme == "always" or (self._scheme == "first" and at_start))
        return list(self._encode_short(text, prefixed) if len(text) < 256 else self._encode_plain(text, prefixed))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens left out; a character cut in half at the end is left out too."""
        return decode(self._bytes, ids)

    def stream(self) -> IncrementalDecoder:
        """A decoder for tokens as they come: `push(id) -> str`, `finish() -> str`."""
        return IncrementalDecoder(self._bytes)

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes, perhaps not whole characters, that a token stands for; b"" for a special one."""
        return self._bytes[token_id]

    def _encode_plain(self, text: str, prefixed: bool) -> tuple[int, ...]:
        ids = _ids(self._plain if prefixed else self._bare, text)
        if self._marks.isdisjoint(ids):
            return ids
        if self._strict is None:
            strict = plain_twin.strict_twin(self.backend)
            self._strict = strict, plain_twin.without_prefix(strict)
        return _ids(self._strict[0] if prefixed else self._strict[1], text)

    def _stop_ids(self, parts: TokenizerParts) -> frozenset[int]:
        template = parts.chat_template or ""
        turns = {self.added_tokens[t] for t in END_OF_TURN if t in self.added_tokens and t in template}
        return parts.stop_ids | turns | ({self.eos_id} if self.eos_id is not None else set())

    def _around_text(self, parts: TokenizerParts) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the post-processor puts before and after every text."""
        with_special = self.backend.encode("a").ids
        inner = self.backend.encode("a", add_special_tokens=False).ids
        start = next((n for n in range(len(with_special)) if with_special[n : n + len(inner)] == inner), 0)
        before, after = tuple(with_special[:start]), tuple(with_special[start + len(inner) :])
        if parts.add_bos and self.bos_id is not None and self.bos_id not in before:
            before = (self.bos_id, *before)
        if parts.add_bos is False:
            before = tuple(n for n in before if n != self.bos_id)
        return before, after


def load_tokenizer(model: Path) -> Tokenizer:
    """The tokenizer of a .gguf file or of a folder with a tokenizer.json. Raises CheckpointError."""
    return Tokenizer(read_folder(model) if model.is_dir() else rebuild(open_gguf(model).metadata, model))


def _ids(backend: Backend, text: str) -> tuple[int, ...]:
    """Raises DataError on half a surrogate pair, which is no text and reaches us out of broken JSON escapes."""
    try:
        return tuple(backend.encode(text, add_special_tokens=False).ids)
    except TypeError as error:
        half = next((letter for letter in text if "\ud800" <= letter <= "\udfff"), None)
        if half is None:
            raise
        raise DataError(say("tokenizer.half_letter", code=f"{ord(half):04x}", place=text.index(half) + 1)) from error
