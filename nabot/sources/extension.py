"""Models with a longer vocabulary. In: a folder that `nabot tokenizer extend` wrote, out: what it says about itself.

FOLDER/extension.json     the model below it, by name and by its weights, and where the new rows begin
FOLDER/rows.safetensors   rows of the embedding, and of the head where it is another weight, for the new tokens alone
FOLDER/tokenizer.json …   the whole tokenizer, old tokens and new

The model below is not copied: its rows and all its layers are read from where it lies.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from nabot.artifacts import read_json, write_json
from nabot.errors import CheckpointError
from nabot.text import say

RECORD = "extension.json"
ROWS = "rows.safetensors"


@dataclass(frozen=True)
class Extension:
    """What extension.json says."""

    base: str  # canonical source of the model below
    base_hash: str
    licence: str
    first_id: int  # of the new tokens; they follow each other

    def write(self, folder: Path) -> None:
        write_json(folder / RECORD, asdict(self))


def is_extension(path: Path) -> bool:
    return (path / RECORD).is_file()


def read_extension(folder: Path) -> Extension:
    """Raises CheckpointError for a damaged one."""
    path = folder / RECORD
    try:
        found = Extension(**read_json(path))
        if {name: type(value) for name, value in asdict(found).items()} != Extension.__annotations__:
            raise TypeError("a field of another type")
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(say("sources.bad_extension", path=path, reason=error)) from error
    return found
