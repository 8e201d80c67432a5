"""SentencePiece's tokenizer.model. In: a file, out: TokenizerParts whose ids equal SentencePiece's own.

The file is a protocol buffer, of which a dozen fields matter; they are read here, without a library for it. Its BPE is
what GGUF calls "llama", so that one rebuilds it; its Unigram is the one of `tokenizers`.
Source: google/sentencepiece, src/sentencepiece_model.proto; protobuf.dev, "Encoding".
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, normalizers
from tokenizers import Tokenizer as Backend
from tokenizers.models import Unigram

from nabot.errors import CheckpointError
from nabot.text import say
from nabot.tokenizer.gguf_vocab import rebuild
from nabot.tokenizer.parts import TokenizerParts

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3  # fields of ModelProto
_TEXT, _SCORE, _KIND = 1, 2, 3  # of a piece
_MODEL_TYPE, _UNK_ID, _BOS_ID, _EOS_ID, _PAD_ID = 3, 40, 41, 42, 43  # of the trainer
_SPACE_BEHIND = 24  # of the trainer: "▁" ends a word
_CHARSMAP, _DUMMY_PREFIX, _FEWER_SPACES, _ESCAPED_SPACES = 2, 3, 4, 5  # of the normalizer
_UNIGRAM, _BPE = 1, 2
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6

Fields = dict[int, Any]  # number → the last value: an int, or bytes


def read_spm(path: Path) -> TokenizerParts:
    """Raises CheckpointError for a file that is damaged, or of a kind that nabot does not know."""
    try:
        return _parts_of(path)
    except CheckpointError:
        raise
    except Exception as error:  # a changed byte leads to errors of many kinds, and `tokenizers` has none of its own
        raise CheckpointError(say("tokenizer.damaged", path=path, reason=error)) from error


def _parts_of(path: Path) -> TokenizerParts:
    pieces, trainer, normalizer = _model(path.read_bytes())
    tokens = [piece.get(_TEXT, b"").decode() for piece in pieces]
    scores = [struct.unpack("<f", piece.get(_SCORE, b"\0\0\0\0"))[0] for piece in pieces]
    kinds = [piece.get(_KIND, _NORMAL) for piece in pieces]
    _check(path, "treat_whitespace_as_suffix", trainer.get(_SPACE_BEHIND, 0), 0)
    _check(path, "escape_whitespaces", normalizer.get(_ESCAPED_SPACES, 1), 1)
    steps = _steps(normalizer)
    kind = trainer.get(_MODEL_TYPE, _UNIGRAM)
    ids = {"unk": trainer.get(_UNK_ID, 0), "bos": trainer.get(_BOS_ID, 1), "eos": trainer.get(_EOS_ID, 2)}
    ids["pad"] = trainer.get(_PAD_ID, -1)
    if kind == _UNIGRAM:
        parts = _unigram(tokens, scores, kinds, ids, bool(normalizer.get(_DUMMY_PREFIX, 1)))
    elif kind == _BPE:
        parts = rebuild(_as_gguf(tokens, scores, kinds, ids, bool(normalizer.get(_DUMMY_PREFIX, 1))), path)
    else:
        raise CheckpointError(say("tokenizer.spm_kind", path=path, kind=kind))
    if steps:
        parts.backend.normalizer = normalizers.Sequence([*steps, parts.backend.normalizer])
    return parts


def _check(path: Path, field: str, seen: int, expected: int) -> None:
    if seen != expected:
        raise CheckpointError(say("models.unsupported_field", path=path, field=field, seen=seen, expected=expected))


def _model(data: bytes) -> tuple[list[Fields], Fields, Fields]:
    pieces: list[Fields] = []
    others: dict[int, Fields] = {_TRAINER: {}, _NORMALIZER: {}}
    for number, value in _fields(data):
        if number == _PIECES:
            pieces.append(dict(_fields(value)))
        elif number in others:
            others[number] = dict(_fields(value))
    if not pieces:
        raise ValueError("no pieces in it")
    return pieces, others[_TRAINER], others[_NORMALIZER]


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a message: numbers as int, all else as its bytes. Raises ValueError, IndexError."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value - (1 << 64) if value >> 63 else value
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"wire type {wire} at byte {at}")
        length, at = _varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
        if at + length > len(data):
            raise ValueError(f"cut off at byte {at}")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Seven bits a byte, lowest first; the eighth says that another follows. (value, where the next thing begins)."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number without an end at byte {at}")


def _steps(normalizer: Fields) -> list[normalizers.Normalizer]:
    """What happens to a text before spaces become "▁"."""
    steps: list[normalizers.Normalizer] = []
    if normalizer.get(_CHARSMAP):
        steps.append(normalizers.Precompiled(normalizer[_CHARSMAP]))
    if normalizer.get(_FEWER_SPACES, 1):
        steps += [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    return steps


def _as_gguf(
    tokens: list[str], scores: list[float], kinds: list[int], ids: dict[str, int], prefixed: bool
) -> dict[str, Any]:
    """As llama.cpp's converter would write it, whose types of tokens are SentencePiece's."""
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": prefixed,
        "tokenizer.ggml.bos_token_id": ids["bos"],
        "tokenizer.ggml.eos_token_id": ids["eos"],
        "tokenizer.ggml.unknown_token_id": ids["unk"],
        "tokenizer.ggml.padding_token_id": ids["pad"],
    }


def _unigram(
    tokens: list[str], scores: list[float], kinds: list[int], ids: dict[str, int], prefixed: bool
) -> TokenizerParts:
    """Marks are never put together out of letters: their score is too low for any path."""
    never = min(scores) - 1000.0
    hidden = (_UNKNOWN, _CONTROL, _BYTE)
    vocabulary = [
        (text, never if kind in hidden else score) for text, score, kind in zip(tokens, scores, kinds, strict=True)
    ]
    backend = Backend(Unigram(vocabulary, ids["unk"], _BYTE in kinds))
    steps: list[normalizers.Normalizer] = [normalizers.Prepend("▁")] if prefixed else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    stripped: list[decoders.Decoder] = [decoders.Strip(" ", 1, 0)] if prefixed else []
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *stripped]
    )
    marks = [n for n, kind in enumerate(kinds) if kind in (_UNKNOWN, _CONTROL, _USER_DEFINED)]
    backend.add_tokens([AddedToken(tokens[n], special=kinds[n] != _USER_DEFINED, normalized=False) for n in marks])
    named = {f"{name}_token": tokens[n] for name, n in ids.items() if 0 <= n < len(tokens)}
    bos, eos = (ids[name] if 0 <= ids[name] < len(tokens) else None for name in ("bos", "eos"))
    return TokenizerParts(backend, bos_id=bos, eos_id=eos, add_bos=bos is not None, named_tokens=named)
