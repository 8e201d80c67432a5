"""The verbs of `nabot data`, their flags and their help. In: arguments, out: a call of a recipe, imported when a verb runs."""

from pathlib import Path
from typing import Annotated

import typer

from nabot.cli.flags import (
    Base,
    Concurrency,
    Data,
    Force,
    Json,
    KeyEnv,
    MaxCost,
    MaxTokensTotal,
    PriceIn,
    PriceOut,
    TeacherModel,
)
from nabot.cli.parser_words import App, Group
from nabot.text import say

data_app = App(cls=Group, help=say("help.data"), no_args_is_help=True, rich_markup_mode=None)


@data_app.command("import", help=say("help.data_import"))
def data_import(
    paths: Annotated[list[Path], typer.Argument(metavar="IN", help=say("help.import_in"), show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=say("help.import_out"))],
    preferences: Annotated[
        Path | None, typer.Option("--preferences", metavar="FILE", help=say("help.preferences"))
    ] = None,
    passages: Annotated[Path | None, typer.Option("--passages", metavar="FILE", help=say("help.passages"))] = None,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help=say("help.import_format"))] = "",
    map_: Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help=say("help.map"))] = None,
    assistant: Annotated[str, typer.Option("--assistant", metavar="NAME", help=say("help.assistant"))] = "",
    mask: Annotated[bool, typer.Option("--mask", help=say("help.mask"))] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.importing import ImportFlags, import_rows

    flags = ImportFlags(paths, out, preferences, passages, form, map_ or [], assistant, force, mask)
    import_rows(flags, as_json=json)


@data_app.command("check", help=say("help.data_check"))
def data_check(
    data: Data,
    base: Base = "",
    exam: Annotated[Path | None, typer.Option("--exam", metavar="FILE", help=say("help.check_exam"))] = None,
    max_length: Annotated[int, typer.Option("--max-length", help=say("help.max_length"))] = 1024,
    fix: Annotated[Path | None, typer.Option("--fix", metavar="OUT", help=say("help.check_fix"))] = None,
    force: Force = False,
    json: Json = False,
) -> int:
    from nabot.cli.rows import CheckFlags, check_rows

    return check_rows(CheckFlags(data, base, exam, max_length, fix, force), as_json=json)


@data_app.command("show", help=say("help.data_show"))
def data_show(
    data: Annotated[Path, typer.Argument(help=say("help.data_file"))],
    base: Base = "smollm2",
    row: Annotated[int, typer.Option("--row", min=1, help=say("help.row"))] = 1,
    template: Annotated[str, typer.Option("--template", help=say("help.template"))] = "",
    system: Annotated[str, typer.Option("--system", help=say("help.system"))] = "",
    json: Json = False,
) -> None:
    from nabot.cli.rows import show_row

    show_row(data, base=base, row=row, template=template, system=system, as_json=json)


@data_app.command("generate", help=say("help.data_generate"))
def data_generate(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=say("help.generate_out"))],
    mode: Annotated[str, typer.Option("--mode", metavar="NAME", help=say("help.mode"))] = "alpaca",
    count: Annotated[int, typer.Option("--count", help=say("help.count"))] = 100,
    teacher: Annotated[str, typer.Option("--teacher", metavar="URL", help=say("help.teacher"))] = "",
    model: TeacherModel = "",
    key_env: KeyEnv = "",
    base: Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.teacher_base"))] = "",
    bot: Annotated[str, typer.Option("--bot", metavar="BOT", help=say("help.teacher_bot"))] = "",
    seeds: Annotated[Path | None, typer.Option("--seeds", metavar="FILE", help=say("help.seed_tasks"))] = None,
    passages: Annotated[
        Path | None, typer.Option("--passages", metavar="FILE", help=say("help.asked_passages"))
    ] = None,
    rows: Annotated[Path | None, typer.Option("--rows", metavar="FILE", help=say("help.asked_rows"))] = None,
    language: Annotated[str, typer.Option("--language", metavar="en|ko", help=say("help.language"))] = "",
    seed: Annotated[int, typer.Option("--seed", help=say("help.seed"))] = 0,
    concurrency: Concurrency = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help=say("help.timeout"))] = 300,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", metavar="N", help=say("help.max_new_tokens"))] = 0,
    max_tokens_total: MaxTokensTotal = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = 0,
    price_out: PriceOut = 0,
    mark_toxic: Annotated[bool, typer.Option("--mark-toxic", help=say("help.mark_toxic"))] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help=say("help.fresh"))] = False,
    json: Json = False,
) -> None:
    from nabot.cli.generating import generate
    from nabot.recipes.generate import GenerateRequest, Teacher
    from nabot.synth.budget import Budget

    request = GenerateRequest(
        out=out,
        mode=mode,
        count=count,
        teacher=Teacher(teacher, model, base, bot, key_env, timeout),
        seeds=seeds,
        passages=passages,
        rows=rows,
        language=language,
        seed=seed,
        concurrency=concurrency,
        max_new_tokens=max_new_tokens,
        budget=Budget(max_tokens_total, max_cost, price_in, price_out),
        mark_toxic=mark_toxic,
        fresh=fresh,
    )
    generate(request, as_json=json)


@data_app.command("split", help=say("help.data_split"))
def data_split(
    data: Annotated[Path, typer.Argument(metavar="FILE", help=say("help.data_file"))],
    out: Annotated[Path, typer.Option("--out", metavar="TRAIN", help=say("help.split_out"))],
    held_out: Annotated[Path, typer.Option("--held-out", metavar="HELD", help=say("help.split_held_out"))],
    share: Annotated[float, typer.Option("--share", help=say("help.split_share"))] = 0.1,
    count: Annotated[int | None, typer.Option("--count", metavar="N", help=say("help.split_count"))] = None,
    seed: Annotated[int, typer.Option("--seed", help=say("help.seed"))] = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.arranging import split_rows

    split_rows(data, out, held_out, share=share, count=count, seed=seed, force=force, as_json=json)


@data_app.command("mix", help=say("help.data_mix"))
def data_mix(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE[=WEIGHT]", help=say("help.mix_files"), show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=say("help.mix_out"))],
    rows: Annotated[int | None, typer.Option("--rows", metavar="N", min=1, help=say("help.mix_rows"))] = None,
    temperature: Annotated[float, typer.Option("--temperature", metavar="T", help=say("help.mix_temperature"))] = 1.0,
    limit: Annotated[int | None, typer.Option("--limit", metavar="K", min=1, help=say("help.mix_limit"))] = None,
    epochs: Annotated[list[str] | None, typer.Option("--epochs", metavar="FILE=E", help=say("help.mix_epochs"))] = None,
    seed: Annotated[int, typer.Option("--seed", help=say("help.seed"))] = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.arranging import mix_rows

    mix_rows(
        files,
        out,
        rows=rows,
        temperature=temperature,
        limit=limit,
        epochs=epochs or [],
        seed=seed,
        force=force,
        as_json=json,
    )


@data_app.command("stats", help=say("help.data_stats"))
def data_stats(
    data: Data,
    figure: Annotated[Path | None, typer.Option("--figure", metavar="FILE.svg", help=say("help.stats_figure"))] = None,
    seeds: Annotated[Path | None, typer.Option("--seeds", metavar="FILE", help=say("help.stats_seeds"))] = None,
    base: Base = "",
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.measuring import show_stats

    show_stats(data, base=base, seeds=seeds, figure=figure, force=force, as_json=json)
