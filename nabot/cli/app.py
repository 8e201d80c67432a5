"""The verbs, their flags and their help. In: arguments, out: a call of a recipe. Rooms are imported when a verb runs.

Those of `nabot data` are in data_verbs.py.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from nabot.cli.data_verbs import data_app
from nabot.cli.flags import (
    Base,
    Concurrency,
    Facts,
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

app = App(
    name="nabot",
    cls=Group,
    help=say("help.nabot"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")
tokenizer_app = App(cls=Group, help=say("help.tokenizer"), no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tokenizer_app, name="tokenizer")


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
def pull(
    source: Annotated[str, typer.Argument(help=say("help.source"))],
    convert_meta: Annotated[bool, typer.Option("--convert-meta", help=say("help.convert_meta"))] = False,
    json: Json = False,
) -> None:
    from nabot.cli.inventory import pull_model

    pull_model(source, convert=convert_meta, as_json=json)


@app.command(help=say("help.init"))
def init(
    folder: Annotated[Path, typer.Argument(help=say("help.init_folder"))], force: Force = False, json: Json = False
) -> None:
    from nabot.cli.inventory import start_folder

    start_folder(folder, force=force, as_json=json)


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
    model: TeacherModel = "",
    key_env: KeyEnv = "",
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=0, help=say("help.make_rows"))] = 0,
    concurrency: Concurrency = None,
    max_tokens_total: MaxTokensTotal = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = 0,
    price_out: PriceOut = 0,
    exam_file: Annotated[Path | None, typer.Option("--exam", metavar="EXAM", help=say("help.make_exam"))] = None,
    assistant: Annotated[str, typer.Option("--assistant", metavar="NAME", help=say("help.assistant"))] = "",
    mask: Annotated[bool, typer.Option("--mask", help=say("help.mask"))] = False,
    language: Annotated[str, typer.Option("--language", metavar="en|ko", help=say("help.make_language"))] = "",
    method: Annotated[str, typer.Option("--method", help=say("help.method"))] = "lora",
    seed: Annotated[int, typer.Option("--seed", help=say("help.seed"))] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=say("help.set"))] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help=say("help.make_fresh"))] = False,
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.making import make_bot
    from nabot.recipes.make import MakeRequest
    from nabot.recipes.settings import parse_pairs

    request = MakeRequest.of(
        folder,
        base,
        out=out,
        teacher=teacher,
        model=model,
        key_env=key_env,
        settings={"method": method, "minutes": minutes, **parse_pairs(set_ or [])},
        rows=rows,
        exam=exam_file,
        assistant=assistant,
        mask=mask,
        language=language,
        seed=seed,
        concurrency=concurrency,
        max_tokens_total=max_tokens_total,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
        fresh=fresh,
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
    from nabot.cli.starting import without_collecting

    with without_collecting():
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


@tokenizer_app.callback()
def tokenizer() -> None:
    pass  # with it `extend` is a word to type, though it is the only one


@tokenizer_app.command("extend", help=say("help.extend"))
def tokenizer_extend(
    base: Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.base"))],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help=say("help.extend_out"))],
    corpus: Annotated[list[Path] | None, typer.Option("--corpus", metavar="FILE", help=say("help.corpus"))] = None,
    add: Annotated[int, typer.Option("--add", metavar="N", min=0, help=say("help.add"))] = 0,
    special: Annotated[list[str] | None, typer.Option("--special", metavar="TOKEN", help=say("help.special"))] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    from nabot.cli.extending import extend_tokenizer
    from nabot.recipes.extend import ExtendRequest

    extend_tokenizer(ExtendRequest(base, out, corpus or [], add, special or [], force), as_json=json)


@app.command(help=say("help.demo"))
def demo(
    out: Annotated[Path | None, typer.Option("--out", metavar="BOT", help=say("help.demo_out"))] = None,
    force: Force = False,
) -> None:
    from nabot.cli.demo import chosen_demo, run_demo

    run_demo(chosen_demo(), out, force=force)


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
