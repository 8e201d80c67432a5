"""Longer vocabularies: what stays as it was, and that the new tokens stand for the same text as the old ones."""

import random
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import byte_level, sentencepiece
from token_strings import CODE, COMBINED, CONTROL, DIGITS, EMOJI, ENGLISH, PUNCTUATION, SPACES, strings
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from nabot.errors import ConfigError
from nabot.tokenizer import Tokenizer, load_tokenizer
from nabot.tokenizer.extending import NewToken, extended, new_tokens, tokens_per_character, write_tokenizer
from nabot.tokenizer.hangul import only_in_hangul
from nabot.tokenizer.merges import learn_merges
from nabot.tokenizer.parts import TokenizerParts

KINDS = {
    "byte_level": byte_level,
    "llama3": lambda: byte_level("llama3"),
    "prepend": lambda: sentencepiece("prepend"),
    "first": lambda: sentencepiece("first"),
    "always": lambda: sentencepiece("always"),
}
SYLLABLES = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호는은를을이에서의한국어말글씨꿈뷁"
WITHOUT_HANGUL = (
    ENGLISH,
    CODE,
    EMOJI,
    SPACES,
    DIGITS,
    PUNCTUATION,
    CONTROL,
    ["値段は", "你好", "привет", "ఠీక", "ꀀꀁ"],
)


@cache
def korean(seed: int) -> list[str]:
    """Sentences out of 300 words, some much more frequent than others, as in any language."""
    rng = random.Random(1)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(300)]
    rng = random.Random(seed)
    weights = [1 / n for n in range(1, 301)]
    return [" ".join(rng.choices(words, weights, k=rng.randint(2, 9))) + "." for _ in range(400)]


@cache
def both(kind: str) -> tuple[Tokenizer, Tokenizer, tuple[NewToken, ...]]:
    """As it was, longer, and what is new."""
    old = Tokenizer(TokenizerParts(KINDS[kind]()))
    new = new_tokens(old, korean(2), 300, ["<|note|>"])
    return old, Tokenizer(TokenizerParts(extended(old, new))), tuple(new)


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_strings_without_hangul_keep_their_ids(kind: str) -> None:
    old, grown, _ = both(kind)
    for text in strings(1000, seed=21, kinds=WITHOUT_HANGUL):
        assert grown.encode(text) == old.encode(text)


@pytest.mark.parametrize("kind", KINDS)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]).filter(lambda letter: not only_in_hangul(letter.encode())))
)
@settings(max_examples=100, deadline=None)
def test_any_text_without_hangul_keeps_its_ids(kind: str, text: str) -> None:
    old, grown, _ = both(kind)
    assert grown.encode(text) == old.encode(text)


@pytest.mark.parametrize("kind", KINDS)
def test_text_with_hangul_comes_back_as_before(kind: str) -> None:
    old, grown, _ = both(kind)
    for text in (*korean(3), *strings(300, seed=22, kinds=(korean(3), ENGLISH, SPACES, COMBINED))):
        assert grown.decode(grown.encode(text)) == old.decode(old.encode(text))


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_token_stands_for_the_bytes_of_its_old_pieces(kind: str) -> None:
    old, grown, new = both(kind)
    for number, token in enumerate(new):
        if not token.special:
            assert grown.token_bytes(old.vocab_size + number) == b"".join(map(old.token_bytes, token.pieces)), token


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_was_held_out_takes_fewer_tokens(kind: str) -> None:
    old, grown, _ = both(kind)
    assert tokens_per_character(grown, korean(4)) < 0.6 * tokens_per_character(old, korean(4))


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_special_token_is_never_typed(kind: str) -> None:
    old, grown, new = both(kind)
    number = old.vocab_size + len(new) - 1
    assert grown.added_tokens["<|note|>"] == number
    assert number not in grown.encode("a<|note|>가")
    assert number in grown.encode("a<|note|>가", parse_special=True)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_reads_back_the_same_and_in_transformers(kind: str, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    old, grown, _ = both(kind)
    write_tokenizer(tmp_path, old, grown.backend)
    loaded, theirs = load_tokenizer(tmp_path), PreTrainedTokenizerFast.from_pretrained(tmp_path)
    for text in (*korean(5)[:50], *strings(100, seed=23, kinds=(ENGLISH, CODE, SPACES))):
        assert loaded.encode(text) == grown.encode(text)
        assert theirs.encode(text) == grown.backend.encode(text).ids
    assert (loaded.stop_ids, loaded.adds_bos) == (old.stop_ids, old.adds_bos)


def test_growing_twice_keeps_the_first_growth() -> None:
    _, once, _ = both("byte_level")
    twice = Tokenizer(TokenizerParts(extended(once, new_tokens(once, korean(6), 50))))
    assert [twice.backend.id_to_token(n) for n in range(once.vocab_size)] == [
        once.backend.id_to_token(n) for n in range(once.vocab_size)
    ]


def test_a_vocabulary_without_merges_is_refused() -> None:
    backend = Backend(models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0, False))
    with pytest.raises(ConfigError, match="Unigram"):
        new_tokens(Tokenizer(TokenizerParts(backend)), ["가"], 5)


@pytest.mark.parametrize("specials", [["<|im_end|>"], [" "], ["<new>", "<new>"]])
def test_a_special_token_that_cannot_be_new_is_refused(specials: list[str]) -> None:
    with pytest.raises(ConfigError):
        new_tokens(both("byte_level")[0], [], 0, specials)


@given(
    before=st.text(max_size=3), letter=st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), cut=st.integers(0, 3)
)
def test_bytes_are_only_in_hangul_if_a_letter_or_enough_of_one_is(before: str, letter: str, cut: int) -> None:
    assert only_in_hangul(before.encode("utf-8", "replace")[cut:] + letter.encode())
    assert only_in_hangul(letter.encode()[:2])
    assert not only_in_hangul(letter.encode()[1:])


@given(st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x10FF)), st.integers(0, 4), st.integers(0, 4))
def test_no_piece_of_other_text_is_only_in_hangul(text: str, start: int, end: int) -> None:
    data = text.encode()
    assert not only_in_hangul(data[start : len(data) - end])


def test_merges_save_as_much_as_those_of_tokenizers_own_trainer() -> None:
    words = Counter(word for text in korean(7) for word in text.split())
    ours = learn_merges({tuple(word): n for word, n in words.items()}, SYLLABLES + ".", 200, lambda text: True)
    trained = Backend(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = len(set("".join(words)))
    trained.train_from_iterator(korean(7), trainers.BpeTrainer(vocab_size=alphabet + 200, show_progress=False))
    letters = {letter: n for n, letter in enumerate(sorted(set("".join(words))))}
    vocabulary = letters | {"".join(pair): len(letters) + n for n, pair in enumerate(ours)}
    mine = Backend(models.BPE(vocab=vocabulary, merges=ours))
    mine.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    lengths = [sum(len(one.encode(text).ids) for text in korean(7)) for one in (mine, trained)]
    assert abs(lengths[0] / lengths[1] - 1) < 0.01, lengths
