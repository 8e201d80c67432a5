"""`nabot data import`. In: flags, out: files of conversations, and what was found, left out and written."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nabot.cli.output import put_json, tell
from nabot.data.faults import listing
from nabot.data.imports.importing import ImportRequest, import_files
from nabot.data.imports.report import FileReport, ImportReport
from nabot.data.imports.types import Asked
from nabot.errors import ConfigError
from nabot.text import counted, say, tallied


@dataclass(frozen=True)
class ImportFlags:
    """The flags as they were typed."""

    paths: list[Path]
    out: Path
    preferences: Path | None
    passages: Path | None
    format: str
    pairs: list[str]
    assistant: str
    force: bool
    mask: bool


def import_rows(flags: ImportFlags, *, as_json: bool) -> None:
    """Faulty rows are left out and listed, and are no reason for another status than 0."""
    request = ImportRequest(
        paths=flags.paths,
        out=flags.out,
        preferences=flags.preferences,
        passages=flags.passages,
        format=flags.format,
        asked=Asked(_columns(flags.pairs), flags.assistant),
        force=flags.force,
        mask=flags.mask,
    )
    if as_json:
        put_json(import_files(request).as_dict())
        return
    report = import_files(request, on_file=lambda found: tell(told_file(found)))
    for line in _told(report):
        tell(line)


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs.strip():
            raise ConfigError(say("import.no_equals", seen=pair))
        columns[ours.strip()] = theirs
    return columns


def told_file(found: FileReport) -> str:
    fields = {"file": found.file, "format": found.format, "rows": counted("count.rows", found.rows)}
    return (
        say("import.file_details", **fields, details=found.details) if found.details else say("import.file", **fields)
    )


def _told(report: ImportReport) -> Iterator[str]:
    """What was done and left out, and what there is now."""
    yield from report.passed_over
    for changed, count in report.changed.most_common():
        yield say(f"data.note.{changed.kind}", rows=counted("count.rows", count), name=changed.name)
    if report.num_faults:
        faults = counted("count.faults", report.num_faults)
        yield say("import.faults", faults=faults, listing=listing(report.faults, most=None))
        if more := report.num_faults - len(report.faults):
            yield "  " + say("import.more_faults", count=more)
    if report.dropped:
        yield say("import.dropped", reasons=tallied(report.dropped.most_common()))
    if masked := report.told_masked():
        yield masked
    for kind, place in report.places.items():
        yield say(f"import.done.{kind}", path=place, rows=counted("count.rows", report.written[kind]))
