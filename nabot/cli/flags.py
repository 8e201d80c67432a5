"""Flags that several verbs have. In: nothing, out: types of their parameters, with names and help."""

from pathlib import Path
from typing import Annotated

import typer

from nabot.text import say

Json = Annotated[bool, typer.Option("--json", help=say("help.json"))]
Force = Annotated[bool, typer.Option("--force", help=say("help.force"))]
Base = Annotated[str, typer.Option("--base", metavar="SOURCE", help=say("help.base"))]
Data = Annotated[list[Path], typer.Argument(metavar="DATA", help=say("help.data_files"), show_default=False)]
Facts = Annotated[Path | None, typer.Option("--facts", metavar="FILE", help=say("help.facts"))]
