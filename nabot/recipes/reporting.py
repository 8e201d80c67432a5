"""A bot's page. In: a finished folder, and what an exam found if there was one, out: BOT/report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nabot.bot import REPORT, RUN, read_manifest
from nabot.evals.exam import Contestant, Sheet
from nabot.evals.report import Report, write_report
from nabot.train.journal import read_journal


def write_page(
    folder: Path, result: Mapping[str, Any] | None = None, sheets: Mapping[Contestant, Sheet] | None = None
) -> None:
    """From the bot's manifest and the journals of its run; those of a bot whose run was deleted are empty."""
    manifest = read_manifest(folder)
    report = Report(
        title=folder.name,
        result=result or {},
        sheets=sheets or {},
        metrics=read_journal(folder / RUN / "metrics.jsonl"),
        samples=read_journal(folder / RUN / "samples.jsonl"),
        settings=manifest["settings"],
        manifest=manifest,
    )
    write_report(folder / REPORT, report)
