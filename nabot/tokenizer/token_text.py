"""Token ids → text, as bytes first, so that no character is ever emitted by halves. In: ids, out: text.

`tokenizers` decodes a half character into U+FFFD and, in a vocabulary with byte tokens, spoils the whole run of bytes
around it. Here every token has its bytes, and UTF-8 is decoded incrementally: what is merely incomplete is held back.
"""

import codecs
import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer as Backend

ByteRule = Callable[[str], bytes]  # text of a token in the vocabulary → the bytes it stands for


class TokenBytes:
    """The bytes of every token, and whether the text's first space belongs to the vocabulary rather than to it."""

    def __init__(self, backend: Backend, special_ids: frozenset[int], added: dict[int, str]) -> None:
        self.strips_first_space, self._rule = _rule_of(backend)
        self._backend = backend
        self._bytes: dict[int, bytes] = dict.fromkeys(special_ids, b"")
        for token_id, text in added.items():
            self._bytes.setdefault(token_id, text.encode())

    def __getitem__(self, token_id: int) -> bytes:
        """b"" for special tokens and for ids beyond the vocabulary (padded embedding rows)."""
        known = self._bytes.get(token_id)
        if known is None:
            text = self._backend.id_to_token(token_id)
            known = self._bytes[token_id] = b"" if text is None else self._rule(text)
        return known


class IncrementalDecoder:
    """Text as its tokens arrive. `push` gives what is certain; the pushes and `finish` together equal `decode`."""

    def __init__(self, token_bytes: TokenBytes) -> None:
        self._token_bytes = token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip_next = token_bytes.strips_first_space

    def push(self, token_id: int) -> str:
        """The characters that this token completes; often one, sometimes none."""
        text = self._utf8.decode(self._token_bytes[token_id])
        if self._strip_next and text:
            self._strip_next = False
            text = text.removeprefix(" ")
        return text

    def finish(self) -> str:
        """Ends the text. Half a character that never came whole is dropped, here as in `decode`."""
        self._utf8.reset()
        return ""


def decode(token_bytes: TokenBytes, ids: Iterable[int]) -> str:
    """The text of `ids`; an incomplete character at the end is left out."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(b"".join(token_bytes[i] for i in ids))
    return text.removeprefix(" ") if token_bytes.strips_first_space else text


@lru_cache(maxsize=1)
def bytes_of_letters() -> dict[str, int]:
    """GPT-2's alphabet: the printable letter that stands for each byte.   Source: openai/gpt-2, encoder.py."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _byte_level(token: str) -> bytes:
    letters = bytes_of_letters()
    try:
        return bytes(letters[letter] for letter in token)
    except KeyError:  # not written in that alphabet, as `tokenizers` has it: the token's own text
        return token.encode()


def _sentencepiece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        try:
            return bytes([int(token[3:5], 16)])
        except ValueError:
            pass
    return token.replace("▁", " ").encode()


def _rule_of(backend: Backend) -> tuple[bool, ByteRule]:
    """(the first space is stripped, bytes of a token), from the tokenizer's decoder."""
    steps = _steps(json.loads(backend.decoder.__getstate__())) if backend.decoder is not None else []
    kinds = [step["type"] for step in steps]
    if "ByteLevel" in kinds:
        return False, _byte_level
    if "Metaspace" in kinds:
        scheme = next(step for step in steps if step["type"] == "Metaspace").get("prepend_scheme", "always")
        return scheme != "never", _sentencepiece
    if "ByteFallback" in kinds or "Replace" in kinds:
        return "Strip" in kinds, _sentencepiece
    if backend.decoder is None:
        return False, str.encode
    return False, lambda token: backend.decoder.decode([token]).encode()


def _steps(decoder: dict[str, Any]) -> list[dict[str, Any]]:
    inner = decoder.get("decoders")
    return [step for part in inner for step in _steps(part)] if inner is not None else [decoder]
