"""`nabot data check` and `nabot data show`. In: files, out: faults, or one row as the model will see it."""

from collections.abc import Iterator
from pathlib import Path

from nabot.cli.output import console, pulling, put_json, tell
from nabot.data.check import CheckReport, LengthOf, check
from nabot.data.faults import listing
from nabot.data.files import scan_file
from nabot.errors import ConfigError, DataError
from nabot.rendering import BUILTIN, OWN, ChatTemplate, Renderer, render_coloured
from nabot.sources import registry, resolve
from nabot.text import counted, say
from nabot.tokenizer import load_tokenizer


def check_rows(paths: list[Path], *, base: str, exam: Path | None, max_length: int, as_json: bool) -> int:
    """Status 1 if something must be repaired."""
    length_of: LengthOf | None = None
    if base:
        renderer = renderer_of(base, template="", system="")
        length_of = lambda conversation: len(renderer.training(conversation).ids)  # noqa: E731
    max_tokens = max_length if base else None
    report = check(paths, exam=exam, length_of=length_of, max_tokens=max_tokens, language=_language(base))
    if as_json:
        put_json(report.as_dict())
    else:
        for line in _told(report):
            tell(line)
    return 1 if report.faults else 0


def _told(report: CheckReport) -> Iterator[str]:
    """The report in sentences: the files, every fault, the notes."""
    for scan in report.files:
        how = {"layout": scan.layout, "container": scan.container, "encoding": scan.encoding}
        yield say("check.file", file=scan.file, rows=counted("count.rows", scan.num_rows), **how)
    if report.exam:
        yield say("check.exam", file=report.exam, questions=counted("count.questions", report.questions))
    if report.faults:
        yield listing(report.faults, most=None)
    rows, faults = counted("count.rows", report.rows), counted("count.faults", len(report.faults))
    yield say("check.faults", rows=rows, faults=faults) if report.faults else say("check.good", rows=rows)
    yield from (note.message for note in report.notes)


def _language(base: str) -> str:
    """What the base speaks, if it is in the registry; otherwise empty."""
    return next((short.language for short in registry() if base in (short.name, short.source)), "")


def show_row(path: Path, *, base: str, row: int, template: str, system: str, as_json: bool) -> None:
    """The row as token ids see it; what is trained stands out, also without colour."""
    scan = scan_file(path)
    found = dict(scan.conversations)
    if row not in found:
        faults = [fault for fault in scan.faults if fault.row == row]
        raise (
            DataError(listing(faults))
            if faults
            else ConfigError(say("show.no_row", path=path, row=row, rows=max(found, default=0)))
        )
    renderer = renderer_of(base, template=template, system=system)
    rendered = renderer.training(found[row])
    pieces = render_coloured(rendered, renderer.tokenizer)
    if as_json:
        put_json({"ids": rendered.ids, "trained": rendered.trained, "text": rendered.text})
        return
    from rich.text import Text

    text = Text()
    for piece, trained in pieces:
        text.append(piece, style="bold black on green" if trained else "dim")
    screen = console(to_stderr=False)
    screen.print(text)
    trained_tokens = sum(rendered.trained)
    per_character = len(rendered.ids) / max(1, len(rendered.text))
    tell(say("show.row", row=row, tokens=len(rendered.ids), trained=trained_tokens, per_character=per_character))


def renderer_of(base: str, *, template: str, system: str) -> Renderer:
    with pulling() as progress:
        model = resolve(base, progress=progress)
    tokenizer = load_tokenizer(model.path)
    name = template or (OWN if tokenizer.chat_template else BUILTIN[0])
    return Renderer(ChatTemplate.named(name, tokenizer), tokenizer, system)
