"""What a model's files say about its tokenizer. `tokenizer_files` and `gguf_vocab` make it, `tokenizer` uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenizers import Tokenizer as Backend


@dataclass(frozen=True)
class TokenizerParts:
    """What the files say; ids that they leave out are None."""

    backend: Backend
    bos_id: int | None = None
    eos_id: int | None = None
    stop_ids: frozenset[int] = frozenset()  # beside eos
    chat_template: str | None = None
    add_bos: bool | None = None  # None: as the post-processor has it
    named_tokens: Mapping[str, str] = field(default_factory=dict)  # "bos_token" → "<s>", for templates
