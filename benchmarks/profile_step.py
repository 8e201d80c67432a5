"""Where the time of a tuning step goes. In: a base and rows, out: one JSON line, and a picture with --svg.

The steps are those of the very Trainer that `nabot tune` runs, under torch's profiler. Shares of its counted time:
products with frozen weights, with the adapter's, with the head; attention; norms, rotations and gates; the optimizer; all the
rest (sums, copies, the loss, and PyTorch being told what to do). The profiler itself costs a few percent.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import torch
from machine import describe
from torch.profiler import ProfilerActivity, profile
from tune_cpu import parser_of_runs, rendered

import nabot
from nabot.adapters import attach
from nabot.recipes.opening import open_source
from nabot.recipes.settings import Settings, parse_pairs
from nabot.train.batches import Example
from nabot.train.loop import Hooks, Trainer

PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_")
ATTENTION = ("scaled_dot_product", "nabot::attend", "_CompiledAttention")
BETWEEN = ("_RmsNorm", "_Rotate", "_Gated")
FEW = 64  # the widest inner side of an adapter's products
COLOURS = {
    "frozen weights": "#3b6ea5",
    "adapter": "#7aa6d8",
    "head": "#2b4a6f",
    "attention": "#d98b3a",
    "norms, rotations, gates": "#e8bf7a",
    "optimizer": "#8a8a8a",
    "everything else": "#c9c9c9",
}


def main() -> None:
    a = arguments()
    settings = Settings().with_values(parse_pairs(a.set))
    if settings.train.threads:
        torch.set_num_threads(settings.train.threads)
    opened = open_source(a.base, dtype=settings.train.dtype, device="cpu")
    examples = [Example.of(row.ids, row.trained) for row in rendered(opened, a.data, settings.train.max_length)]
    attach(opened.decoder, settings.lora)
    epochs = (a.steps + a.warmup) * settings.train.batch_size / len(examples)
    profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
    hooks = Hooks(on_step=lambda state, _: profiler.start() if state.step == a.warmup else None)
    with tempfile.TemporaryDirectory() as folder:
        config = replace(settings.train, epochs=epochs, save_every=10**9)
        trainer = Trainer(opened.decoder, examples, [], config, Path(folder), hooks)
        trainer.save = profiler.stop  # type: ignore[method-assign]  # what comes after the last step is not a step
        trainer.run()
    shares = shares_of(profiler, opened.decoder.config.vocab_size)
    result = {"tool": f"nabot {nabot.__version__}", "steps": a.steps, "shares": shares, "machine": describe()}
    print(json.dumps(result))
    if a.svg:
        dtype = str(opened.decoder.embedding.dtype).removeprefix("torch.")
        machine = f"{describe()['processor']}, {torch.get_num_threads()} threads, {describe()['isa']}"
        measured_on = f"{a.base} in {dtype}, {a.steps} steps; {machine}; {date.today()}"
        a.svg.write_text(picture(shares, measured_on), encoding="utf-8")


def shares_of(profiler: Any, vocab: int) -> dict[str, float]:
    """Fractions of all self time, by what it was spent on."""
    sums = dict.fromkeys(COLOURS, 0.0)
    for event in profiler.key_averages(group_by_input_shape=True):
        sums[kind(event, vocab)] += event.self_cpu_time_total
    total = sum(sums.values())
    return {name: round(value / total, 4) for name, value in sums.items()}


def kind(event: Any, vocab: int) -> str:
    if event.key in PRODUCTS:
        sides = [side for shape in event.input_shapes if len(shape) == 2 for side in shape]
        if vocab in sides:
            return "head"
        return "adapter" if sides and min(sides) <= FEW else "frozen weights"
    if any(name in event.key for name in ATTENTION):
        return "attention"
    if any(name in event.key for name in BETWEEN):
        return "norms, rotations, gates"
    if "adam" in event.key.lower():
        return "optimizer"
    return "everything else"


def picture(shares: dict[str, float], measured_on: str) -> str:
    """One bar, its parts in words, and where it was measured: an SVG that needs nothing else."""
    width, left, parts, legend = 720.0, 0.0, [], []
    for line, (name, share) in enumerate(shares.items()):
        fill = COLOURS[name]
        parts.append(f'<rect x="{left:.1f}" y="0" width="{share * width:.1f}" height="40" fill="{fill}"/>')
        left += share * width
        y = 62 + 22 * line
        legend.append(f'<rect x="0" y="{y}" width="14" height="14" fill="{fill}"/>')
        legend.append(f'<text x="22" y="{y + 12}">{escape(name)}: {share:.0%}</text>')
    height = 92 + 22 * len(shares)
    legend.append(f'<text x="0" y="{height - 10}" fill="#666">{escape(measured_on)}</text>')
    style = "font-family:sans-serif;font-size:14px"
    inside = "\n".join([*parts, *legend])
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" style="{style}">\n{inside}\n</svg>\n'


def arguments() -> argparse.Namespace:
    p = parser_of_runs(__doc__, steps=10)
    p.add_argument("--svg", type=Path, help="where to draw the shares")
    return p.parse_args()


if __name__ == "__main__":
    main()
