"""The verbs, their flags and their help. In: arguments, out: a call of a recipe. Rooms are imported when a verb runs."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from nabot.cli.parser_words import App, Group
from nabot.text import say

app = App(
    name="nabot",
    cls=Group,
    help=say("help.nabot"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = App(cls=Group, help=say("help.data"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")

Json = Annotated[bool, typer.Option("--json", help=say("help.json"))]
Force = Annotated[bool, typer.Option("--force", help=say("help.force"))]
Base = Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.base"))]
Data = Annotated[list[Path], typer.Argument(metavar="DATA", help=say("help.data_files"), show_default=False)]
Facts = Annotated[Path | None, typer.Option("--facts", metavar="FILE", help=say("help.facts"))]


def _version(wanted: bool) -> None:
    if wanted:
        from nabot import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def nabot(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help=say("help.version"))
    ] = False,
) -> None:
    pass


@app.command(help=say("help.models"), rich_help_panel=None)
def models(json: Json = False) -> None:
    from nabot.cli.inventory import show_models

    show_models(as_json=json)


@app.command(help=say("help.pull"))
def pull(source: Annotated[str, typer.Argument(help=say("help.source"))], json: Json = False) -> None:
    from nabot.cli.inventory import pull_model

    pull_model(source, as_json=json)


@app.command(help=say("help.init"))
def init(
    folder: Annotated[Path, typer.Argument(help=say("help.init_folder"))], force: Force = False, json: Json = False
) -> None:
    from nabot.cli.inventory import start_folder

    start_folder(folder, force=force, as_json=json)


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
    model: Annotated[str, typer.Option("--model", metavar="NAME", help=say("help.teacher_model"))] = "",
    key_env: Annotated[str, typer.Option("--key-env", metavar="NAME", help=say("help.key_env"))] = "",
    base: Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.teacher_base"))] = "",
    bot: Annotated[str, typer.Option("--bot", metavar="BOT", help=say("help.teacher_bot"))] = "",
    seeds: Annotated[Path | None, typer.Option("--seeds", metavar="FILE", help=say("help.seed_tasks"))] = None,
    passages: Annotated[
        Path | None, typer.Option("--passages", metavar="FILE", help=say("help.asked_passages"))
    ] = None,
    rows: Annotated[Path | None, typer.Option("--rows", metavar="FILE", help=say("help.asked_rows"))] = None,
    language: Annotated[str, typer.Option("--language", metavar="en|ko", help=say("help.language"))] = "",
    seed: Annotated[int, typer.Option("--seed", help=say("help.seed"))] = 0,
    concurrency: Annotated[int, typer.Option("--concurrency", help=say("help.concurrency"))] = 4,
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", help=say("help.timeout"))] = 300,
    max_tokens_total: Annotated[
        int | None, typer.Option("--max-tokens-total", help=say("help.max_tokens_total"))
    ] = None,
    max_cost: Annotated[float | None, typer.Option("--max-cost", help=say("help.max_cost"))] = None,
    price_in: Annotated[float, typer.Option("--price-in", help=say("help.price_in"))] = 0,
    price_out: Annotated[float, typer.Option("--price-out", help=say("help.price_out"))] = 0,
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


@app.command(help=say("help.tune"))
def tune(
    context: typer.Context,
    data: Annotated[
        list[Path] | None, typer.Argument(metavar="DATA", help=say("help.data_files"), show_default=False)
    ] = None,
    base: Base = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="BOT", help=say("help.out"))] = None,
    method: Annotated[str, typer.Option("--method", help=say("help.method"))] = "",
    epochs: Annotated[float | None, typer.Option("--epochs", help=say("help.epochs"))] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help=say("help.minutes"))] = None,
    rank: Annotated[int | None, typer.Option("--rank", help=say("help.rank"))] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help=say("help.learning_rate"))] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help=say("help.batch_size"))] = None,
    max_length: Annotated[int | None, typer.Option("--max-length", help=say("help.max_length"))] = None,
    seed: Annotated[int | None, typer.Option("--seed", help=say("help.seed"))] = None,
    keep: Annotated[str | None, typer.Option("--keep", help=say("help.keep"))] = None,
    preset: Annotated[str, typer.Option("--preset", help=say("help.preset"))] = "",
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help=say("help.config"))] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=say("help.set"))] = None,
    template: Annotated[str, typer.Option("--template", help=say("help.template"))] = "",
    system: Annotated[str, typer.Option("--system", help=say("help.system"))] = "",
    probe: Annotated[list[str] | None, typer.Option("--probe", metavar="TEXT", help=say("help.probe"))] = None,
    exam_file: Annotated[Path | None, typer.Option("--exam", metavar="EXAM", help=say("help.tune_exam"))] = None,
    start: Annotated[Path | None, typer.Option("--from", metavar="BOT", help=say("help.from"))] = None,
    resume: Annotated[Path | None, typer.Option("--resume", metavar="BOT", help=say("help.resume"))] = None,
    skip_faulty: Annotated[bool, typer.Option("--skip-faulty", help=say("help.skip_faulty"))] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.tuning import TuneFlags, resume_bot, tune_bot

    shortcuts = {
        "epochs": epochs,
        "minutes": minutes,
        "rank": rank,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "max_length": max_length,
        "seed": seed,
        "keep": keep,
    }
    if resume is not None:
        resume_bot(resume, given=_given(context, but=("resume", "json")), as_json=json)
        return
    flags = TuneFlags(
        data=data or [],
        base=base,
        out=out,
        method=method,
        preset=preset,
        config=config,
        values={k: v for k, v in shortcuts.items() if v is not None},
        pairs=set_ or [],
        template=template,
        system=system,
        probes=probe or [],
        exam=exam_file,
        start=start,
        skip_faulty=skip_faulty,
        force=force,
    )
    tune_bot(flags, as_json=json)


def _given(context: typer.Context, *, but: Collection[str]) -> list[str]:
    """What was typed: flags by name, arguments by value."""
    typed: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE" or parameter.name in but:
            continue
        values = context.params[parameter.name or ""]
        typed += map(str, values) if parameter.param_type_name == "argument" else [parameter.opts[0]]
    return typed


@app.command(help=say("help.make"))
def make(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help=say("help.make_folder"))],
    base: Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.base"))],
    out: Annotated[Path | None, typer.Option("--out", metavar="BOT", help=say("help.make_out"))] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", help=say("help.minutes"))] = None,
    teacher: Annotated[str, typer.Option("--teacher", metavar="URL", help=say("help.make_teacher"))] = "",
    model: Annotated[str, typer.Option("--model", metavar="NAME", help=say("help.teacher_model"))] = "",
    key_env: Annotated[str, typer.Option("--key-env", metavar="NAME", help=say("help.key_env"))] = "",
    count: Annotated[int, typer.Option("--count", min=0, help=say("help.make_count"))] = 0,
    max_tokens_total: Annotated[
        int | None, typer.Option("--max-tokens-total", help=say("help.max_tokens_total"))
    ] = None,
    exam_file: Annotated[Path | None, typer.Option("--exam", metavar="EXAM", help=say("help.make_exam"))] = None,
    assistant: Annotated[str, typer.Option("--assistant", metavar="NAME", help=say("help.assistant"))] = "",
    mask: Annotated[bool, typer.Option("--mask", help=say("help.mask"))] = False,
    language: Annotated[str, typer.Option("--language", metavar="en|ko", help=say("help.make_language"))] = "",
    method: Annotated[str, typer.Option("--method", help=say("help.method"))] = "lora",
    seed: Annotated[int, typer.Option("--seed", help=say("help.seed"))] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=say("help.set"))] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.bot import BOTS
    from nabot.cli.making import make_bot
    from nabot.recipes.generate import Teacher
    from nabot.recipes.make import MakeRequest
    from nabot.recipes.settings import Settings, parse_pairs
    from nabot.synth.budget import Budget

    own = Settings().with_values({"method": method, "seed": seed, "minutes": minutes})
    request = MakeRequest(
        folder=folder,
        base=base,
        out=out or BOTS / folder.resolve().name,
        teacher=Teacher(teacher, model, "" if teacher else base, key_env=key_env),
        settings=own.with_values(parse_pairs(set_ or [])),
        count=count,
        exam=exam_file,
        assistant=assistant,
        mask=mask,
        language=language,
        seed=seed,
        budget=Budget(max_tokens_total),
        force=force,
    )
    make_bot(request, as_json=json)


@app.command(help=say("help.exam"))
def exam(
    bot: Annotated[str, typer.Argument(help=say("help.bot_or_source"))],
    exam_file: Annotated[Path, typer.Argument(metavar="EXAM", help=say("help.exam_file"))],
    facts: Facts = None,
    base: Base = "",
    require: Annotated[float | None, typer.Option("--require", min=0, max=1, help=say("help.require"))] = None,
    json: Json = False,
) -> int:
    from nabot.cli.examining import sit_exam

    return sit_exam(bot, exam_file, facts=facts, base=base, require=require, as_json=json)


@app.command(help=say("help.compare"))
def compare(
    data: Annotated[list[Path], typer.Argument(metavar="DATA", help=say("help.data_files"))],
    base: Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.base"))],
    exam_file: Annotated[Path, typer.Option("--exam", metavar="EXAM", help=say("help.exam_file"))],
    methods: Annotated[str, typer.Option("--methods", help=say("help.methods"))] = "lora,prefix,prompt,ptuning",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help=say("help.seeds"))] = 3,
    minutes: Annotated[float | None, typer.Option("--minutes", help=say("help.minutes"))] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help=say("help.compare_out"))] = Path("comparison"),
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=say("help.set"))] = None,
    json: Json = False,
) -> None:
    from nabot.cli.comparing import compare_methods

    compare_methods(
        data,
        base=base,
        exam=exam_file,
        methods=methods,
        seeds=seeds,
        out=out,
        minutes=minutes,
        pairs=set_ or [],
        as_json=json,
    )


@app.command(help=say("help.chat"))
def chat(
    bot: Annotated[str, typer.Argument(help=say("help.bot_or_source"))],
    base: Base = "",
    system: Annotated[str | None, typer.Option("--system", help=say("help.system"))] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=say("help.chat_set"))] = None,
) -> None:
    from nabot.cli.talking import talk

    talk(bot, base=base, system=system, pairs=set_ or [])


@app.command(help=say("help.export"))
def export(
    bot: Annotated[Path, typer.Argument(help=say("help.bot"))],
    form: Annotated[str, typer.Option("--format", help=say("help.format"))],
    out: Annotated[Path, typer.Option("--out", metavar="PATH", help=say("help.export_out"))],
    base: Base = "",
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.exporting import export_bot

    export_bot(bot, form, out, base=base, force=force, as_json=json)


@app.command(help=say("help.demo"))
def demo(
    out: Annotated[Path, typer.Option("--out", metavar="BOT", help=say("help.out"))] = Path("bots/dal-cafe"),
    force: Force = False,
) -> None:
    from nabot.cli.demo import run_demo

    run_demo(out, force=force)


@app.command("list", help=say("help.list"))
def list_(
    folder: Annotated[Path, typer.Argument(help=say("help.bots_folder"))] = Path("bots"), json: Json = False
) -> None:
    from nabot.cli.inventory import list_bots

    list_bots(folder, as_json=json)


@app.command(help=say("help.show"))
def show(bot: Annotated[Path, typer.Argument(help=say("help.bot"))], json: Json = False) -> None:
    from nabot.cli.inventory import show_bot

    show_bot(bot, as_json=json)


@app.command(help=say("help.rm"))
def rm(
    name: Annotated[str, typer.Argument(help=say("help.rm_name"))],
    yes: Annotated[bool, typer.Option("--yes", "-y", help=say("help.yes"))] = False,
    json: Json = False,
) -> int:
    from nabot.cli.inventory import remove_named

    return remove_named(name, yes=yes, as_json=json)
