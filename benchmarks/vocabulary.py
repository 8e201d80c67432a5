"""Tuning for equal minutes with a base's vocabulary as it is, and made longer. In: rows, a base, out: one JSON line.

    .venv/bin/python benchmarks/vocabulary.py rows.csv --base smollm2 --add 8000 --minutes 10
    .venv/bin/python benchmarks/vocabulary.py rows.csv --base gemma3-270m --minutes 20 --bot bots/friend

Tokens differ between vocabularies, so losses count a character of the answers that were held out: the same rows for
both, and none of them in the text that the new tokens are learned from. Without --add, the base alone is tuned: how
far a person's own rows take it from the untuned model in the same template, which is the loss before the first step.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import describe

import nabot
from nabot.bot import RUN
from nabot.conversation import Conversation
from nabot.data import held_out_places, read_conversations
from nabot.recipes.examples import split_examples
from nabot.recipes.extend import ExtendRequest, extend
from nabot.recipes.opening import open_source
from nabot.recipes.settings import Settings
from nabot.train.journal import read_journal


def main() -> None:
    a = arguments()
    rows = read_conversations([a.data])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = {"as it is": tuned(a.base, a.bot or folder / "bot", rows, a)}
        if a.add:
            corpus = folder / "corpus.txt"
            corpus.write_text(text_to_learn_from(rows, a.held_out), encoding="utf-8")
            done = extend(ExtendRequest(a.base, folder / "longer", [corpus], a.add))
            print(json.dumps(done.as_dict()), file=sys.stderr)
            results[f"{done.learned} tokens more"] = tuned(str(folder / "longer"), folder / "longer bot", rows, a)
    print(json.dumps({"tool": f"nabot {nabot.__version__}", "base": a.base, **results, "machine": describe()}))


def text_to_learn_from(rows: Sequence[Conversation], held_out: int) -> str:
    """Every turn of the rows that are learned, a line each."""
    apart = held_out_places(rows, count=held_out, seed=0)
    turns = (m.content for place, row in enumerate(rows) if place not in apart for m in row.messages)
    return "".join(f"{' '.join(turn.split())}\n" for turn in turns)


def tuned(base: str, bot: Path, rows: Sequence[Conversation], a: argparse.Namespace) -> dict[str, Any]:
    """Held-out losses before and after, in nats a character, and what the command itself said."""
    command = [sys.executable, "-m", "nabot", "tune", str(a.data), "--base", base, "--out", str(bot), "--json"]
    command += ["--minutes", str(a.minutes), "--set", f"held_out={a.held_out}"]
    command += [part for question in a.probe for part in ("--probe", question)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    tokens, characters = measured_on(base, rows, a.held_out)
    losses = [m["held_out_loss"] for m in read_journal(bot / RUN / "metrics.jsonl") if "held_out_loss" in m]
    before, after = (loss * tokens / characters for loss in (losses[0], losses[-1]))
    return {
        "tokens_a_character": round(tokens / characters, 3),
        "nats_a_character": {"before": round(before, 4), "after": round(after, 4)},
        "fell_by": round(1 - after / before, 3),
        "figures": figures,
    }


def measured_on(base: str, rows: Sequence[Conversation], held_out: int) -> tuple[int, int]:
    """Tokens and characters of the answers that are held out; an answer's end is a token and no character."""
    renderer, limit = open_source(base).renderer, Settings().train.max_length
    _, examples = split_examples(renderer, rows, held_out=held_out, seed=0, limit=limit, note=print)
    apart = held_out_places(rows, count=held_out, seed=0)
    answers = (m.content for place in apart for m in rows[place].messages if m.role == "assistant" and m.train)
    return sum(len(e.targets) for e in examples), sum(map(len, answers))


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", type=Path, help="conversations, as for nabot tune")
    p.add_argument("--base", default="smollm2", help="a source, as for nabot tune")
    p.add_argument("--add", type=int, default=0, metavar="N", help="tokens to learn from the rows")
    p.add_argument("--minutes", type=float, default=10, help="of tuning, for each")
    p.add_argument("--held-out", type=int, default=300, metavar="ROWS", help="rows that only measure")
    p.add_argument("--bot", type=Path, help="keep the bot of the base as it is here")
    p.add_argument("--probe", action="append", default=[], metavar="TEXT", help="as for nabot tune")
    return p.parse_args()


if __name__ == "__main__":
    main()
