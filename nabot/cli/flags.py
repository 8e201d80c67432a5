"""Flags that several verbs have. In: nothing, out: types of their parameters, with names and help."""

from pathlib import Path
from typing import Annotated

import typer

from nabot.text import say

Json = Annotated[bool, typer.Option("--json", help=say("help.json"))]
Force = Annotated[bool, typer.Option("--force", help=say("help.force"))]
Base = Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.base"))]
Data = Annotated[list[Path], typer.Argument(metavar="DATA", help=say("help.data_files"), show_default=False)]
TeacherModel = Annotated[str, typer.Option("--model", metavar="NAME", help=say("help.teacher_model"))]
KeyEnv = Annotated[str, typer.Option("--key-env", metavar="NAME", help=say("help.key_env"))]
Concurrency = Annotated[int | None, typer.Option("--concurrency", help=say("help.concurrency"))]
MaxTokensTotal = Annotated[int | None, typer.Option("--max-tokens-total", help=say("help.max_tokens_total"))]
MaxCost = Annotated[float | None, typer.Option("--max-cost", help=say("help.max_cost"))]
PriceIn = Annotated[float, typer.Option("--price-in", help=say("help.price_in"))]
PriceOut = Annotated[float, typer.Option("--price-out", help=say("help.price_out"))]
Facts = Annotated[Path | None, typer.Option("--facts", metavar="FILE", help=say("help.facts"))]
