"""Text as its tokens arrive: never half a character, nothing lost, wherever the tokens are cut."""

import random
import unicodedata
from functools import cache

import pytest
from small_tokenizers import byte_level, sentencepiece
from token_strings import COMBINED, EMOJI

from nabot.tokenizer import Tokenizer
from nabot.tokenizer.parts import TokenizerParts
from nabot.tokenizer.token_text import bytes_of_letters

KINDS = {"byte_level": byte_level, "sentencepiece": lambda: sentencepiece("first")}
LONGEST = 9  # bytes of a piece


def hangul(rng: random.Random) -> str:
    return chr(rng.randint(0xAC00, 0xD7A3))


DRAWN = (
    hangul,
    lambda rng: unicodedata.normalize("NFD", hangul(rng)),
    lambda rng: rng.choice(EMOJI) + "\u200d" + rng.choice(EMOJI),
    lambda rng: rng.choice("aeo각ก") + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(rng.randint(1, 4))),
    lambda rng: rng.choice(COMBINED),
    lambda rng: rng.choice(["\u3131", "\uff21", "\uffa1", " ", "\n", "a", "\u0000", "\U0010ffff"]),
    lambda rng: chr(rng.choice([*range(0x80), *range(0x4E00, 0x4E80), *range(0x1F300, 0x1F380)])),
)


def drawn(rng: random.Random) -> str:
    return "".join(rng.choice(DRAWN)(rng) for _ in range(rng.randint(0, 24)))


@cache
def tokenizer_and_ids(kind: str) -> tuple[Tokenizer, dict[bytes, int]]:
    """The tokenizer, and the token of each sequence of bytes that has one; every single byte does."""
    tokenizer = Tokenizer(TokenizerParts(KINDS[kind]()))
    of_bytes = {tokenizer.token_bytes(n): n for n in range(tokenizer.vocab_size)}
    assert {bytes([byte]) for byte in bytes_of_letters().values()} <= of_bytes.keys()
    return tokenizer, of_bytes


def cut_anywhere(data: bytes, of_bytes: dict[bytes, int], rng: random.Random) -> list[int]:
    """Tokens for pieces of any length, cut inside characters as well: where a piece has no token, its bytes."""
    ids: list[int] = []
    while data:
        length = rng.randint(1, LONGEST)
        piece, data = data[:length], data[length:]
        ids += [of_bytes[piece]] if piece in of_bytes else [of_bytes[bytes([byte])] for byte in piece]
    return ids


def check(kind: str, count: int, seed: int) -> None:
    rng = random.Random(seed)
    tokenizer, of_bytes = tokenizer_and_ids(kind)
    begins = " " if kind == "sentencepiece" else ""  # the space that its vocabulary puts before a text, and takes off
    for _ in range(count):
        text = drawn(rng)
        ids = cut_anywhere((begins + text).encode(), of_bytes, rng)
        stream = tokenizer.stream()
        pieces = [*map(stream.push, ids), stream.finish()]
        assert "".join(pieces) == text == tokenizer.decode(ids)
        assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_every_character_is_streamed_whole(kind: str) -> None:
    check(kind, 500, seed=41)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_character_of_ten_thousand_texts_is_streamed_whole(kind: str) -> None:
    check(kind, 10_000, seed=42)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_cut_off_inside_a_character_ends_before_it(kind: str) -> None:
    tokenizer, of_bytes = tokenizer_and_ids(kind)
    for cut in range(1, 3):
        stream = tokenizer.stream()
        ids = [of_bytes[bytes([byte])] for byte in "a가".encode()[: 1 + cut]]
        assert "".join([*map(stream.push, ids), stream.finish()]) == "a"
