"""The report of a bot: one page that needs no network and no script. In: a `Report`, out: report.html, report.json.

The page is a Jinja template with autoescaping, so nothing that a model or a person wrote can become markup; its
content security policy forbids scripts and loading besides. Words come from `nabot.text`, drawing from `figures`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from nabot.artifacts import write_file, write_json
from nabot.evals.exam import Contestant, Sheet
from nabot.evals.figures import Losses, loss_curve
from nabot.evals.sections import answer_folds, flat, loss_caption, probe_stories
from nabot.evals.table import exam_table, headings
from nabot.evals.verdict import loss_verdict, remarks, verdict
from nabot.text import say

_WIDE, _NARROW = (760, 320), (360, 260)  # pixels; a phone gets its own drawing instead of a shrunken one


@dataclass(frozen=True)
class Report:
    """What there is to tell. `result` is what `exam.result` gave for these sheets; all but the title may be empty.

    `metrics` and `samples` are the lines of run/metrics.jsonl and run/samples.jsonl. Of `manifest`, "licences"
    ({"base": …, "data": …, "commercial": true, false or null}) has a place of its own, "settings" is left to
    `settings`, and all else is listed.
    """

    title: str
    result: Mapping[str, Any] = field(default_factory=dict)
    sheets: Mapping[Contestant, Sheet] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    samples: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)


def write_report(folder: Path, report: Report) -> None:
    """Writes report.html and, of a bot that was examined, report.json (what `nabot exam --json` prints) into `folder`,
    each in one step."""
    if report.result:
        write_json(folder / "report.json", report.result)
    write_file(folder / "report.html", report_page(report))


def report_page(report: Report) -> str:
    """The page as HTML."""
    losses = Losses.of(report.metrics)
    licences = dict(report.manifest.get("licences") or {})
    commercial = licences.pop("commercial", None)
    curves = [("wide", loss_curve(losses, *_WIDE)), ("narrow", loss_curve(losses, *_NARROW))]
    return _template().render(
        say=say,
        title=say("report.title" if report.result else "report.title_unexamined", title=report.title),
        **(_examined(report.result) if report.result else _unexamined(losses)),
        losses=losses,
        curves=[(size, curve) for size, curve in curves if curve],
        loss_caption=loss_caption(losses),
        stories=probe_stories(report.samples),
        folds=answer_folds(report.sheets),
        settings=list(flat(report.settings)),
        licences=list(flat(licences)),
        commercial=say(f"report.licences.{_WORD[commercial]}"),
        inputs=list(flat({k: v for k, v in report.manifest.items() if k not in ("licences", "settings")})),
    )


def _examined(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of an exam."""
    return {
        "exam": result["exam"],
        "verdict": verdict(result),
        "remarks": remarks(result),
        "headings": headings(result),
        "rows": exam_table(result),
    }


def _unexamined(losses: Losses) -> dict[str, Any]:
    """What it says of a bot that has only been tuned: how its losses fell, and how to learn more."""
    return {
        "exam": "",
        "verdict": loss_verdict(losses),
        "remarks": [say("report.not_examined")],
        "headings": [],
        "rows": [],
    }


_WORD = {True: "free", False: "forbidden", None: "unknown"}


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("nabot.evals", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = _typeset
    return environment.get_template("report.html.jinja")


def _typeset(text: str) -> str:
    """Ranges get an en dash and numbers keep their sign; the texts themselves do without, for plain consoles."""
    dash = "\N{EN DASH}"
    if text == say("evals.nothing"):
        return dash
    return re.sub(r"(?<=\d)-(?=\d)", dash, text).replace(" %", "\N{NO-BREAK SPACE}%")
