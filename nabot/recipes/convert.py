"""`nabot pull --convert-meta`: a folder in Meta's layout → a model in the models folder, called meta:NAME. Done once."""

import datetime
import hashlib
import shutil
from pathlib import Path

from nabot.artifacts import new_folder, remove_leftovers, require_space
from nabot.errors import ConfigError
from nabot.models.meta_folder import convert_meta, shard_files
from nabot.sources import Model, Progress
from nabot.sources.licence import UNKNOWN
from nabot.sources.names import META, MetaName, meta_name
from nabot.sources.store import Record, StoredFile, home_for, load_record, lock, model_of, save_record
from nabot.text import say

# beside the weights, or one folder above them, where all sizes of a model share one tokenizer
_TOKENIZER = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def convert_folder(folder: Path, progress: Progress) -> Model:
    """The converted model; a second time it is the same one. Raises ConfigError for a folder that is none of Meta's,
    CheckpointError for what is in it, CapacityError for a disk without room for it twice."""
    folder = folder.expanduser().absolute()
    shards = shard_files(folder)
    if not shards or not (folder / "params.json").is_file():
        seen = ", ".join(sorted(entry.name for entry in folder.glob("*"))[:12]) or say("sources.no_files")
        raise ConfigError(say("meta.not_here", path=folder, seen=seen))
    wanted = MetaName(meta_name(folder.name))
    home, version = home_for(wanted), _version(folder, shards)
    with lock(home, progress):
        record = load_record(home / version)
        if record is None:
            total_bytes = sum(path.stat().st_size for path in shards)
            require_space(home, total_bytes)
            remove_leftovers(home)
            what = say("meta.converting", name=folder)
            progress(0, total_bytes, what)
            with new_folder(home / version) as aside:
                convert_meta(
                    folder, aside, lambda done, total: progress(total_bytes * done // total, total_bytes, what)
                )
                _take_tokenizer(folder, aside)
                record = _record(wanted.name, version, folder, aside)
                save_record(aside, record)
    return model_of(home / version, record, wanted)


def _version(folder: Path, shards: list[Path]) -> str:
    """Another for other files: by params.json, and by the sizes and times of the weights."""
    said = [(folder / "params.json").read_bytes()]
    said += [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}".encode() for path in shards]
    return hashlib.sha256(b"\n".join(said)).hexdigest()[:12]


def _take_tokenizer(folder: Path, out: Path) -> None:
    for name in _TOKENIZER:
        found = next((place / name for place in (folder, folder.parent) if (place / name).is_file()), None)
        if found:
            shutil.copyfile(found, out / name)


def _record(name: str, version: str, folder: Path, out: Path) -> Record:
    return Record(
        source=f"{META}{name}@{version}",
        version=version,
        asked=None,
        path=".",
        licence=UNKNOWN,  # Meta's folders say nothing about it
        files=tuple(StoredFile(file.name, file.stat().st_size, None) for file in sorted(out.iterdir())),
        origin={"folder": str(folder)},
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
    )
