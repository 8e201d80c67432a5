"""`nabot data split` and `nabot data mix`. In: flags, out: files, and what stands in them."""

from pathlib import Path

from nabot.cli.output import console, put_json, tell
from nabot.data.mixing import MOST_EPOCHS, Part, Source, mix_files
from nabot.data.splitting import split_file
from nabot.errors import ConfigError
from nabot.text import counted, say


def split_rows(
    path: Path, out: Path, held_out: Path, *, share: float, count: int | None, seed: int, force: bool, as_json: bool
) -> None:
    """Two files out of one; near copies stay on one side."""
    done = split_file(path, out, held_out, share=share, count=count, seed=seed, force=force)
    if as_json:
        put_json(done.as_dict())
        return
    if done.together:
        tell(say("split.together", rows=counted("count.rows", done.together)))
    if done.held_out_rows < done.wanted:
        tell(say("split.fewer", wanted=done.wanted, rows=counted("count.rows", done.held_out_rows)))
    tell(say("split.train", path=out, rows=counted("count.rows", done.train_rows)))
    tell(say("split.held_out", path=held_out, rows=counted("count.rows", done.held_out_rows)))


def mix_rows(
    files: list[str],
    out: Path,
    *,
    rows: int | None,
    temperature: float,
    limit: int | None,
    epochs: list[str],
    seed: int,
    force: bool,
    as_json: bool,
) -> None:
    """One file out of several, and a table that says how often each stands in it."""
    sources = _sources(files, epochs)
    parts = mix_files(sources, out, num_rows=rows, temperature=temperature, limit=limit, seed=seed, force=force)
    warnings = [
        say("mix.repeated", path=part.file, epochs=part.epochs, most=MOST_EPOCHS)
        for part in parts
        if part.epochs > MOST_EPOCHS
    ]
    total = sum(part.taken for part in parts)
    if as_json:
        put_json({"out": str(out), "rows": total, "sources": [part.as_dict() for part in parts], "warnings": warnings})
        return
    _print(parts)
    for warning in warnings:
        tell(warning)
    tell(say("mix.done", path=out, rows=counted("count.rows", total)))


def _sources(files: list[str], epochs: list[str]) -> list[Source]:
    """FILE, or FILE=WEIGHT; a file whose name has an equals sign is found first."""
    weights: dict[Path, float | None] = {}
    for typed in files:
        name, equals, weight = ("", "", "") if Path(typed).exists() else typed.rpartition("=")
        path = Path(name if equals else typed)
        if path in weights:
            raise ConfigError(say("mix.twice", path=path))
        weights[path] = _number(typed, weight) if equals else None
    times: dict[Path, float] = {}
    for typed in epochs:
        name, equals, value = typed.rpartition("=")
        if not equals or Path(name) not in weights:
            raise ConfigError(say("mix.bad_epochs", seen=typed, known=", ".join(map(str, weights))))
        times[Path(name)] = _number(typed, value)
    return [Source(path, weight, times.get(path)) for path, weight in weights.items()]


def _number(typed: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(say("mix.no_number", seen=typed, value=value)) from None


def _print(parts: list[Part]) -> None:
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, column in enumerate(("file", "rows", "taken", "share", "epochs")):
        shown.add_column(say(f"mix.column.{column}"), justify="right" if place else "left")
    for part in parts:
        cells = (f"{part.rows:,}", f"{part.taken:,}", f"{part.share:.1%}", f"{part.epochs:.2f}")
        shown.add_row(part.file, *cells)
    console().print(shown)
