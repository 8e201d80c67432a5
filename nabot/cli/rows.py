"""`nabot data check` and `nabot data show`. In: files, out: faults, or one row as the model will see it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nabot.cli.bars import picture
from nabot.cli.output import console, counting_rows, pulling, put_json, tell
from nabot.conversation import Conversation
from nabot.data.check import CheckReport, Measure, Measured, check
from nabot.data.faults import FAULTS_LISTED, Problem, listing, problem
from nabot.data.files import Scan, scan_file
from nabot.data.judged import JudgedRow
from nabot.data.repair import Fit, Repaired, repair
from nabot.errors import ConfigError, DataError, NabotError
from nabot.rendering import ChatTemplate, Rendered, Renderer, render_coloured
from nabot.sources import registry, resolve
from nabot.text import counted, say, slug_name
from nabot.tokenizer import load_tokenizer


@dataclass(frozen=True)
class CheckFlags:
    """The flags of `nabot data check` as they were typed."""

    paths: list[Path]
    base: str
    exam: Path | None
    max_length: int
    fix: Path | None
    force: bool


def check_rows(flags: CheckFlags, *, as_json: bool) -> int:
    """Status 1 if something must be repaired; with --fix, if something of the new file must be."""
    renderer = renderer_of(flags.base, template="", system="") if flags.base else None
    fixed: Repaired | None = None
    with counting_rows("check.stage.") as progress:
        if flags.fix:
            fit = _fit(renderer, flags.max_length)
            fixed = repair(flags.paths, flags.fix, fit=fit, force=flags.force, on_progress=progress)
        report = check(
            [flags.fix] if flags.fix else flags.paths,
            exam=flags.exam,
            measure=_measure(renderer) if renderer else None,
            max_tokens=flags.max_length if renderer else None,
            language=_language(flags.base),
            on_progress=progress,
        )
    if as_json:
        put_json(report.as_dict() | ({"fixed": fixed.as_dict()} if fixed else {}))
    else:
        for line in (*(_told_fixed(fixed, report) if fixed else ()), *_told(report)):
            tell(line)
    return 1 if report.faults else 0


def _measure(renderer: Renderer) -> Measure:
    def measured(conversation: Conversation) -> Measured:
        row = renderer.training(conversation)
        return Measured(len(row.ids), sum(row.trained), len(row.text))

    return measured


def _fit(renderer: Renderer | None, max_tokens: int) -> Fit:
    def fitted(conversation: Conversation) -> Conversation | Problem | None:
        if renderer is None:
            return conversation
        try:
            return renderer.fitting(conversation, max_tokens)
        except DataError as error:  # the template refuses it
            return problem("not_renderable", reason=error)

    return fitted


def _told_fixed(fixed: Repaired, report: CheckReport) -> Iterator[str]:
    """What was done to the rows, which are not there any more, and what remains."""
    if fixed.left_out:
        yield say("check.left_out", listing=listing(fixed.left_out, most=None))
    if fixed.repairs:
        repairs = ", ".join(
            f"{slug_name(kind)} {counted('count.rows', count)}" for kind, count in fixed.repairs.most_common()
        )
        yield say("check.repairs", repairs=repairs)
    yield say("check.fixed", path=fixed.out, rows=counted("count.rows", fixed.rows))
    if report.faults:
        yield say("check.decide")


def _told(report: CheckReport) -> Iterator[str]:
    """The report in sentences: the files, every fault, the first warnings, the notes; and the picture."""
    for scan in report.files:
        how = {"layout": scan.layout, "container": scan.container, "encoding": scan.encoding}
        yield say("check.file", file=scan.file, rows=counted("count.rows", scan.num_rows), **how)
    if report.exam:
        yield say("check.exam", file=report.exam, questions=counted("count.questions", report.questions))
    if report.faults:
        yield listing(report.faults, most=None)
    if report.warnings:
        yield say("check.warnings", warnings=counted("count.warnings", len(report.warnings)))
        yield from (f"  {warning}" for warning in report.warnings[:FAULTS_LISTED])
        if (more := len(report.warnings) - FAULTS_LISTED) > 0:
            yield "  " + say("check.more_warnings", count=more)
    yield from picture(report.summary)
    rows, faults = counted("count.rows", report.rows), counted("count.faults", len(report.faults))
    yield say("check.faults", rows=rows, faults=faults) if report.faults else say("check.good", rows=rows)
    yield from (note.message for note in report.notes)


def _language(base: str) -> str:
    """What the base speaks, if it is in the registry; otherwise empty."""
    return next((short.language for short in registry() if base in (short.name, short.source)), "")


def show_row(path: Path, *, base: str, row: int, template: str, system: str, as_json: bool) -> None:
    """The row as token ids see it, of a seed task every instance; what is trained stands out, also without colour."""
    judged: list[JudgedRow] = []
    scan = scan_file(path, lambda one: judged.append(one) if one.number == row else None)
    if not any(isinstance(one.found, Conversation) for one in judged):
        raise _nothing_to_show(scan, row)
    renderer = renderer_of(base, template=template, system=system)
    instances = [
        (number, renderer.training(one.found))
        for number, one in enumerate(judged, start=1)
        if isinstance(one.found, Conversation)
    ]
    if as_json:
        shown = [{"ids": one.ids, "trained": one.trained, "text": one.text} for _, one in instances]
        put_json(shown[0] if len(judged) == 1 else {"instances": shown})
        return
    for number, rendered in instances:
        place = f"{row}" if len(judged) == 1 else say("show.instance", row=row, number=number, count=len(judged))
        _show(rendered, renderer, place)


def _nothing_to_show(scan: Scan, row: int) -> NabotError:
    """What is wrong with the row, or that there is none."""
    if faults := [fault for fault in scan.faults if fault.row == row]:
        return DataError(listing(faults))
    last = max((number for number, _ in scan.conversations), default=0)
    return ConfigError(say("show.no_row", path=scan.file, row=row, rows=last))


def _show(rendered: Rendered, renderer: Renderer, place: str) -> None:
    from rich.text import Text

    text = Text()
    for piece, trained in render_coloured(rendered, renderer.tokenizer):
        text.append(piece, style="bold black on green" if trained else "dim")
    console(to_stderr=False).print(text)
    per_character = len(rendered.ids) / max(1, len(rendered.text))
    counts = {"tokens": len(rendered.ids), "trained": sum(rendered.trained), "per_character": per_character}
    tell(say("show.row", row=place, **counts))


def renderer_of(base: str, *, template: str, system: str) -> Renderer:
    with pulling() as progress:
        model = resolve(base, progress=progress)
    tokenizer = load_tokenizer(model.path)
    return Renderer(ChatTemplate.named(template, tokenizer), tokenizer, system)
