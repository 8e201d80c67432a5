"""llama.cpp on a CPU, through xllamacpp: decoding, prefill, several streams at once. In: .gguf files, out: a JSON line each.

Give the same weights in several types (retype.py makes them): llama.cpp's speed depends on the type, and its best one
is the honest rival.
"""

import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xllamacpp

LONG = "The sea is a place where people go. " * 100
Answer = Callable[..., dict[str, Any]]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("gguf", nargs="+", type=Path)
    p.add_argument("--streams", type=int, nargs="+", default=[8, 16])
    p.add_argument("--new-tokens", type=int, default=200)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    a = p.parse_args()
    for path in a.gguf:
        answer = served(path, max(a.streams), a.threads)
        result: dict[str, Any] = {"peer": "llama.cpp", "file": path.name, "threads": a.threads}
        result["prefill"] = timed(answer, "prompt_per_second", a.rounds, prompt=LONG, n_predict=1)
        result["streams_1"] = timed(answer, "predicted_per_second", a.rounds, prompt="The sea", n_predict=a.new_tokens)
        for streams in a.streams:
            rates = [together(answer, streams, a.new_tokens) for _ in range(a.rounds)]
            result[f"streams_{streams}"] = round(statistics.median(rates), 1)
        print(json.dumps(result), flush=True)


def served(path: Path, slots: int, threads: int) -> Answer:
    """A server inside this process, and the function that asks it; answers run to their full length."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel, params.n_ctx = slots, 2048 * slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)

    def answer(**request: Any) -> dict[str, Any]:
        reply = server.handle_completions({"temperature": 0, "ignore_eos": True, "cache_prompt": False, **request})
        return json.loads(reply) if isinstance(reply, str | bytes) else reply

    return answer


def timed(answer: Answer, figure: str, rounds: int, **request: Any) -> float:
    """Median of one of llama.cpp's own figures, in tokens a second."""
    return round(statistics.median(answer(**request)["timings"][figure] for _ in range(rounds)), 1)


def together(answer: Answer, streams: int, new_tokens: int) -> float:
    """Tokens a second of all streams, from the first question to the last answer's end."""
    asking = [
        threading.Thread(target=answer, kwargs={"prompt": f"Story {i}: ", "n_predict": new_tokens})
        for i in range(streams)
    ]
    begun = time.perf_counter()
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    return streams * new_tokens / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
