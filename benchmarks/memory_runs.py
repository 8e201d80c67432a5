"""What scripts about memory share. In: a shape, a command, a decoder, out: sizes, a child's peak, steps of tuning.

A peak is a whole process's, so everything that is measured runs in a process of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    width: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    vocab: int
    tied: bool


SHAPES = {
    "tiny": Shape(64, 4, 4, 2, 128, 512, tied=True),  # to see a script work
    "135m": Shape(576, 30, 9, 3, 1536, 49152, tied=True),  # HuggingFaceTB/SmolLM2-135M, config.json
    "1b": Shape(2048, 16, 32, 8, 8192, 128256, tied=True),  # meta-llama/Llama-3.2-1B, config.json
    "7b": Shape(4096, 32, 32, 32, 11008, 32000, tied=False),  # Touvron et al. 2023, table 2
}


def child(arguments: Sequence[str]) -> dict[str, Any]:
    """The JSON line that this Python prints for these arguments, and the process's peak as the operating system counts
    it. Ends this process, too, if the child fails."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None
    result = json.loads(process.stdout.read() or "{}")
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(os.waitstatus_to_exitcode(status))
    kilo = 1 if sys.platform == "darwin" else 1024
    return {**result, "process_peak_gb": round(usage.ru_maxrss * kilo / 1e9, 2)}


def run_steps(decoder: Any, optimizer: Any, *, length: int, steps: int, in_backward: Any = None) -> dict[str, Any]:
    """Whole steps (forward, backward, update) on one row of random tokens, of which every second is learned."""
    import torch

    from nabot.memory import keep_freed_memory, peak_memory_bytes
    from nabot.train.batches import Example, collate
    from nabot.train.step import train_step

    ids = torch.randint(0, decoder.config.vocab_size, (length + 1,)).tolist()
    part = collate([Example.of(ids, [n % 2 == 1 for n in range(len(ids))])])
    keep_freed_memory()
    seconds, losses = [], []
    for _ in range(steps):
        begun = time.perf_counter()
        stats = train_step(decoder.train(), [part], optimizer, 0 if in_backward else 1, in_backward=in_backward)
        seconds.append(round(time.perf_counter() - begun, 2))
        losses.append(round(stats.loss, 4))
        print(f"{seconds[-1]} s, {peak_memory_bytes() / 1e9:.2f} GB at most", file=sys.stderr, flush=True)
    return {"step_seconds": seconds, "loss": losses}
