"""Does an adapter slow the answer? In: finished bots, out: one JSON line.

One person is answered by the bare base, by the base with the bot's adapter attached, and (LoRA) with it fused into the
weights: the same tokens, in turn, the end token ignored. Ratios are of medians, to the base's.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from decode_cpu import run
from machine import describe

import nabot
from nabot.adapters import fuse, load_adapter
from nabot.bot import ADAPTER
from nabot.conversation import Conversation
from nabot.engine import Engine
from nabot.models.quantised import quantise
from nabot.recipes.opening import Opened, open_base_of


def main() -> None:
    a = arguments()
    bots = {str(bot): measured(bot, a) for bot in a.bots}
    print(
        json.dumps({"tool": f"nabot {nabot.__version__}", "few_bits": a.few_bits, "bots": bots, "machine": describe()})
    )


def measured(bot: Path, a: argparse.Namespace) -> dict[str, Any]:
    found = {form: engine(bot, form, few_bits=a.few_bits) for form in ("base", "attached", "fused")}
    engines = {form: own for form, own in found.items() if own is not None}
    rates: dict[str, list[float]] = {form: [] for form in engines}
    for number in range(a.rounds + 1):
        for form, own in engines.items():
            seconds = run(own, [prompt(own, number)], a.new_tokens)
            if number:  # the first round warms up
                rates[form].append(a.new_tokens / seconds)
    medians = {form: statistics.median(own) for form, own in rates.items()}
    return {
        "method": open_base_of(bot)[1].method,
        "tokens_per_second": {form: round(rate, 1) for form, rate in medians.items()},
        "ratio": {form: round(rate / medians["base"], 3) for form, rate in medians.items()},
    }


def engine(bot: Path, form: str, *, few_bits: bool) -> Engine | None:
    """None where there is nothing to fuse."""
    opened, record = open_base_of(bot)
    if form == "fused" and record.method != "lora":
        return None
    if form != "base":
        load_adapter(opened.decoder, bot / ADAPTER)
    if form == "fused":
        fuse(opened.decoder)
    return endless(opened, few_bits=few_bits)


def endless(opened: Opened, *, few_bits: bool) -> Engine:
    """No token ends an answer."""
    engine = opened.dense_engine()
    if few_bits:
        few_rows = quantise(opened.decoder)
        few_rows.prepare()
        engine = Engine(opened.decoder, opened.renderer, few_rows=few_rows)
    engine.renderer.stop_ids = frozenset()  # type: ignore[misc,unused-ignore]
    return engine


def prompt(engine: Engine, number: int) -> tuple[int, ...]:
    return engine.renderer.prompt(Conversation.ask(f"What do you know about the number {number}?"))


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bots", type=Path, nargs="+")
    p.add_argument("--new-tokens", type=int, default=100)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--few-bits", action="store_true", help="with weights of few bits, as nabot chat has them")
    return p.parse_args()


if __name__ == "__main__":
    main()
