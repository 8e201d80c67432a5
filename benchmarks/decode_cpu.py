"""The speed of answering: reading a prompt, one stream, several at once. In: a source, out: one JSON line.

Answers run to their full length (the end token is ignored), as peers are measured.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from machine import describe

import nabot
from nabot.conversation import Conversation
from nabot.engine import Engine
from nabot.memory import peak_memory_bytes
from nabot.models.quantised import quantise
from nabot.recipes.opening import open_source
from nabot.textmodel import Sampling


def main() -> None:
    a = arguments()
    if a.threads:
        torch.set_num_threads(a.threads)
    opened = open_source(a.base, dtype=a.dtype, device="cpu")
    opened.renderer.stop_ids = frozenset()  # type: ignore[misc]  # no token ends an answer
    few_rows = None
    if not a.dense:
        few_rows = quantise(opened.decoder)
        few_rows.prepare()
    engine = Engine(opened.decoder, opened.renderer, max_running=max([1, *a.streams]), few_rows=few_rows)
    run(engine, [opened.renderer.prompt(Conversation.ask("Hello"))], 4)  # warm-up
    result: dict[str, Any] = {"tool": f"nabot {nabot.__version__}", "base": a.base, "rounds": a.rounds}
    result["few_bits"] = not a.dense
    result["dtype"] = str(opened.decoder.embedding.dtype).removeprefix("torch.")
    result["prefill"] = spread(lambda r: a.prompt_tokens / run(engine, [noise(a.prompt_tokens, r)], 1), a.rounds)
    for streams in (1, *a.streams):
        prompts = [opened.renderer.prompt(Conversation.ask(f"Tell me story {i}.")) for i in range(streams)]
        amount = streams * a.new_tokens
        result[f"streams_{streams}"] = spread(lambda _, n=amount, p=prompts: n / run(engine, p, a.new_tokens), a.rounds)
    result["peak_memory_gb"] = round(peak_memory_bytes() / 1e9, 2)
    result["machine"] = describe()
    print(json.dumps(result))


def run(engine: Engine, prompts: list[tuple[int, ...]], new_tokens: int) -> float:
    """Seconds until the last answer has ended, prompts read included."""
    begun = time.perf_counter()
    for prompt in prompts:
        engine.add_tokens(prompt, Sampling(max_new_tokens=new_tokens))
    while engine.step():
        pass
    return time.perf_counter() - begun


def noise(length: int, seed: int) -> tuple[int, ...]:
    """A prompt that nothing in the cache begins with."""
    return tuple(torch.randint(100, 40_000, (length,), generator=torch.Generator().manual_seed(seed)).tolist())


def spread(rate: Callable[[int], float], rounds: int) -> dict[str, float]:
    """Median, least and most tokens a second over the rounds."""
    rates = [rate(number) for number in range(rounds)]
    return {"median": round(statistics.median(rates), 1), "low": round(min(rates), 1), "high": round(max(rates), 1)}


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", default="smollm2", help="a source, as for nabot chat")
    p.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    p.add_argument("--prompt-tokens", type=int, default=900)
    p.add_argument("--new-tokens", type=int, default=100)
    p.add_argument("--streams", type=int, nargs="*", default=[8, 16], help="how many at once; one is always measured")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--dense", action="store_true", help="no weights of few bits")
    p.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    return p.parse_args()


if __name__ == "__main__":
    main()
