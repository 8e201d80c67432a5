"""The novelty filter of Stanford Alpaca's generator. In: a pool of instructions, out: one JSON line.

rouge_score's tokenizer and longest common subsequence, each candidate against the whole pool, kept if no F-measure
exceeds 0.7. POOL is JSON Lines with a field "instruction"; its last rows are the candidates.
"""

import argparse
import json
import time
from functools import partial
from multiprocessing import Pool
from pathlib import Path

from rouge_score import rouge_scorer

LIMIT = 0.7


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("pool", type=Path)
    p.add_argument("--candidates", type=int, default=20)
    p.add_argument("--processes", type=int, default=2)
    a = p.parse_args()
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    lines = a.pool.read_text(encoding="utf-8").splitlines()
    tokens = [scorer._tokenizer.tokenize(json.loads(line)["instruction"]) for line in lines]
    pool, candidates = tokens[: -a.candidates], tokens[-a.candidates :]
    begun = time.perf_counter()
    with Pool(a.processes) as workers:
        kept = [is_new(candidate, pool, workers) for candidate in candidates]
    rate = len(candidates) / (time.perf_counter() - begun)
    print(json.dumps({"peer": "rouge_score", "pool": len(pool), "candidates_per_second": round(rate, 3), "kept": kept}))


def is_new(candidate: list[str], pool: list[list[str]], workers: "Pool") -> bool:
    """Whether nothing in the pool says nearly the same."""
    scores = workers.map(partial(rouge_scorer._score_lcs, candidate), pool, chunksize=512)
    return max(score.fmeasure for score in scores) <= LIMIT


if __name__ == "__main__":
    main()
