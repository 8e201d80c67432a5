"""`nabot data stats`. In: flags, out: numbers about the rows, and a picture."""

from collections.abc import Callable, Iterator
from pathlib import Path

from nabot.artifacts import write_file
from nabot.cli.output import console, put_json, tell
from nabot.cli.rows import renderer_of
from nabot.data import read_conversations
from nabot.data.faults import ascii_escapes
from nabot.data.imports.outputs import require_new
from nabot.data.stats import MOST_PARSED, Spread, Stats, measure
from nabot.errors import ConfigError
from nabot.text import counted, say


def show_stats(
    paths: list[Path], *, base: str, seeds: Path | None, figure: Path | None, force: bool, as_json: bool
) -> None:
    """Checks what can be checked at once, then reads and counts."""
    if figure is not None:
        _require_svg(figure)
        require_new([figure], [*paths, *filter(None, [seeds])], force=force)
    overlap_of = _overlap(seeds) if seeds else None
    conversations = read_conversations(paths)
    renderer = renderer_of(base, template="", system="") if base else None
    length_of = (lambda one: len(renderer.training(one).ids)) if renderer else None
    stats = measure(conversations, length_of=length_of, overlap_of=overlap_of)
    if figure is not None:
        from nabot.evals.datafigure import data_figure

        write_file(figure, data_figure(stats, _title(paths, stats)))
    if as_json:
        put_json(stats.as_dict() | {"files": list(map(str, paths)), "figure": str(figure) if figure else None})
        return
    for line in _told(stats):
        tell(line)
    _print(stats)
    if figure is not None:
        tell(say("stats.figure", path=figure))


def _require_svg(figure: Path) -> None:
    if figure.suffix.lower() != ".svg":
        raise ConfigError(say("stats.only_svg", path=figure, svg=figure.with_suffix(".svg")))


def _overlap(seeds: Path) -> Callable[[str], float]:
    """How near an instruction is to the nearest of the seed tasks."""
    from nabot.synth import Pool, read_seeds

    pool = Pool(seed.instruction for seed in read_seeds(seeds))
    return lambda text: pool.most_similar(text, 1).texts[0].score


def _title(paths: list[Path], stats: Stats) -> str:
    names = ", ".join(ascii_escapes(path.name) for path in paths[:3]) + ", …" * (len(paths) > 3)
    return say("stats.picture.title", files=names, rows=counted("count.rows", stats.rows))


def _told(stats: Stats) -> Iterator[str]:
    distinct = {"questions": stats.distinct_questions, "answers": stats.distinct_answers, "words": stats.distinct_words}
    yield say("stats.rows", rows=counted("count.rows", stats.rows), **distinct)
    languages = [f"{code or '–'} {count / stats.rows:.0%}" for code, count in stats.languages.most_common()]
    yield say("stats.languages", languages=", ".join(languages))
    if stats.rows > MOST_PARSED:
        yield say("stats.drawn", count=MOST_PARSED)
    yield say("stats.verbs", pairs=stats.roots.pairs.total(), read=stats.roots.read)
    for verb, objects in stats.roots.top():
        yield f"  {verb}: " + ", ".join(f"{name} {count}" for name, count in objects)


def _print(stats: Stats) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, column in enumerate(("what", "least", "median", "mean", "p95", "most")):
        table.add_column(say(f"stats.column.{column}"), justify="right" if place else "left")
    for name, values in _lengths(stats):
        spread = Spread.of(values)
        digits = 2 if name == "overlap" else 0
        numbers = (spread.least, spread.median, spread.mean, spread.p95, spread.most)
        shown = [f"{number:,.{max(digits, int(place == 2))}f}" for place, number in enumerate(numbers)]
        table.add_row(say(f"stats.length.{name}"), *shown)
    console().print(table)


def _lengths(stats: Stats) -> list[tuple[str, list[float]]]:
    found: list[tuple[str, list[float]]] = [
        ("turns", [*stats.turns]),
        ("question_words", [*stats.question_words]),
        ("answer_words", [*stats.answer_words]),
        ("tokens", [*stats.tokens]),
        ("overlap", stats.overlaps),
    ]
    return [(name, values) for name, values in found if values]
