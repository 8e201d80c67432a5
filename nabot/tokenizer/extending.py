"""More tokens for a vocabulary. In: a tokenizer, texts and new special tokens, out: the new tokens, and a folder to load.

Only merges that end in Hangul are added, behind the old ones, so that the ids of every text without Hangul stay as they
are. Each new token knows the old pieces that it stands for; its embedding begins as their mean.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from nabot.artifacts import write_file, write_json
from nabot.errors import ConfigError
from nabot.text import say
from nabot.tokenizer import plain_twin
from nabot.tokenizer.hangul import is_hangul, only_in_hangul
from nabot.tokenizer.merges import Pair, learn_merges
from nabot.tokenizer.token_text import bytes_of_letters
from nabot.tokenizer.tokenizer import Tokenizer

_MOST_WORDS = 300_000  # the most frequent; 8,000 merges are decided long before
_BATCH = 1000  # texts at once
_FEWEST = 2  # times a letter occurs that gets a token of its own
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")

Word = tuple[str, ...]


@dataclass(frozen=True)
class NewToken:
    """`pieces`: ids of the old tokens that stood for it; `pair`: what is joined to it, if it is a merge."""

    text: str  # as the vocabulary writes it
    pieces: tuple[int, ...]
    pair: Pair | None = None
    special: bool = False


def new_tokens(tokenizer: Tokenizer, texts: Sequence[str], count: int, specials: Sequence[str] = ()) -> list[NewToken]:
    """At most `count` tokens for what occurs most in `texts`, then the special ones.

    Raises ConfigError for a vocabulary without merges, and for a special token that is there already or is empty.
    """
    found = _learned(tokenizer, texts, count) if count else []
    there = {**tokenizer.backend.get_vocab(with_added_tokens=True), **{token.text: 0 for token in found}}
    for text in specials:
        if text in there or not text.strip() or specials.count(text) > 1:
            raise ConfigError(say("tokenizer.special_exists", token=text))
    return [*found, *(NewToken(text, tuple(_plain_ids(tokenizer, text)), special=True) for text in specials)]


def extended(tokenizer: Tokenizer, new: Sequence[NewToken]) -> Backend:
    """The same `tokenizers` object with the new tokens, whose ids follow the old ones in their order."""
    recipe = json.loads(tokenizer.backend.to_str())
    vocabulary = recipe["model"]["vocab"]
    # an added token beyond the vocabulary would be counted on from the new end of it
    vocabulary.update({text: n for text, n in tokenizer.added_tokens.items() if text not in vocabulary})
    vocabulary.update({token.text: tokenizer.vocab_size + n for n, token in enumerate(new)})
    recipe["model"]["merges"] += [list(token.pair) for token in new if token.pair]
    grown = Backend.from_str(json.dumps(recipe))
    grown.add_special_tokens([AddedToken(token.text, normalized=False) for token in new if token.special])
    for n, token in enumerate(new):
        assert grown.token_to_id(token.text) == tokenizer.vocab_size + n, token
    return grown


def write_tokenizer(folder: Path, tokenizer: Tokenizer, backend: Backend) -> None:
    """The files that `load_tokenizer` and transformers read: `backend`, with all else as `tokenizer` has it."""
    config: dict[str, Any] = {**tokenizer.named_tokens, "add_bos_token": tokenizer.adds_bos}
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    write_file(folder / "tokenizer.json", backend.to_str())
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "generation_config.json", {"eos_token_id": sorted(tokenizer.stop_ids)})
    if tokenizer.chat_template:
        write_file(folder / "chat_template.jinja", tokenizer.chat_template)


def _learned(tokenizer: Tokenizer, texts: Sequence[str], count: int) -> list[NewToken]:
    model = json.loads(tokenizer.backend.to_str())["model"]
    if model["type"] != "BPE":
        raise ConfigError(say("tokenizer.cannot_extend", kind=model["type"]))
    ids = tokenizer.backend.get_vocab(with_added_tokens=True)
    with_bytes = bool(model.get("byte_fallback"))
    words = _words(tokenizer, texts, with_bytes)
    letters = _new_letters(words, ids, count // 2) if with_bytes else []
    pieces: dict[str, tuple[int, ...]] = {text: (n,) for text, n in ids.items()}
    pieces |= {letter: tuple(ids[f"<0x{byte:02X}>"] for byte in letter.encode()) for letter in letters}
    found = [NewToken(letter, pieces[letter]) for letter in letters]
    known = Counter({word: n for whole, n in words.items() for word in _runs_of(whole, pieces)})
    allowed = cache(_has_hangul if with_bytes else _only_in_hangul)
    for pair in learn_merges(known, pieces, count - len(letters), allowed):
        text = "".join(pair)
        pieces[text] = pieces[pair[0]] + pieces[pair[1]]
        found.append(NewToken(text, pieces[text], pair))
    return found


def _words(tokenizer: Tokenizer, texts: Sequence[str], with_bytes: bool) -> Counter[Word]:
    """What the old merges leave of each word, and how often; with byte tokens, whole letters where bytes stood."""
    twin = plain_twin.plain_twin(tokenizer.backend, tokenizer.special_tokens)
    counts: Counter[Word] = Counter()
    for start in range(0, len(texts), _BATCH):
        for encoding in twin.encode_batch(list(texts[start : start + _BATCH]), add_special_tokens=False):
            pieces = zip(encoding.word_ids, encoding.tokens, strict=True)
            for _, members in groupby(pieces, key=lambda piece: piece[0]):
                word = [token for _, token in members]
                counts.update(_cut_at_spaces(_with_letters(word)) if with_bytes else [tuple(word)])
    return Counter(dict(counts.most_common(_MOST_WORDS)))


def _with_letters(tokens: Iterable[str]) -> Iterator[str]:
    """<0xEA> <0xB0> <0x80> → 가."""
    for is_byte, members in groupby(tokens, key=lambda token: bool(_BYTE_TOKEN.fullmatch(token))):
        if is_byte:
            yield from bytes(int(token[3:5], 16) for token in members).decode("utf-8", "replace")
        else:
            yield from members


def _cut_at_spaces(tokens: Iterable[str]) -> Iterator[Word]:
    """Words for a vocabulary whose text is one long word: each begins with a "▁"."""
    word: list[str] = []
    for token in tokens:
        if token.startswith("▁") and word:
            yield tuple(word)
            word = []
        word.append(token)
    yield tuple(word)


def _new_letters(words: Counter[Word], ids: dict[str, int], most: int) -> list[str]:
    """Hangul that has no token yet, the most frequent first."""
    letters: Counter[str] = Counter()
    for word, times in words.items():
        for piece in word:
            if len(piece) == 1 and piece not in ids and is_hangul(piece):
                letters[piece] += times
    return [letter for letter, times in letters.most_common(most) if times >= _FEWEST]


def _runs_of(word: Word, known: dict[str, tuple[int, ...]]) -> Iterator[Word]:
    """The word without the pieces that are no tokens (letters too rare for one)."""
    for is_known, members in groupby(word, key=known.__contains__):
        if is_known:
            yield tuple(members)


def _has_hangul(text: str) -> bool:
    return any(map(is_hangul, text))


def _only_in_hangul(text: str) -> bool:
    """For text in GPT-2's alphabet of bytes."""
    letters = bytes_of_letters()
    return set(text) <= letters.keys() and only_in_hangul(bytes(letters[letter] for letter in text))


def _plain_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode_piece(text, continues=True)


def tokens_per_character(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """How many tokens a character of these texts costs."""
    characters = sum(map(len, texts))
    tokens = sum(len(tokenizer.encode_piece(text, continues=False, at_start=True)) for text in texts)
    return tokens / characters if characters else 0.0
