"""A Hugging Face model folder → the parts of its tokenizer. In: a folder, out: TokenizerParts.

tokenizer.json holds the vocabulary, or SentencePiece's tokenizer.model where that is all there is; tokenizer_config.json,
special_tokens_map.json, generation_config.json and chat_template.jinja, where they are there, say which tokens begin, end
and frame a turn.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from nabot.errors import CheckpointError
from nabot.text import say
from nabot.tokenizer.parts import TokenizerParts
from nabot.tokenizer.spm_file import read_spm

_SENTENCEPIECE = "tokenizer.model"
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def read_folder(folder: Path) -> TokenizerParts:
    """Raises CheckpointError if both are missing, or a file is damaged."""
    config = _json_object(folder / "tokenizer_config.json")
    generation = _json_object(folder / "generation_config.json")
    own = _of_sentencepiece(folder, config) if _has_only_sentencepiece(folder) else None
    backend = own.backend if own else _backend(folder)
    named = {
        **(own.named_tokens if own else {}),
        **_named_tokens(_json_object(folder / "special_tokens_map.json"), config),
    }
    eos = backend.token_to_id(named["eos_token"]) if "eos_token" in named else None
    stops = _int_list(generation.get("eos_token_id"))
    return TokenizerParts(
        backend=backend,
        bos_id=backend.token_to_id(named["bos_token"]) if "bos_token" in named else None,
        eos_id=eos if eos is not None else next(iter(stops), None),
        stop_ids=frozenset(stops),
        chat_template=_chat_template(folder, config),
        add_bos=config.get("add_bos_token", own.add_bos if own else None),
        named_tokens=named,
    )


def _backend(folder: Path) -> Backend:
    path = folder / "tokenizer.json"
    if not path.is_file():
        seen = ", ".join(sorted(file.name for file in folder.iterdir())[:8]) or "nothing"
        raise CheckpointError(say("tokenizer.missing", folder=folder, seen=seen))
    try:
        backend = Backend.from_file(str(path))
    except Exception as error:  # `tokenizers` raises plain Exception
        raise CheckpointError(say("tokenizer.damaged", path=path, reason=error)) from error
    backend.no_truncation()  # settings of whoever saved it; a conversation is never cut silently
    backend.no_padding()
    return backend


def _has_only_sentencepiece(folder: Path) -> bool:
    return (folder / _SENTENCEPIECE).is_file() and not (folder / "tokenizer.json").is_file()


def _of_sentencepiece(folder: Path, config: dict[str, Any]) -> TokenizerParts:
    """With the tokens that were added behind the file's own (ChatML's, a padding token), as the config numbers them."""
    parts = read_spm(folder / _SENTENCEPIECE)
    numbered: dict[int, Any] = {
        n: {"content": token} for token, n in _json_object(folder / "added_tokens.json").items()
    }
    numbered |= {int(n): token for n, token in config.get("added_tokens_decoder", {}).items()}
    for n, token in sorted(numbered.items()):
        special = token.get("special", True)
        parts.backend.add_tokens([AddedToken(token["content"], special=special, normalized=False)])
        if parts.backend.token_to_id(token["content"]) != n:
            reason = f"{token['content']!r:.60} is said to have the id {n}"
            raise CheckpointError(say("tokenizer.damaged", path=folder / "tokenizer_config.json", reason=reason))
    return parts


def _json_object(path: Path) -> dict[str, Any]:
    """{} if the file is not there."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(say("tokenizer.damaged", path=path, reason=error)) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            say("tokenizer.damaged", path=path, reason=say("tokenizer.no_object", seen=type(value).__name__))
        )
    return value


def _named_tokens(*sources: dict[str, Any]) -> dict[str, str]:
    """Later sources win; a token is a string, or an object with its `content`."""
    named: dict[str, str] = {}
    for source in sources:
        for name in _NAMED:
            value = source.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str):
                named[name] = text
    return named


def _chat_template(folder: Path, config: dict[str, Any]) -> str | None:
    """chat_template.jinja before the config's; of a list of named templates the one called "default"."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _int_list(value: Any) -> list[int]:
    return (
        [value]
        if isinstance(value, int)
        else [n for n in value if isinstance(n, int)]
        if isinstance(value, list)
        else []
    )
