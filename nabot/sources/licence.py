"""Which licence a model has, and whether it allows making money. In: a model's path, out: an SPDX id or "unknown"."""

import re
from pathlib import Path

from nabot.errors import CheckpointError
from nabot.ggufio import open_gguf
from nabot.sources.extension import is_extension, read_extension

UNKNOWN = "unknown"

# SPDX ids that allow commercial use of the weights without a condition beyond naming the authors or sharing alike.
_FREE = (
    "Apache-2.0", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unlicense", "CC0-1.0", "CC-BY-3.0",
    "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "MPL-2.0",
)  # fmt: skip
_SPDX = {licence.lower(): licence for licence in _FREE} | {"bsd": "BSD-3-Clause", "apache2": "Apache-2.0"}
_NO_COMMERCE = re.compile(r"(^|[-_ ])(nc|non-?commercial|research)([-_ ]|$)")


def commercial_use(licence: str) -> bool | None:
    """True: allowed. False: forbidden. None: read the terms (own licences such as Llama's and Gemma's, or unknown)."""
    lower = licence.lower()
    if _NO_COMMERCE.search(lower):
        return False
    return True if lower in _SPDX else None


def spdx(word: str) -> str:
    """apache-2.0 → Apache-2.0; a word that is no SPDX id of the table stays, "other" and nothing become "unknown"."""
    word = word.strip()
    return _SPDX.get(word.lower(), word) if word.lower() not in ("", "other", UNKNOWN) else UNKNOWN


def licence_of(path: Path) -> str:
    """From a GGUF file's metadata, or from the front matter of a folder's README.md; that of the model below."""
    if is_extension(path):
        return read_extension(path).licence
    return _of_gguf(path) if path.is_file() else _of_readme(path / "README.md")


def _of_gguf(path: Path) -> str:
    try:
        file = open_gguf(path)
    except CheckpointError:
        return UNKNOWN  # whoever loads the file explains what is wrong with it
    file.mapped.close()  # now, not when it is collected: Windows does not move a folder with a mapped file
    word = file.metadata.get("general.license")
    return spdx(word) if isinstance(word, str) else UNKNOWN


def _of_readme(readme: Path) -> str:
    """Model cards begin with YAML between two lines of `---`; `license:` is a word, or a list whose first word counts.

    Read without a YAML parser: two keys do not need one.   Source: Hugging Face's model card specification.
    """
    try:
        text = readme.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return UNKNOWN
    front = re.match(r"\ufeff?---\s*\n(.*?)\n---", text, re.DOTALL)
    if front is None:
        return UNKNOWN
    found = {
        key: re.search(rf"^{key}:\s*(?:\n\s*-\s*)?[\"']?([A-Za-z0-9][\w.+-]*)", front[1], re.MULTILINE) for key in _KEYS
    }
    words = [spdx(match[1]) for match in found.values() if match]
    return next((word for word in words if word != UNKNOWN), UNKNOWN)


_KEYS = ("license", "license_name")  # `license: other` puts its name into the second
