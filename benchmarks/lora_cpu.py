"""LoRA tuning beside TRL's SFTTrainer with PEFT, in turn, on the very same rows. In: rows, a base, out: one JSON line.

    .venv/bin/python benchmarks/lora_cpu.py rows.jsonl --hf hf --peer-python peers/bin/python

Both learn the same token ids with the same masks in the same order, each in a process of its own; peak memory is what
the operating system counted for that process. Columns: `usual` (nabot chooses its dtype; the peer runs in both), `avx2`
(both held to AVX2, float32), `long` (rows of about 2,048 tokens, made of the given ones). Ratios are nabot / the
peer's faster dtype.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import describe

import nabot

HERE = Path(__file__).parent
DEMO = Path(nabot.__file__).parent / "demo" / "conversations.jsonl"
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "NUMBA_CPU_NAME": "x86-64-v3",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,+sse4.2",
}
LONG_CHARACTERS = 7_500  # about 2,000 tokens of English for SmolLM2


def main() -> None:
    a = arguments()
    with tempfile.TemporaryDirectory() as folder:
        columns = {name: measured(name, a, Path(folder)) for name in a.columns}
    print(json.dumps({"tool": f"nabot {nabot.__version__}", "columns": columns, "machine": describe()}))


def measured(column: str, a: argparse.Namespace, folder: Path) -> dict[str, Any]:
    data, ids = a.data, folder / f"{column}.ids.jsonl"
    environment = {**os.environ, **(AVX2 if column == "avx2" else {})}
    ours = [sys.executable, str(HERE / "tune_cpu.py"), "--base", a.base, "--steps", str(a.steps), "--warmup", "1"]
    ours += ["--set", f"batch_size={a.batch}", "--set", "max_length=2048", "--write-ids", str(ids)]
    peer = [a.peer_python, str(HERE / "peers" / "trl_lora.py"), a.hf, str(ids), "--ids", "--sequential"]
    peer += ["--steps", str(a.steps + 1), "--warmup", "1", "--batch", str(a.batch), "--max-length", "2048"]
    dtypes = a.peer_dtypes
    if column == "avx2":
        ours += ["--set", "dtype=float32"]
        dtypes = ["float32"]
    if column == "long":
        data = folder / "long.jsonl"
        data.write_text("".join(f"{json.dumps(row)}\n" for row in joined(a.data)), encoding="utf-8")
        ours += ["--set", "batch_size=1"]
        peer += ["--batch", "1"]
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(a.rounds):  # in turn, so that a slow minute of the machine hits both
        runs.setdefault("nabot", []).append(run([*ours, str(data)], environment))
        for dtype in dtypes:
            runs.setdefault(f"trl {dtype}", []).append(run([*peer, "--dtype", dtype], environment))
    return summary(runs)


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    medians: dict[str, Any] = {}
    for name, results in runs.items():
        rate = "row_tokens_per_second" if name == "nabot" else "tokens_per_second"
        medians[name] = {
            "tokens_per_second": statistics.median(r[rate] for r in results),
            "all": [r[rate] for r in results],
            "peak_gb": statistics.median(r["process_peak_gb"] for r in results),
        }
    medians["nabot"]["share_of_gemm"] = runs["nabot"][0]["share_of_gemm"]
    medians["nabot"]["dtype"] = runs["nabot"][0]["dtype"]
    best = max((m for name, m in medians.items() if name != "nabot"), key=lambda m: m["tokens_per_second"])
    own = medians["nabot"]
    ratios = {
        "speed": round(own["tokens_per_second"] / best["tokens_per_second"], 2),
        "memory": round(own["peak_gb"] / best["peak_gb"], 2),
    }
    return {"ratios": ratios, **medians}


def run(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """What the last line of a script says, and the peak memory of its process."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8")
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: status {os.waitstatus_to_exitcode(status)}")
    kilo = 1 if sys.platform == "darwin" else 1024
    result: dict[str, Any] = json.loads(lines[-1])
    print(json.dumps({k: v for k, v in result.items() if k != "loss"}), file=sys.stderr)
    return {**result, "process_peak_gb": round(usage.ru_maxrss * kilo / 1e9, 2)}


def joined(path: Path) -> Iterator[dict[str, Any]]:
    """Conversations of many turns, each made of the next rows until it is long."""
    messages: list[Any] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        messages += json.loads(line)["messages"]
        if sum(len(m["content"]) for m in messages) > LONG_CHARACTERS:
            yield {"messages": messages}
            messages = []


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("data", nargs="?", type=Path, default=DEMO, help="conversations, one object with messages a line")
    p.add_argument("--base", default="smollm2", help="a source, as for nabot tune")
    p.add_argument("--hf", required=True, help="the same weights as a Hugging Face folder (peers/to_hf.py)")
    p.add_argument("--peer-python", default=sys.executable, help="the Python that has trl and peft")
    p.add_argument("--columns", nargs="+", default=["usual", "avx2", "long"], choices=["usual", "avx2", "long"])
    p.add_argument(
        "--peer-dtypes", nargs="+", default=["bfloat16", "float32"], help="outside `avx2`; one may be hopeless"
    )
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--steps", type=int, default=6, help="measured steps of a run")
    p.add_argument("--batch", type=int, default=8, help="conversations a step")
    return p.parse_args()


if __name__ == "__main__":
    main()
