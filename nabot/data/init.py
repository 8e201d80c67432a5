"""An annotated example to start from. In: a folder's name, out: conversations, facts, an exam and a README in it."""

from importlib import resources
from pathlib import Path

from nabot.artifacts import write_file
from nabot.errors import ConfigError
from nabot.text import say

_NAMES_SHOWN = 3


def write_starter(folder: Path, *, force: bool = False) -> list[Path]:
    """Copies the example into `folder` and returns the files written; only files of the same names are replaced.

    Raises ConfigError if the folder holds something (unless `force`), or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(say("data.starter_is_file", folder=folder))
    there = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    if there and not force:
        seen = ", ".join(there[:_NAMES_SHOWN]) + (", …" if len(there) > _NAMES_SHOWN else "")
        raise ConfigError(say("data.starter_not_empty", folder=folder, seen=seen))
    written = []
    for name, content in starter_files().items():
        write_file(folder / name, content)
        written.append(folder / name)
    return written


def starter_files() -> dict[str, bytes]:
    """The example's files by name, as they lie in the package."""
    place = resources.files("nabot") / "demo" / "starter"
    files = sorted((entry for entry in place.iterdir() if entry.is_file()), key=lambda entry: entry.name)
    return {entry.name: entry.read_bytes() for entry in files if not entry.name.startswith(("_", "."))}
