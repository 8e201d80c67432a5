"""What a person may want to know once. In: the base that they chose and their locale, out: a line, at most once a machine."""

import contextlib

from nabot.artifacts import write_file
from nabot.cli.output import tell
from nabot.sources import models_folder, registry
from nabot.text import language, say


def hint_at_korean_base(base: str) -> None:
    """Tells people whose system speaks Korean, and who chose a base that does not, that there is one that does."""
    chosen = next((short for short in registry() if base in (short.name, short.source)), None)
    korean = next((short for short in registry() if "ko" in short.language), None)
    if chosen is None or korean is None or "ko" in chosen.language or language() != "ko":
        return
    told = models_folder().parent / "told" / "korean-base"
    if not told.exists():
        tell(say("hint.korean_base", base=base, korean=korean.name))
        with contextlib.suppress(OSError):  # then it is told again
            write_file(told, "")
