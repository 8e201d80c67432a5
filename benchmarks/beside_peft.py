"""Each soft method beside PEFT at its best published settings. In: finished bots, PEFT's Python, out: JSON lines.

PEFT learns the bot's own rows for as many steps of as many conversations. Both adapters then answer the same exam and
are held to the same held-out rows, in nabot, which computes what PEFT does (tests/parity). Paired tests: of the rows'
losses, by flipping signs; of the exam's questions, by those that only one of the two answers rightly.
"""

import argparse
import json
import math
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import describe
from tune_cpu import write_ids

from nabot.adapters import load_adapter
from nabot.bot import ADAPTER, RUN, read_manifest
from nabot.data import ExamQuestion, held_out_places, read_exam
from nabot.evals.exam import sit
from nabot.recipes.opening import Opened, open_base_of
from nabot.recipes.runfiles import RunPlan, read_rows
from nabot.recipes.settings import Settings
from nabot.train.batches import Example, collate
from nabot.train.config import TrainConfig
from nabot.train.loss import answer_loss

PEER = Path(__file__).parent / "peers" / "peft_virtual.py"
_FLIPS = 100_000
_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class Scores:
    """What one adapter is worth: nats a token of each held-out row, and which questions it answers rightly."""

    losses: tuple[float, ...]
    rights: tuple[bool, ...]

    def figures(self) -> dict[str, float]:
        return {
            "held_out": round(statistics.fmean(self.losses), 4),
            "accuracy": round(statistics.fmean(self.rights), 4),
        }


def main() -> None:
    a = arguments()
    questions = read_exam(a.exam)
    for bot in a.bots:
        print(json.dumps(measured(bot, questions, a)), flush=True)


def measured(bot: Path, questions: Sequence[ExamQuestion], a: argparse.Namespace) -> dict[str, Any]:
    config = Settings().with_values(RunPlan.read(bot / RUN).settings).train
    figures = read_manifest(bot)["figures"]
    learned, held_out = rows_of(bot, config)
    folder = a.work / f"{bot.name}-peft"
    folder.mkdir(parents=True, exist_ok=True)
    write_ids(folder / "rows.jsonl", learned)
    peer = learned_by_peft(figures, config, folder, a)
    ours, theirs = scores(bot, bot / ADAPTER, held_out, questions), scores(bot, folder / "adapter", held_out, questions)
    better = [b - a for a, b in zip(ours.losses, theirs.losses, strict=True)]
    only_ours, only_theirs = (sum(x and not y for x, y in pairs) for pairs in crossed(ours.rights, theirs.rights))
    return {
        "method": figures["method"],
        "steps": figures["steps"],
        "nabot": {**ours.figures(), "trainable": figures["trainable"], "seconds": round(figures["seconds"])},
        "peft": {**theirs.figures(), **{k: peer[k] for k in ("trainable", "seconds", "steps")}},
        "rows_p": flipped(better),
        "questions": {"only_nabot": only_ours, "only_peft": only_theirs, "p": sign_test(only_ours, only_theirs)},
        "machine": describe(),
    }


def rows_of(bot: Path, config: TrainConfig) -> tuple[list[Any], list[Any]]:
    """The bot's rows as token ids: those that it learned, those held out."""
    opened, _ = open_base_of(bot)
    rows = read_rows(bot / RUN)
    apart = held_out_places(rows, count=config.held_out, seed=config.seed)
    rendered = [opened.renderer.fitted(row, config.max_length) for row in rows]
    parts: tuple[list[Any], list[Any]] = ([], [])
    for place, row in enumerate(rendered):
        if row is not None:
            parts[place in apart].append(row)
    return parts


def learned_by_peft(
    figures: dict[str, Any], config: TrainConfig, folder: Path, a: argparse.Namespace
) -> dict[str, Any]:
    command = [a.peer_python, str(PEER), a.model, str(folder / "rows.jsonl"), figures["method"]]
    command += ["--out", str(folder / "adapter"), "--steps", str(figures["steps"]), "--seed", str(config.seed)]
    command += ["--batch", str(config.batch_size), "--start-text", str(a.start_text)]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout))


def scores(bot: Path, adapter: Path, held_out: Sequence[Any], questions: Sequence[ExamQuestion]) -> Scores:
    opened, record = open_base_of(bot)
    load_adapter(opened.decoder, adapter)
    sheet = sit(opened.dense_engine(), questions, record.sampling_with(max_new_tokens=64))
    return Scores(row_losses(opened, held_out), tuple(m.right for m in sheet.taught))


@torch.no_grad()
def row_losses(opened: Opened, rows: Sequence[Any]) -> tuple[float, ...]:
    """Mean nats over the learned tokens of each row."""
    found: list[float] = []
    examples = [Example.of(row.ids, row.trained) for row in rows]
    for start in range(0, len(examples), _ROWS_AT_ONCE):
        some = examples[start : start + _ROWS_AT_ONCE]
        losses_M = answer_loss(opened.decoder.eval(), collate(some))
        found += [own.mean().item() for own in losses_M.split([len(e.places) for e in some])]
    return tuple(found)


def crossed(ours: Sequence[bool], theirs: Sequence[bool]) -> tuple[Any, Any]:
    return zip(ours, theirs, strict=True), zip(theirs, ours, strict=True)


def flipped(differences: Sequence[float]) -> float:
    """Two-sided p of a mean this far from 0, if each sign were a coin's (Fisher's randomisation test)."""
    x = torch.tensor(differences, dtype=torch.float64)
    signs = torch.randint(0, 2, (_FLIPS, len(x)), generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    return float(((signs @ x).abs() >= x.sum().abs()).double().mean())


def sign_test(one: int, other: int) -> float:
    """Two-sided p of so uneven a split (McNemar's exact test)."""
    count, least = one + other, min(one, other)
    return min(1.0, 2 * sum(math.comb(count, k) for k in range(least + 1)) / 2**count)


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bots", type=Path, nargs="+", help="tuned with prefix, prompt or ptuning, and rehearsal_ratio=0")
    p.add_argument("--exam", type=Path, required=True)
    p.add_argument("--model", required=True, help="the same base as a Hugging Face folder (peers/to_hf.py)")
    p.add_argument("--start-text", type=Path, required=True, help="what PEFT's prefix begins as")
    p.add_argument("--peer-python", required=True, help="of a virtual environment with PEFT")
    p.add_argument("--work", type=Path, required=True, help="folder for PEFT's rows and adapters")
    return p.parse_args()


if __name__ == "__main__":
    main()
