"""`hf:org/name[@revision][:file.gguf]` through huggingface_hub. In: a name, out: its record and its folder.

The files stay in huggingface_hub's cache: HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they always mean,
of a download that was cut off the whole files are kept, and a model that another program fetched is not fetched again.
Never fetched: pickles (*.bin, *.pt) and Python. What was asked for is recorded by its commit.
"""

import datetime
import glob
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils.tqdm import tqdm

from nabot.artifacts import explained_disk_errors, file_sha256, require_space
from nabot.errors import CheckpointError, ConfigError, UpstreamError
from nabot.sources.growth import reported_growth
from nabot.sources.hub_errors import explained_hub_errors, is_unreachable
from nabot.sources.licence import licence_of
from nabot.sources.local import model_in
from nabot.sources.model import Progress
from nabot.sources.names import HubName
from nabot.sources.store import Record, StoredFile, find, home_for, lock, records, root_of, save_record
from nabot.sources.wheel import LAYOUT_PATTERNS
from nabot.text import say


def pull_hub(wanted: HubName, progress: Progress) -> tuple[Path, Record]:
    """Downloads what is missing. Raises ConfigError for what is not there or not open to this person, CheckpointError
    for a repository without a model, UpstreamError for a network that fails, CapacityError for a full disk."""
    home = home_for(wanted)
    with lock(home, progress):
        if found := find(wanted):
            return found
        with explained_hub_errors(wanted), explained_disk_errors(Path(constants.HF_HUB_CACHE)):
            commit, files, was_there = _fetch(wanted, progress)
        record = _record(wanted, commit, files, was_there)
        folder = home / (f"{commit}--{wanted.file.replace('/', '--')}" if wanted.file else commit)
        save_record(folder, record)
    return folder, record


def _fetch(wanted: HubName, progress: Progress) -> tuple[str, list[StoredFile], bool]:
    """(commit, files, whether all of them were in the cache before); from the cache if there is no network."""
    try:
        info = huggingface_hub.HfApi().model_info(wanted.repository, revision=wanted.revision, files_metadata=True)
    except Exception as error:
        if is_unreachable(error) and (cached := _cached(wanted)):
            return cached
        raise
    assert info.sha is not None, "the hub always says which commit"
    offered = [StoredFile(s.rfilename, s.size or 0, s.lfs.sha256 if s.lfs else None) for s in info.siblings or []]
    files = choose(wanted, offered)
    was_there = all((_snapshot(wanted, info.sha) / file.name).exists() for file in files)
    _download(wanted, info.sha, files, progress)
    return info.sha, files, was_there


def choose(wanted: HubName, offered: list[StoredFile]) -> list[StoredFile]:
    """The files of the one model: the .gguf asked for; else the layout at the repository's top; else its only .gguf."""
    ggufs = [file for file in offered if file.name.endswith(".gguf")]
    listing = "\n".join(f"  hf:{wanted.repository}:{file.name}" for file in ggufs)
    if wanted.file:
        picked = [file for file in ggufs if file.name == wanted.file]
        if not picked:
            known = listing or say("sources.no_gguf")
            raise ConfigError(say("sources.hub_no_file", name=wanted.repository, file=wanted.file, listing=known))
        return picked
    top = [file for file in offered if "/" not in file.name]
    weights = _weights(top)
    if weights and any(file.name == "config.json" for file in top):
        return weights + [file for file in top if any(fnmatch(file.name, pattern) for pattern in LAYOUT_PATTERNS)]
    if len(ggufs) == 1:
        return ggufs
    if ggufs:
        raise ConfigError(say("sources.hub_several", name=wanted.repository, listing=listing))
    seen = ", ".join(file.name for file in offered[:12]) or say("sources.no_files")
    raise CheckpointError(say("sources.hub_no_model", name=wanted.repository, seen=seen))


def _weights(top: list[StoredFile]) -> list[StoredFile]:
    """Some repositories have their weights twice: as model*.safetensors, and in the layout of their authors' code."""
    weights = [file for file in top if file.name.endswith(".safetensors") and not file.name.startswith("adapter_")]
    return [file for file in weights if file.name.startswith("model")] or weights


def _download(wanted: HubName, commit: str, files: list[StoredFile], progress: Progress) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    snapshot = _snapshot(wanted, commit)
    total_bytes = sum(file.num_bytes for file in files)
    missing = [file for file in files if not (snapshot / file.name).exists()]
    here_bytes = total_bytes - sum(file.num_bytes for file in missing)
    require_space(cache, total_bytes - here_bytes)
    what = say("sources.downloading", name=f"hf:{wanted.repository}")
    with reported_growth(snapshot.parents[1] / "blobs", here_bytes, total_bytes, what, progress):
        huggingface_hub.snapshot_download(
            wanted.repository,
            revision=commit,
            allow_patterns=[glob.escape(file.name) for file in files],
            tqdm_class=_SilentBar,
        )
    _check_hashes(snapshot, missing)


def _check_hashes(snapshot: Path, files: list[StoredFile]) -> None:
    """The hub's client compares sizes alone. All that are others are deleted, or the next pull would find them here."""
    seen = {file: file_sha256(snapshot / file.name) for file in files if file.sha256 is not None}
    others = [file for file in seen if seen[file] != file.sha256]
    for file in others:
        path = snapshot / file.name
        blob = path.resolve()
        path.unlink()
        blob.unlink(missing_ok=True)  # `path` is a link to it, where the system has links
    if others:
        first = others[0]
        raise UpstreamError(say("sources.changed", name=first.name, seen=seen[first], expected=first.sha256))


def _snapshot(wanted: HubName, commit: str) -> Path:
    """Where the cache keeps one commit of the repository."""
    folder = repo_folder_name(repo_id=wanted.repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE).expanduser().absolute() / folder / "snapshots" / commit


def _cached(wanted: HubName) -> tuple[str, list[StoredFile], bool] | None:
    """A whole model in the cache, fetched by whomever; None if there is none or a part is missing."""
    try:
        snapshot = Path(
            huggingface_hub.snapshot_download(wanted.repository, revision=wanted.revision, local_files_only=True)
        )
        offered = [
            StoredFile(file.relative_to(snapshot).as_posix(), file.stat().st_size, None)
            for file in sorted(snapshot.rglob("*"))
            if file.is_file()
        ]
        files = choose(wanted, offered)
        if not wanted.file:
            model_in(snapshot)  # all shards?
    except (OSError, ConfigError, CheckpointError):
        return None
    return snapshot.name, files, True


def _record(wanted: HubName, commit: str, files: list[StoredFile], was_there: bool) -> Record:
    snapshot = _snapshot(wanted, commit)
    path = snapshot / files[0].name if files[0].name.endswith(".gguf") else snapshot
    stored = [StoredFile(file.name, (snapshot / file.name).stat().st_size, file.sha256) for file in files]
    ours = any(record.owned and root_of(folder, record) == snapshot for folder, record in records())
    return Record(
        source=f"hf:{wanted.repository}@{commit}" + (f":{wanted.file}" if wanted.file else ""),
        version=commit,
        asked=wanted.revision,
        path=str(path),
        licence=licence_of(path),
        files=tuple(stored),
        origin={
            "endpoint": constants.ENDPOINT,
            "snapshot": str(snapshot),
            **({"file": wanted.file} if wanted.file else {}),
        },
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        owned=ours or not was_there,
    )


def drop_from_cache(record: Record) -> None:
    """Deletes the commit from the cache, if nabot fetched it and no other record uses it. The record is gone by now."""
    snapshot = record.origin["snapshot"]
    if not record.owned or any(other.origin.get("snapshot") == snapshot for _, other in records()):
        return
    cache = Path(snapshot).parents[2]
    if cache.exists():
        huggingface_hub.scan_cache_dir(cache).delete_revisions(record.version).execute()


class _SilentBar(tqdm):
    """huggingface_hub's own bar, switched off: how a person sees progress is the caller's business."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
