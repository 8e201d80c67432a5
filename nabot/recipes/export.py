"""A bot's adapter for other programs. In: a bot's folder and a format, out: a file or folder, re-read before it counts."""

import shutil
from pathlib import Path
from typing import Any

from nabot.adapters import METHODS
from nabot.adapters.peft_files import CONFIG, OWN_TYPE, WEIGHTS, read_adapter
from nabot.artifacts import file_sha256, new_folder, write_file
from nabot.bot import ADAPTER, read_record
from nabot.errors import CheckpointError, ConfigError
from nabot.export.gguf_adapter import is_gguf_adapter, write_gguf_adapter
from nabot.recipes.opening import open_bot
from nabot.sources import Progress, licence_names
from nabot.text import near_names, say

_HELD: dict[str, tuple[str, ...]] = {  # by format: the methods whose adapters it has a layout for
    "gguf-adapter": ("lora",),
    "peft": tuple(method for method in METHODS if method not in ("full", "freeze")),
}


def export(
    bot: Path, form: str, out: Path, *, force: bool = False, base: str = "", progress: Progress | None = None
) -> dict[str, Any]:
    """Writes the adapter of `bot` to `out`: "gguf-adapter", a file for llama.cpp; "peft", a folder for Hugging Face PEFT.

    Where the base's licence wants its terms and a notice passed on, they come along: in the folder, or beside the file.
    The adapter has to fit its base, which is opened for that. Raises ConfigError for a format that is unknown or cannot
    hold the adapter, or if `out` is there: `force` replaces what was exported before, and never anything else.
    """
    if form not in _HELD:
        near, allowed = near_names(form, list(_HELD)), ", ".join(_HELD)
        raise ConfigError(say("settings.bad_choice", key="format", value=form, near=near, allowed=allowed))
    method, kind = read_record(bot).method, str(read_adapter(bot / ADAPTER)[0].get("peft_type"))
    if method not in _HELD[form] or kind.startswith(OWN_TYPE):
        raise ConfigError(say("export.other_method", bot=bot, method=method, form=form, known=", ".join(_HELD[form])))
    beside = _licences(bot)
    _refuse_to_overwrite(out, form, {file.name for file in beside}, force=force)
    opened = open_bot(bot, base=base, progress=progress)
    if form == "peft":
        _copy([bot / ADAPTER / name for name in (CONFIG, WEIGHTS)] + beside, out)
    else:
        write_gguf_adapter(opened.decoder, out)
        for file in beside:
            write_file(out.with_name(f"{out.stem}.{file.name}"), file.read_bytes())
    files = [out] if out.is_file() else list(out.iterdir())
    return {"bot": str(bot), "format": form, "out": str(out), "bytes": sum(file.stat().st_size for file in files)}


def _licences(bot: Path) -> list[Path]:
    """The files that a licence wants to lie beside whatever is made from the bot; often none."""
    return [bot / name for name in licence_names(read_record(bot).base_licence) if (bot / name).is_file()]


def _refuse_to_overwrite(out: Path, form: str, beside: set[str], *, force: bool) -> None:
    if not out.exists():
        return
    if form == "peft":
        is_ours = out.is_dir() and {file.name for file in out.iterdir()} <= {CONFIG, WEIGHTS, *beside}
    else:
        is_ours = is_gguf_adapter(out)
    if not is_ours:
        raise ConfigError(say("export.not_ours", out=out, form=form))
    if not force:
        raise ConfigError(say("export.is_there", out=out))


def _copy(files: list[Path], out: Path) -> None:
    with new_folder(out) as aside:
        for file in files:
            shutil.copyfile(file, aside / file.name)
            if file_sha256(aside / file.name) != file_sha256(file):
                raise CheckpointError(say("export.copy_differs", out=out))
