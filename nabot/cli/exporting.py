"""`nabot export`, on a terminal. In: flags, out: a file or folder, and how to use it."""

from pathlib import Path

from nabot.cli.output import pulling, put_json, tell
from nabot.text import human_bytes, say


def export_bot(bot: Path, form: str, out: Path, *, base: str, force: bool, as_json: bool) -> None:
    """Writes the adapter and says what reads it."""
    from nabot.recipes.export import export

    with pulling() as progress:
        figures = export(bot, form, out, force=force, base=base, progress=progress)
    if as_json:
        put_json(figures)
        return
    size = human_bytes(figures["bytes"])
    tell(say("export.done_peft", out=out, size=size) if form == "peft" else say("export.done_gguf", out=out, size=size))
