"""Models that are a person's own files. In: a path that exists, out: the model in it, or what is wrong with it."""

import json
from pathlib import Path

from nabot.errors import CheckpointError
from nabot.sources.extension import is_extension
from nabot.text import say

META_WEIGHTS = "consolidated.*.pth"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_MAX_NAMES = 12


def model_in(path: Path) -> Path:
    """`path` itself if it is a .gguf file, or a folder in Hugging Face layout or with a longer vocabulary; the .gguf of a folder with only one.

    Raises CheckpointError for anything else, saying what is there and what would do.
    """
    if path.is_file():
        return _checked_file(path)
    if is_extension(path):
        return path
    ggufs = sorted(path.glob("*.gguf"))
    if (path / "config.json").is_file() and _has_weights(path):
        return path
    if len(ggufs) == 1:
        return ggufs[0]
    if ggufs:
        listing = "\n".join(f"  {file}" for file in ggufs[:_MAX_NAMES])
        raise CheckpointError(say("sources.several_ggufs", path=path, listing=listing))
    raise CheckpointError(_what_is_missing(path))


def weight_files(folder: Path) -> list[Path]:
    """The shards that the folder's index names, or model.safetensors, or every *.safetensors; they need not exist.

    An adapter or another copy beside the model is not the model.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        whole = folder / "model.safetensors"
        return [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(say("sources.bad_index", path=index, reason=error)) from error
    return [folder / name for name in sorted(names)]


def _has_weights(folder: Path) -> bool:
    """Raises CheckpointError if the index names shards that are not there."""
    files = weight_files(folder)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise CheckpointError(say("sources.shards_missing", path=folder, missing=", ".join(missing[:_MAX_NAMES])))
    return bool(files)


def _checked_file(path: Path) -> Path:
    if path.suffix == ".gguf":
        return path
    if path.suffix == ".safetensors" or path.name == "config.json":
        raise CheckpointError(say("sources.name_the_folder", path=path, folder=path.parent))
    raise CheckpointError(say("sources.not_a_model_file", path=path))


def _what_is_missing(folder: Path) -> str:
    """The nearest thing to a model that the folder is."""
    if (folder / "bot.toml").exists():
        return say("sources.is_a_bot", path=folder)
    if (folder / "adapter_config.json").exists():
        return say("sources.is_an_adapter", path=folder)
    if (folder / "params.json").is_file() and any(folder.glob(META_WEIGHTS)):
        return say("sources.meta_folder", path=folder)
    if any(file for pattern in _PICKLES for file in folder.glob(pattern)):
        return say("sources.only_pickles", path=folder)
    names = sorted(entry.name for entry in folder.iterdir())
    return say("sources.not_a_model_folder", path=folder, seen=", ".join(names[:_MAX_NAMES]) or say("sources.no_files"))
