"""The speed of LoRA tuning, through the very Trainer that `nabot tune` runs. In: a base and rows, out: one JSON line.

`tokens_per_second` counts tokens that went through the decoder; `row_tokens_per_second` counts every row in full, as
peers do that pad or repeat what rows share: compare peers with the second. The share of the machine's own GEMM rate
counts frozen products, adapter and head; attention and everything elementwise are time without counted work. Only
the given rows are learned: no rehearsal, nothing held out.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from machine import describe, gemm_rates

import nabot
from nabot.adapters import attach, load_adapter
from nabot.data import read_conversations, row_at
from nabot.memory import peak_memory_bytes
from nabot.models.decoder import Decoder
from nabot.models.linear import linear_groups
from nabot.recipes.opening import Opened, open_source
from nabot.recipes.settings import Settings, parse_pairs
from nabot.rendering import Rendered
from nabot.train.batches import Example
from nabot.train.checkpoints import RunState
from nabot.train.config import TrainConfig
from nabot.train.loop import Hooks, Trainer
from nabot.train.step import StepStats, trainable

DEMO = Path(nabot.__file__).parent / "demo" / "conversations.jsonl"


@dataclass
class Clock:
    """Sums over the steps behind the warm-up."""

    warmup: int
    seconds: float = 0.0
    tokens: int = 0
    targets: int = 0
    losses: list[float] = field(default_factory=list)
    _last: float = 0.0

    def step(self, state: RunState, stats: StepStats) -> None:
        self.losses.append(round(stats.loss, 5))
        if state.step > self.warmup:
            self.seconds += state.seconds - self._last
            self.tokens += stats.num_tokens
            self.targets += stats.num_targets
        self._last = state.seconds


def main() -> None:
    a = arguments()
    settings = Settings().with_values(parse_pairs(a.set))
    if settings.train.threads:
        torch.set_num_threads(settings.train.threads)
    opened = open_source(a.base, dtype=settings.train.dtype, device="cpu")
    rows = rendered(opened, a.data, settings.train.max_length)
    steps = a.steps + a.warmup
    config = replace(settings.train, epochs=steps * settings.train.batch_size / len(rows), save_every=10**9)
    taken = [rows[row_at(n, len(rows), config.seed)] for n in range(steps * config.batch_size)]
    if a.write_ids:
        write_ids(a.write_ids, taken)
    torch.manual_seed(config.seed)
    if a.adapter:
        load_adapter(opened.decoder, a.adapter)
    else:
        attach(opened.decoder, settings.lora)
    clock = measured(opened.decoder, rows, config, a.warmup)
    row_tokens = sum(len(row.ids) for row in taken[a.warmup * config.batch_size :])
    print(json.dumps(report(opened.decoder, settings, clock, row_tokens)))


def rendered(opened: Opened, data: Path, limit: int) -> list[Rendered]:
    """The rows of a file that have something to learn, as token ids with their mask."""
    fitted = (opened.renderer.fitted(row, limit) for row in read_conversations([data]))
    return [row for row in fitted if row is not None and any(row.trained[1:])]


def measured(decoder: Decoder, rows: list[Rendered], config: TrainConfig, warmup: int) -> Clock:
    clock = Clock(warmup)
    with tempfile.TemporaryDirectory() as folder:
        examples = [Example.of(row.ids, row.trained) for row in rows]
        Trainer(decoder, examples, [], config, Path(folder), Hooks(on_step=clock.step)).run()
    return clock


def report(decoder: Decoder, settings: Settings, clock: Clock, row_tokens: int) -> dict[str, Any]:
    peak, rates = peak_memory_bytes(), gemm_rates()  # in this order: the race needs memory, too
    gflops = work(decoder, clock) / clock.seconds / 1e9
    return {
        "tool": f"nabot {nabot.__version__}",
        "dtype": str(decoder.embedding.dtype).removeprefix("torch."),
        "rank": settings.lora.rank,
        "batch_size": settings.train.batch_size,
        "steps": len(clock.losses) - clock.warmup,
        "seconds": round(clock.seconds, 2),
        "tokens": clock.tokens,
        "trained_tokens": clock.targets,
        "tokens_per_second": round(clock.tokens / clock.seconds, 1),
        "row_tokens_per_second": round(row_tokens / clock.seconds, 1),
        "peak_memory_gb": round(peak / 1e9, 2),
        "gflops": round(gflops, 1),
        "gemm_gflops": rates,
        "share_of_gemm": {name: round(gflops / rate, 3) for name, rate in rates.items()},
        "loss": clock.losses,
        "machine": describe(),
    }


def work(decoder: Decoder, clock: Clock) -> float:
    """Floating-point operations of the measured steps. A frozen weight costs 2 forward and 2 for its input's gradient
    a token; an adapter's weight 2 more for its own; the head is asked at trained places alone."""
    frozen = sum(group.weight.numel() for _, _, group in linear_groups(decoder) if group.path)
    learned = sum(p.numel() for p in trainable(decoder).values())
    head = decoder.config.vocab_size * decoder.config.width
    return clock.tokens * (4.0 * frozen + 6.0 * learned) + clock.targets * 4.0 * head


def write_ids(path: Path, rows: list[Rendered]) -> None:
    """The rows in the order in which they are learned, for a peer that is to learn the very same ones."""
    lines = ({"input_ids": list(r.ids), "completion_mask": [int(t) for t in r.trained]} for r in rows)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def parser_of_runs(description: str | None, *, steps: int) -> argparse.ArgumentParser:
    """The flags of every script that runs steps of tuning."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", nargs="?", type=Path, default=DEMO, help="conversation file; the demo's by default")
    p.add_argument("--base", default="smollm2", help="a source, as for nabot tune")
    p.add_argument("--steps", type=int, default=steps, help="measured steps")
    p.add_argument("--warmup", type=int, default=3, help="steps before them")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for nabot tune")
    return p


def arguments() -> argparse.Namespace:
    p = parser_of_runs(__doc__, steps=20)
    p.add_argument("--adapter", type=Path, help="PEFT folder to start from")
    p.add_argument("--write-ids", type=Path, metavar="FILE", help="also write the rows for peers/trl_lora.py --ids")
    return p.parse_args()


if __name__ == "__main__":
    main()
