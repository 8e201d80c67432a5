"""A transcript → a picture of the terminal. In: what a command printed, as text, out: an SVG file.

    nabot demo 2>&1 | tee demo.log
    python docs/draw_terminal.py demo.log docs/images/demo.svg --lines 1-12,30-60

Nothing in the transcript is changed but this: lines that were not asked for become "⋮", long ones are cut at the
terminal's width with "…", commands are shown in bold, and --replace shortens the paths of the machine it came from.
"""

import argparse
import io
import re
from collections.abc import Iterator
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("transcript", type=Path)
    p.add_argument("picture", type=Path)
    p.add_argument("--lines", default="", help="numbers from 1, such as 1-4,9; all by default")
    p.add_argument("--width", type=int, default=100)
    p.add_argument("--title", default="nabot demo")
    p.add_argument("--replace", action="append", default=[], metavar="OLD=NEW", help="a path and how to write it")
    a = p.parse_args()
    text = a.transcript.read_text(encoding="utf-8")
    for pair in a.replace:
        old, _, new = pair.partition("=")
        text = text.replace(old, new)
    lines = text.splitlines()
    console = Console(record=True, width=a.width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in chosen(lines, a.lines):
        console.print(styled(fitted(line, a.width)), no_wrap=True)
    svg = console.export_svg(title=a.title, theme=MONOKAI, unique_id="nabot")
    a.picture.parent.mkdir(parents=True, exist_ok=True)
    a.picture.write_text(re.sub(r"@font-face \{[^}]*\}\s*", "", svg), encoding="utf-8")  # no font from the network
    print(a.picture)


def chosen(lines: list[str], ranges: str) -> Iterator[str]:
    """The lines of the ranges, with a sign of omission where something was left out."""
    last = 0
    for part in ranges.split(",") if ranges else [f"1-{len(lines)}"]:
        first, _, end = part.partition("-")
        omitted = lines[last : int(first) - 1]
        if omitted:
            yield "⋮" if any(line.strip() for line in omitted) else ""
        last = min(int(end or first), len(lines))
        yield from lines[int(first) - 1 : last]


def fitted(line: str, width: int) -> str:
    """Cut to the width; Hangul takes two cells."""
    return line if cell_len(line) <= width else set_cell_size(line, width - 1) + "…"


def styled(line: str) -> Text:
    if line.startswith("$ "):
        return Text.assemble(("$ ", "green"), (line[2:], "bold"))
    if line.startswith("> "):
        return Text.assemble(("> ", "cyan"), (line[2:], "bold"))
    return Text("  " + line if line == "⋮" else line, style="dim" if line == "⋮" else "")


if __name__ == "__main__":
    main()
