"""Other programs' files → conversation, preference and passage files. In: paths, out: files that are whole, and a report.

Everything streams: an item is written when it is read, into files that appear when all is done.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from nabot.data.encoding import beginning, open_for_reading
from nabot.data.faults import FAULTS_LISTED, Fault, excerpt, listing
from nabot.data.imports.documents.reader import DocumentReader
from nabot.data.imports.outputs import Outputs, require_new
from nabot.data.imports.registry import FOLDER_READERS, READERS, reader_named, reader_of
from nabot.data.imports.report import KINDS, MASKED, FileReport, ImportReport
from nabot.data.imports.types import Asked, Changed, Dropped, Format, Item, Reader
from nabot.data.masking import Mask
from nabot.errors import ConfigError, DataError
from nabot.text import near_names, say, tallied

HEAD_BYTES = 64 << 10
COLUMNS = ("question", "answer", "context", "system", "chosen", "rejected", "messages", "tools")


@dataclass(frozen=True)
class ImportRequest:
    """What the person asked for. Without a place of their own, preferences and passages go beside `out`."""

    paths: Sequence[Path]
    out: Path
    preferences: Path | None = None
    passages: Path | None = None
    format: str = ""  # the name of a reader or layout; "": found by looking
    asked: Asked = field(default_factory=Asked)
    force: bool = False
    mask: bool = False  # personal data becomes placeholders, and what was masked a list beside `out`

    def place_of(self, kind: str) -> Path:
        """Where items of this kind are written."""
        beside = self.out.with_name(f"{self.out.stem}.{kind}{self.out.suffix}")
        given = {"conversations": self.out, "preferences": self.preferences, "passages": self.passages}
        return given.get(kind) or beside


def import_files(request: ImportRequest, on_file: Callable[[FileReport], None] = lambda _: None) -> ImportReport:
    """Reads everything; `on_file` hears of each file when it is done.

    Raises ConfigError for a setting, DataError for input that cannot be used; then nothing is written.
    """
    _require_settings(request)
    jobs = list({job.path.resolve(): job for job in _jobs(request)}.values())  # a file named twice is read once
    report = ImportReport(masks=request.mask)
    with ExitStack() as stack:
        out = Outputs(request.place_of, stack)
        for job in jobs:
            if found := _run(job, request.asked, out, report):
                on_file(found)
        report.written, report.places = out.counts, out.places
        if not report.written:
            raise DataError(_nothing(request.paths, report))
    return report


def _nothing(paths: Sequence[Path], report: ImportReport) -> str:
    """Why there is nothing to write."""
    files = ", ".join(map(str, paths))
    dropped = tallied(report.dropped.most_common())
    found = "\n".join([*report.passed_over[:FAULTS_LISTED], *filter(None, [listing(report.faults)])])
    return say("import.nothing", files=files, dropped=dropped or say("data.nothing"), found=found).rstrip()


@dataclass(frozen=True)
class _Job:
    """A file, or a folder that is one export, and who reads it."""

    path: Path
    reader: Reader | None  # None: looked for when its turn comes
    in_folder: bool = False  # the person did not name it, so it may be passed over


def _require_settings(request: ImportRequest) -> None:
    for column in request.asked.columns:
        if column not in COLUMNS:
            near, known = near_names(column, COLUMNS), ", ".join(COLUMNS)
            raise ConfigError(say("import.unknown_column", seen=column, near=near, known=known))
    require_new([request.out], request.paths, force=request.force)  # first: beside "." there is nothing
    kinds = (*KINDS, MASKED) if request.mask else KINDS
    require_new([request.place_of(kind) for kind in kinds], request.paths, force=request.force)


def _jobs(request: ImportRequest) -> Iterator[_Job]:
    """Raises DataError for a file that was named and that no reader takes, ConfigError for flags that it has no use for."""
    named = reader_named(request.format) if request.format else None
    folder_readers = tuple(reader for reader in FOLDER_READERS if named in (None, reader))
    written = [request.place_of(kind).resolve() for kind in (*KINDS, MASKED)]
    for path in request.paths:
        if not path.is_dir():
            reader = named or _reader_of(path)
            _require_use(path, reader, request.asked)
            yield _Job(path, reader)
        elif whole := reader_of(path, b"", readers=folder_readers):
            yield _Job(path, whole)
        else:
            files = [file for file in files_in(path) if file.resolve() not in written]  # of the last time
            if not files:
                raise DataError(say("import.empty_folder", path=path))
            yield from (_Job(file, named, in_folder=True) for file in files)


def _require_use(path: Path, reader: Reader, asked: Asked) -> None:
    """Raises ConfigError for what was said of a document that can only be said of tables and chats."""
    flags = [flag for flag, value in (("--map", asked.columns), ("--assistant", asked.assistant)) if value]
    if flags and isinstance(reader, DocumentReader):
        fields = {"format": reader.name, "flags": " ".join(flags)}
        raise ConfigError(say("import.not_for_documents", path=path, **fields))


def files_in(folder: Path) -> Iterator[Path]:
    """All files below it, in the order of their names, but for hidden ones."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _reader_of(path: Path) -> Reader:
    with open_for_reading(path) as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise DataError(say("data.empty", path=path, size=0))
    reader = reader_of(path, head)
    if reader is None:
        known = ", ".join(reader.name for reader in READERS)
        seen = excerpt(head[:8] if b"\0" in head else beginning(head))
        raise DataError(
            say("import.zip" if head.startswith(b"PK") else "import.unknown", path=path, seen=seen, known=known)
        )
    return reader


def _read(job: _Job, asked: Asked) -> Iterator[Item]:
    reader = job.reader or _reader_of(job.path)
    yield Format(reader.name)
    yield from reader.read(job.path, asked)


def _run(job: _Job, asked: Asked, out: Outputs, report: ImportReport) -> FileReport | None:
    """Reads one file; None if it was passed over."""
    found = FileReport(str(job.path), "")
    mask = Mask() if report.masks else None
    if mask:
        asked = replace(asked, on_people=mask.learn_names)
    row = ("", 0)
    try:
        for item in _read(job, asked):
            if isinstance(item, Format):
                found.format, found.details = item.name, item.details
            elif isinstance(item, Changed):
                report.changed[item] += 1
            elif isinstance(item, Dropped):
                report.dropped[item.reason] += 1
            elif isinstance(item, Fault):
                report.add_fault(item, is_first=row != (item.file, item.row))
                row = (item.file, item.row)
            else:
                out.write(mask.item(item, out.next_place(item)) if mask else item)
                found.rows += 1
    except DataError as error:
        if not job.in_folder:
            raise
        report.passed_over.append(str(error).splitlines()[0])  # what to type is for a file that was named
        report.dropped["unusable_file"] += 1
        if not found.rows:
            return None
    if mask:
        report.masked += mask.counts
        for sighting in mask.review:
            out.write_line(MASKED, {"file": found.file} | asdict(sighting))
    report.files.append(found)
    return found
