"""`nabot models`, `pull`, `init`, `list`, `show`, `rm`: what is there, and what disk it takes."""

import shutil
import sys
from pathlib import Path
from typing import Any

from nabot.artifacts import read_json
from nabot.bot import RECORD, REPORT, is_finished, is_unfinished, read_manifest, read_record
from nabot.cli.output import console, pulling, put_json, tell
from nabot.data import write_starter
from nabot.errors import CheckpointError, ConfigError
from nabot.sources import check_removable, installed, is_model_name, models_folder, registry, remove, resolve
from nabot.text import human_bytes, say

_RUN_BYTES = 1_200_000_000  # process and activations: the peak of a run on smollm2, measured, less its weights
_REPORT = f"{REPORT}/report.json"


def show_models(*, as_json: bool) -> None:
    """Short names and pulled models, with language, size, licence, and whether they are here."""
    import psutil

    free_bytes = psutil.virtual_memory().available
    pulled = {model.name: model for model in installed()}
    rows: list[dict[str, Any]] = [
        {
            "name": short.name,
            "language": short.language,
            "parameters": short.parameters,
            "bytes": short.num_bytes,
            "licence": short.licence,
            "chat": short.is_chat,
            "here": short.name in pulled,
            "fits": fits(short.parameters, free_bytes),
        }
        for short in registry()
    ]
    known = {row["name"] for row in rows}
    rows += [
        {
            "name": model.name,
            "language": "",
            "parameters": 0,
            "bytes": model.num_bytes,
            "licence": model.licence,
            "chat": None,
            "here": True,
            "fits": None,  # its size is not known without opening it
        }
        for name, model in pulled.items()
        if name not in known
    ]
    if as_json:
        put_json({"models": rows, "folder": str(models_folder())})
        return
    _table(
        [
            "models.name",
            "models.language",
            "models.kind",
            "models.size",
            "models.licence",
            "models.here",
            "models.fits",
        ],
        [
            [
                row["name"],
                row["language"] or "–",
                "–" if row["chat"] is None else say("models.chat" if row["chat"] else "models.plain"),
                human_bytes(row["bytes"]),
                row["licence"],
                _yes(row["here"]),
                "–" if row["fits"] is None else _yes(row["fits"]),
            ]
            for row in rows
        ],
    )
    tell(say("models.where", folder=models_folder()))


def fits(num_parameters: int, free_bytes: int) -> bool:
    """Whether a model of that size can be tuned in that much memory: its weights in float32, and what a run needs."""
    return 4 * num_parameters + _RUN_BYTES <= free_bytes


def pull_model(source: str, *, convert: bool = False, as_json: bool) -> None:
    """Downloads unless it is here, or converts a folder in Meta's layout; the path is the answer."""
    with pulling() as progress:
        if convert:
            from nabot.recipes.convert import convert_folder

            model = convert_folder(Path(source), progress)
        else:
            model = resolve(source, progress=progress)
    if as_json:
        put_json({"source": model.source, "path": str(model.path), "licence": model.licence})
    else:
        tell(say("pull.done", source=model.source, path=model.path, licence=model.licence))


def start_folder(folder: Path, *, force: bool, as_json: bool) -> None:
    """The annotated example to start from."""
    written = write_starter(folder, force=force)
    if as_json:
        put_json({"folder": str(folder), "files": [str(path) for path in written]})
    else:
        tell(say("init.done", folder=folder, files=", ".join(path.name for path in written)))


def list_bots(folder: Path, *, as_json: bool) -> None:
    """Bots in a folder and the models they stand on."""
    bots = [_bot_row(path) for path in sorted(folder.glob("*")) if is_finished(path) or is_unfinished(path)]
    models: list[dict[str, Any]] = [
        {"name": m.name, "source": m.source, "bytes": m.num_bytes, "licence": m.licence, "path": str(m.path)}
        for m in installed()
    ]
    if as_json:
        put_json({"bots": bots, "models": models})
        return
    if bots:
        _table(
            ["list.bot", "list.base", "list.accuracy", "models.size"],
            [[b["bot"], _base_cell(b), _accuracy_cell(b), human_bytes(b["bytes"])] for b in bots],
        )
    else:
        tell(say("list.no_bots", folder=folder))
    if models:
        _table(
            ["list.model", "models.licence", "models.size"],
            [[m["name"], m["licence"], human_bytes(m["bytes"])] for m in models],
        )


def show_bot(folder: Path, *, as_json: bool) -> None:
    """What a bot is made of. Raises ConfigError for a model, CheckpointError if there is no finished bot."""
    if is_model_name(str(folder)) and not folder.exists():
        raise ConfigError(say("show.is_model", name=folder))
    record = read_record(folder)
    manifest = read_manifest(folder)
    row = {**_bot_row(folder), "record": {"template": record.template, "system": record.system}, "manifest": manifest}
    if as_json:
        put_json(row)
        return
    figures = manifest["figures"]
    tell(
        say(
            "show.bot",
            bot=folder,
            base=record.base,
            licence=record.base_licence,
            parent=manifest.get("from") or "–",
            method=record.method,
            template=record.template,
            system=record.system or "–",
            rows=manifest["rows"]["learned"],
            steps=figures["steps"],
            loss=figures["loss"]["last"],
            accuracy=_accuracy_cell(row),
            size=human_bytes(row["bytes"]),
        )
    )


def remove_named(name: str, *, yes: bool, as_json: bool) -> int:
    """Deletes a bot's folder or a pulled model, after asking; status 1 if the answer is no.

    Raises ConfigError for what is not there, or if there is nobody to ask.
    """
    folder = Path(name)
    is_bot = is_finished(folder) or is_unfinished(folder)
    if not is_bot:
        check_removable(name)
    if not yes and not _confirmed(name, say("rm.ask_bot" if is_bot else "rm.ask_model", name=name)):
        removed, freed, told = None, 0, say("rm.kept", name=name)
    else:
        removed, freed = name, _remove_bot(folder) if is_bot else remove(name)
        told = say("rm.done", name=name, size=human_bytes(freed))
    if as_json:
        put_json({"removed": removed, "bytes": freed})
    else:
        tell(told)
    return 0 if removed else 1


def _remove_bot(folder: Path) -> int:
    """Returns the bytes that were freed."""
    freed = _size(folder)
    (folder / RECORD).unlink(missing_ok=True)  # a half-deleted bot must not look finished
    shutil.rmtree(folder)
    return freed


def _confirmed(name: str, question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(say("rm.not_confirmed", name=name))
    tell(question)
    return input().strip().lower() in say("rm.yes").split()


def _bot_row(folder: Path) -> dict[str, Any]:
    """What is known of a bot; `damaged` names its files that cannot be read, so that one does not hide the others."""
    damaged = []
    base, accuracy = "", None
    try:
        base = read_record(folder).base if is_finished(folder) else ""
    except CheckpointError:
        damaged.append(RECORD)
    try:
        accuracy = _accuracy(folder / _REPORT)
    except (OSError, ValueError, TypeError, LookupError, AttributeError):  # not JSON, or not a report
        damaged.append(_REPORT)
    return {
        "bot": str(folder),
        "finished": is_finished(folder),
        "base": base,
        "accuracy": accuracy,
        "bytes": _size(folder),
        "damaged": damaged,
    }


def _accuracy(report: Path) -> float | None:
    """The bot's share of right answers; None before an exam, and where the exam asked nothing."""
    seen = read_json(report)["results"].get("tuned", {}).get("accuracy") if report.is_file() else None
    return None if seen is None else float(seen)


def _base_cell(row: dict[str, Any]) -> str:
    if RECORD in row["damaged"]:
        return say("list.damaged")
    return row["base"] if row["finished"] else say("list.unfinished")


def _accuracy_cell(row: dict[str, Any]) -> str:
    return say("list.damaged") if _REPORT in row["damaged"] else _percent(row["accuracy"])


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _yes(value: object) -> str:
    return say("word.yes" if value else "word.no")


def _table(head_ids: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for text_id in head_ids:
        table.add_column(say(text_id))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console(to_stderr=False).print(table)
