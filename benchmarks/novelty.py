"""The novelty filter beside Alpaca's. In: pool sizes, perhaps a file of instructions, out: one JSON line.

Both sides get the same texts, made up by a seeded grammar: openings that instructions have, words as frequent as Zipf's
law says, and among the candidates near copies of what is in the pool. Or the rows of FILE (JSON Lines with a field
"instruction"). The peer is `peers/rouge_filter.py`, each size in a process of its own; decisions have to be equal.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate, islice
from pathlib import Path
from statistics import median
from typing import Any

from machine import describe

from nabot.synth.novelty import Pool

PEER = Path(__file__).parent / "peers" / "rouge_filter.py"
NUM_WORDS, ROUNDS, NEAR_COPIES = 30_000, 5, 0.25
OPENINGS = (
    "Write a short story about", "Explain the difference between", "Give three tips for", "Create a list of",
    "Summarise the following text about", "Describe how to", "Rewrite this sentence about", "Suggest a name for",
    "Translate the following into English:", "Generate a question on", "Compare", "What is the best way to",
    "Classify the following as", "Find the main idea of", "Name two examples of", "Imagine that you are",
)  # fmt: skip
SMALL = [
    "the", "of", "and", "to", "a", "in", "for", "is", "on", "that", "with", "as", "by", "this", "from", "are",
    "it",
]  # fmt: skip
SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "en", "or", "al", "is")]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("file", type=Path, nargs="?")
    p.add_argument("--sizes", type=int, nargs="+", default=[1_000, 5_000, 20_000, 50_000, 200_000])
    p.add_argument("--candidates", type=int, default=20)
    p.add_argument("--peer-up-to", type=int, default=50_000, help="larger pools are timed without the peer")
    p.add_argument("--processes", type=int, default=2, help="of the peer; nabot takes one")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    rng = random.Random(a.seed)
    texts = from_file(a.file, rng) if a.file else list(islice(made_up(rng), max(a.sizes)))
    candidates = [near_copy(rng.choice(texts[: min(a.sizes)]), rng) for _ in range(int(NEAR_COPIES * a.candidates))]
    candidates += (
        texts[: a.candidates - len(candidates)] if a.file else islice(made_up(rng), a.candidates - len(candidates))
    )
    if a.file:
        texts = texts[a.candidates :]
    rows = [side_by_side(texts[:size], candidates, a) for size in a.sizes if size <= len(texts)]
    versions = {name: version(name) for name in ("rapidfuzz", "rouge-score", "numpy")}
    print(json.dumps({"benchmark": "novelty", **describe(), **versions, "rows": rows}))


def made_up(rng: random.Random) -> Iterator[str]:
    """Instructions without end."""
    names = list(
        dict.fromkeys("".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 2, 3)))) for _ in range(2 * NUM_WORDS))
    )
    names = names[:NUM_WORDS]
    zipf = list(accumulate(1 / rank for rank in range(1, len(names) + 1)))
    small = zipf[: len(SMALL)]
    while True:
        body = rng.choices(names, cum_weights=zipf, k=max(1, int(rng.lognormvariate(1.9, 0.6))))
        joined = " ".join(f"{rng.choices(SMALL, cum_weights=small)[0]} {w}" if rng.random() < 0.45 else w for w in body)
        yield f"{rng.choice(OPENINGS)} {joined}."


def from_file(path: Path, rng: random.Random) -> list[str]:
    texts = [json.loads(line)["instruction"] for line in path.read_text(encoding="utf-8").splitlines()]
    rng.shuffle(texts)
    return texts


def near_copy(text: str, rng: random.Random) -> str:
    """`text` with about every seventh word taken from elsewhere in it."""
    words = text.split()
    return " ".join(rng.choice(words) if rng.random() < 1 / 7 else word for word in words)


def side_by_side(pool: Sequence[str], candidates: Sequence[str], a: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a candidate, ours and the peer's, and whether the decisions are the same."""
    kept, seconds, growing = ours(pool, candidates)
    row: dict[str, Any] = {"pool": len(pool), "candidates": len(candidates), "kept": sum(kept), "ms": 1e3 * seconds}
    row["append_us"] = 1e6 * growing / len(pool)
    if len(pool) <= a.peer_up_to:
        theirs = peer(pool, candidates, a.processes)
        if theirs["kept"] != kept:
            raise SystemExit(f"decisions differ with a pool of {len(pool)}: {kept} and {theirs['kept']}")
        row |= {"peer_ms": 1e3 / theirs["candidates_per_second"], "processes": a.processes}
        row["ratio"] = row["peer_ms"] / row["ms"]
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}


def ours(texts: Sequence[str], candidates: Sequence[str]) -> tuple[list[bool], float, float]:
    """What is kept, seconds a candidate (median of rounds over all of them), seconds of filling the pool."""
    begun = time.perf_counter()
    pool = Pool(texts)
    growing = time.perf_counter() - begun
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        kept = [pool.near_copy(text) is None for text in candidates]
        rounds.append((time.perf_counter() - begun) / len(candidates))
    return kept, median(rounds), growing


def peer(pool: Sequence[str], candidates: Sequence[str], processes: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        path.write_text("".join(json.dumps({"instruction": t}) + "\n" for t in (*pool, *candidates)), encoding="utf-8")
        command = [sys.executable, str(PEER), str(path), f"--candidates={len(candidates)}", f"--processes={processes}"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
