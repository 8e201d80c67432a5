"""What each way to take less memory saves and costs. In: a shape, out: a table, and one JSON line.

Makes a random decoder in the shape of SmolLM2-135M, LLaMA-3.2-1B or LLaMA-7B and runs whole steps on one row of random
tokens, once for each case, each in a process of its own. A case is a method and what saves, for example
"full:checkpoint=blocks". The peak is that process's; the seconds are the median of the steps behind the first.
"""

import argparse
import json
import statistics
import sys
from typing import Any

from machine import describe
from memory_runs import SHAPES, child, run_steps

CASES = (
    "lora:none",
    "lora:checkpoint=blocks",
    "lora:checkpoint=attention",
    "lora:layers=upper half",
    "full:none",
    "full:checkpoint=blocks",
    "full:checkpoint=attention",
    "full:optimizer_in_backward",
)
RANK = 16


def main() -> None:
    a = arguments()
    if a.run:
        print(json.dumps(run(a)))
        return
    cases = []
    for case in a.cases:
        given = ["--shape", a.shape, "--dtype", a.dtype, "--length", str(a.length), "--steps", str(a.steps)]
        cases.append({"case": case, **child([__file__, "--run", case, *given])})
    print(table(cases), file=sys.stderr)
    settings = {"shape": a.shape, "dtype": a.dtype, "length": a.length, "rank": RANK}
    print(json.dumps({**settings, "cases": cases, "machine": describe()}))


def run(a: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own: makes the decoder and learns."""
    import torch

    from nabot.adapters import LoraConfig, WholeConfig, attach
    from nabot.train.in_backward import InBackward
    from nabot.train.masters import Masters
    from nabot.train.step import trainable

    method, saver = a.run.split(":")
    torch.manual_seed(0)
    decoder = random_decoder(a.shape, getattr(torch, a.dtype))
    layers = f"{len(decoder.layers) // 2}-{len(decoder.layers) - 1}" if saver == "layers=upper half" else ""
    attach(decoder, LoraConfig(rank=RANK, layers=layers) if method == "lora" else WholeConfig())
    if saver.startswith("checkpoint="):
        decoder.checkpoint = saver.partition("=")[2]
    learning = trainable(decoder)
    masters = Masters(learning)
    optimizer = torch.optim.AdamW(masters.moved.values(), lr=1e-4, fused=True)
    masters.follow(optimizer)
    early = InBackward(learning, masters.moved, optimizer) if saver == "optimizer_in_backward" else None
    return run_steps(decoder, optimizer, length=a.length, steps=a.steps, in_backward=early)


def random_decoder(name: str, dtype: Any) -> Any:
    from nabot.models.config import DecoderConfig
    from nabot.models.loading import empty_decoder

    shape = SHAPES[name]
    config = DecoderConfig(
        vocab_size=shape.vocab,
        width=shape.width,
        num_layers=shape.layers,
        num_heads=shape.heads,
        num_kv_heads=shape.kv_heads,
        head_width=shape.width // shape.heads,
        mlp_width=shape.mlp,
        max_positions=8192,
        tie_embeddings=shape.tied,
    )
    decoder = empty_decoder(config, dtype=dtype)
    for slot, weight in decoder.slots():
        if "norm" in slot:
            weight.fill_(1)
        else:
            weight.normal_(std=0.02)
    return decoder


def table(cases: list[dict[str, Any]]) -> str:
    lines = ["| case | peak memory, GB | seconds a step |", "| --- | --- | --- |"]
    for case in cases:
        seconds = statistics.median(case["step_seconds"][1:] or case["step_seconds"])
        lines.append(f"| {case['case']} | {case['process_peak_gb']:.2f} | {seconds:.2f} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shape", choices=SHAPES, default="135m")
    p.add_argument("--cases", nargs="+", choices=CASES, default=CASES, metavar="METHOD:SAVER")
    p.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    p.add_argument("--length", type=int, default=1024, help="tokens of a step")
    p.add_argument("--steps", type=int, default=4, help="the first warms up")
    p.add_argument("--run", help=argparse.SUPPRESS)
    return p.parse_args()


if __name__ == "__main__":
    main()
