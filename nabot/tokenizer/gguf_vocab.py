"""The vocabulary in a GGUF header, rebuilt. In: metadata, out: TokenizerParts whose ids equal llama.cpp's.

Two kinds are known: "gpt2" (byte-level BPE: merges, and a pre-tokenizer by name) and "llama" (SentencePiece BPE:
scores instead of merges). A pre-tokenizer that is not known is refused: with another one a fifth of real texts gets
other ids than the model was trained on, and nothing would show it.   Source: ggml-org/llama.cpp, src/llama-vocab.cpp.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, normalizers
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE

from nabot.errors import CheckpointError
from nabot.text import nearest, say
from nabot.tokenizer.parts import TokenizerParts
from nabot.tokenizer.pretokenizers import PRE_TOKENIZERS, Pre
from nabot.tokenizer.token_text import bytes_of_letters

_UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 2, 3, 4, 6  # tokenizer.ggml.token_type
_MARKS = (_UNKNOWN, _CONTROL, _USER_DEFINED)
_NAMED = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "sep_token": "tokenizer.ggml.seperator_token_id",  # spelled so in the format
    "pad_token": "tokenizer.ggml.padding_token_id",
}
_OTHER_STOPS = ("tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")


def rebuild(metadata: Mapping[str, Any], path: Path) -> TokenizerParts:
    """Raises CheckpointError on a kind or pre-tokenizer that is not known, and on a damaged vocabulary."""
    tokens = _checked_tokens(metadata, path)
    kind = metadata.get("tokenizer.ggml.model")
    if kind == "gpt2":
        pre = _pre_tokenizer(metadata, path)
        backend, adds_bos = _byte_level(metadata, tokens, pre, path), pre.add_bos
    elif kind == "llama":
        backend, adds_bos = _sentencepiece(metadata, tokens, path), True
    else:
        raise CheckpointError(say("tokenizer.gguf_kind", path=path, kind=kind))
    backend.add_tokens(_added(metadata, tokens))
    ids = {name: metadata[key] for name, key in _NAMED.items() if 0 <= metadata.get(key, -1) < len(tokens)}
    return TokenizerParts(
        backend=backend,
        bos_id=ids.get("bos_token"),
        eos_id=ids.get("eos_token"),
        stop_ids=frozenset(metadata[key] for key in _OTHER_STOPS if 0 <= metadata.get(key, -1) < len(tokens)),
        chat_template=metadata.get("tokenizer.chat_template"),
        add_bos=bool(metadata.get("tokenizer.ggml.add_bos_token", adds_bos)),
        named_tokens={name: tokens[token_id] for name, token_id in ids.items()},
    )


def _checked_tokens(metadata: Mapping[str, Any], path: Path) -> list[str]:
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise CheckpointError(say("tokenizer.gguf_no_tokens", path=path))
    if len(set(tokens)) != len(tokens):
        raise CheckpointError(say("tokenizer.damaged", path=path, reason=say("tokenizer.twice")))
    for key in ("tokenizer.ggml.token_type", "tokenizer.ggml.scores"):
        if key in metadata and len(metadata[key]) != len(tokens):
            reason = f"{len(metadata[key])} values in {key}, expected one for each of {len(tokens)} tokens"
            raise CheckpointError(say("tokenizer.damaged", path=path, reason=reason))
    return tokens


def _pre_tokenizer(metadata: Mapping[str, Any], path: Path) -> Pre:
    name = metadata.get("tokenizer.ggml.pre", "default")
    if name not in PRE_TOKENIZERS:
        known = sorted(PRE_TOKENIZERS)
        near = ", ".join(nearest(str(name), known)) or "-"
        raise CheckpointError(say("tokenizer.gguf_pre", path=path, pre=name, known=", ".join(known), near=near))
    return PRE_TOKENIZERS[name]


def _byte_level(metadata: Mapping[str, Any], tokens: list[str], pre: Pre, path: Path) -> Backend:
    merges = _checked_merges(metadata, set(tokens), path)
    backend = Backend(_bpe(tokens, merges, ignore_merges=pre.ignore_merges))
    known = set(tokens)
    backend.pre_tokenizer = pre.build("".join(letter for letter in bytes_of_letters() if letter not in known))
    backend.decoder = decoders.ByteLevel()
    return backend


def _checked_merges(metadata: Mapping[str, Any], known: set[str], path: Path) -> list[tuple[str, str]]:
    merges = []
    for merge in metadata.get("tokenizer.ggml.merges", ()):
        left, _, right = merge.partition(" ")
        if left not in known or right not in known or left + right not in known:
            raise CheckpointError(say("tokenizer.damaged", path=path, reason=say("tokenizer.bad_merge", merge=merge)))
        merges.append((left, right))
    return merges


def _sentencepiece(metadata: Mapping[str, Any], tokens: list[str], path: Path) -> Backend:
    scores = metadata.get("tokenizer.ggml.scores")
    if not scores:
        raise CheckpointError(say("tokenizer.damaged", path=path, reason=say("tokenizer.no_scores")))
    kinds = metadata.get("tokenizer.ggml.token_type", [1] * len(tokens))
    unknown = next((tokens[n] for n, kind in enumerate(kinds) if kind == _UNKNOWN), None)
    merges = _merges_of_scores(tokens, scores, kinds)
    backend = Backend(_bpe(tokens, merges, byte_fallback=True, fuse_unk=True, unk_token=unknown))
    prefixed = metadata.get("tokenizer.ggml.add_space_prefix", True)
    steps: list[normalizers.Normalizer] = [normalizers.Prepend("▁")] if prefixed else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    stripped: list[decoders.Decoder] = [decoders.Strip(" ", 1, 0)] if prefixed else []
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *stripped]
    )
    return backend


def _merges_of_scores(tokens: list[str], scores: list[float], kinds: list[int]) -> list[tuple[str, str]]:
    """Every way to put a token together from two others, best score first: what SentencePiece does while it encodes.

    Marks (control, unknown, user defined) and bytes are never put together out of letters: "<0x0A>" that somebody
    types is no line break. Here nabot differs from llama.cpp, on purpose.
    """
    letters = {text for text, kind in zip(tokens, kinds, strict=True) if kind not in (*_MARKS, _BYTE)}
    ranked = sorted((-score, n) for n, score in enumerate(scores) if tokens[n] in letters and len(tokens[n]) > 1)
    return [
        (text[:cut], text[cut:])
        for _, n in ranked
        for text in (tokens[n],)
        for cut in range(1, len(text))
        if text[:cut] in letters and text[cut:] in letters
    ]


def _bpe(tokens: list[str], merges: list[tuple[str, str]], **options: Any) -> BPE:
    return BPE(vocab={text: n for n, text in enumerate(tokens)}, merges=merges, **options)


def _added(metadata: Mapping[str, Any], tokens: list[str]) -> list[AddedToken]:
    kinds = metadata.get("tokenizer.ggml.token_type", ())
    # Gemma's runs of spaces are written with "▁", so they are looked for behind the normalizer; one that puts a "▁"
    # before a text would put it before the token, too
    spaced = metadata.get("tokenizer.ggml.model") == "llama" and not metadata.get(
        "tokenizer.ggml.add_space_prefix", True
    )
    return [
        AddedToken(tokens[n], special=kind != _USER_DEFINED, normalized=spaced and kind == _USER_DEFINED)
        for n, kind in enumerate(kinds)
        if kind in _MARKS and tokens[n]
    ]
