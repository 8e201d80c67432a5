"""Tokenizers that know no special token. In: a model's `tokenizers` object, out: twins that share its vocabulary.

People's text is encoded by a *plain* twin, so that nothing typed becomes a role or an end token. Where a vocabulary
puts a "▁" before a text (SentencePiece's way), a second twin without it encodes text that continues other text.
Added tokens of white space alone (GPT-NeoX and Gemma have them for indentation) are letters, not marks: they stay.
"""

import json
import uuid
from typing import Any, Literal

from tokenizers import AddedToken, Tokenizer

PrefixScheme = Literal["none", "first", "always"]  # a "▁" before: nothing · the whole text · every piece


def is_mark(token: AddedToken) -> bool:
    """True for what must never come out of people's text."""
    return token.special or bool(token.content.replace("▁", "").strip())


def plain_twin(backend: Tokenizer, added: dict[int, AddedToken]) -> Tokenizer:
    """The same normalizer, pre-tokenizer and model, without the marks among the added tokens."""
    if any(not is_mark(token) for token in added.values()):
        return Tokenizer.from_str(json.dumps(_without_added_marks(json.loads(backend.to_str()), hide=False)))
    twin = Tokenizer(backend.model)  # shared, not copied: no second vocabulary in memory
    twin.normalizer, twin.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    return twin


def strict_twin(backend: Tokenizer) -> Tokenizer:
    """A plain twin whose vocabulary itself has no marks: for words that merge into one, or equal one letter by letter.

    The unknown token remains, as some vocabularies need it for rare letters. It costs a copy of the vocabulary and
    half a second, so it is made when a plain twin first gives a mark's id.
    """
    return Tokenizer.from_str(json.dumps(_without_added_marks(json.loads(backend.to_str()), hide=True)))


def prefix_scheme(backend: Tokenizer) -> PrefixScheme:
    """When this tokenizer puts a "▁" (or a space) before a piece of text."""
    for step in (*_steps(backend.normalizer), *_steps(backend.pre_tokenizer)):
        if step["type"] == "Prepend" or (step["type"] == "ByteLevel" and step.get("add_prefix_space")):
            return "always"
        if step["type"] == "Metaspace":
            scheme: str = step.get("prepend_scheme", "always")
            return "first" if scheme == "first" else "none" if scheme == "never" else "always"
    return "none"


def without_prefix(twin: Tokenizer) -> Tokenizer:
    """The twin that puts nothing before a piece of text."""
    recipe = _empty_recipe() | {
        "normalizer": _unprefixed(_state(twin.normalizer)),
        "pre_tokenizer": _unprefixed(_state(twin.pre_tokenizer)),
    }
    parts = Tokenizer.from_str(json.dumps(recipe))
    bare = Tokenizer(twin.model)
    if parts.normalizer is not None:
        bare.normalizer = parts.normalizer
    if parts.pre_tokenizer is not None:
        bare.pre_tokenizer = parts.pre_tokenizer
    kept = [token for _, token in sorted(twin.get_added_tokens_decoder().items())]
    bare.add_tokens(kept)  # in the order of their ids, which gives them the same ids again
    return bare


def _without_added_marks(recipe: dict[str, Any], hide: bool) -> dict[str, Any]:
    """The tokenizer.json without its marks. `hide` also takes them out of the model's vocabulary."""
    vocabulary = recipe["model"].get("vocab", {})
    names = set(vocabulary) if isinstance(vocabulary, dict) else {entry[0] for entry in vocabulary}
    kept, marks = [], set()
    for entry in recipe["added_tokens"]:
        mark = entry["special"] or bool(entry["content"].replace("▁", "").strip())
        marks |= {entry["content"]} if mark else set()
        if not mark:
            kept.append(entry)
        elif entry["content"] not in names:  # keeps its place, since ids beyond the vocabulary are counted up
            kept.append(entry | {"content": _unreachable(entry["id"])})
    if hide:
        _hide(recipe["model"], marks)
    return recipe | {"added_tokens": kept, "post_processor": None, "truncation": None, "padding": None}


def _hide(model: dict[str, Any], marks: set[str]) -> None:
    vocabulary = model.get("vocab", {})
    if isinstance(vocabulary, list):  # Unigram: an id is a place in the list, so the piece must stay under another name
        model["vocab"] = [
            [_unreachable(n) if text in marks else text, score] for n, (text, score) in enumerate(vocabulary)
        ]
        return
    unknown = model.get("unk_token")  # stays for letters that the vocabulary lacks, but is not put together from others
    model["vocab"] = {text: n for text, n in vocabulary.items() if text not in marks or text == unknown}
    if "merges" in model:
        model["merges"] = [pair for pair in map(_pair, model["merges"]) if not {*pair, "".join(pair)} & marks]


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def _unreachable(number: int) -> str:
    return f"\U0010ffff{uuid.uuid4().hex}-{number}"  # nobody can type what is drawn at every start


def _state(part: Any) -> dict[str, Any] | None:
    return None if part is None else json.loads(part.__getstate__())


def _steps(part: Any) -> list[dict[str, Any]]:
    state = part if isinstance(part, dict) else _state(part)
    if state is None:
        return []
    inner = state.get("normalizers") or state.get("pretokenizers")
    return [step for child in inner for step in _steps(child)] if inner else [state]


def _unprefixed(state: dict[str, Any] | None) -> dict[str, Any] | None:
    if state is None or state["type"] == "Prepend":
        return None
    for key in ("normalizers", "pretokenizers"):
        if key in state:
            children = [_unprefixed(child) for child in state[key]]
            return state | {key: [child for child in children if child is not None]}
    if state["type"] == "Metaspace":
        return state | {"prepend_scheme": "never"}
    return state | {"add_prefix_space": False} if state["type"] == "ByteLevel" else state


def _empty_recipe() -> dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    }
