"""Near duplicates among many rows. In: a number of rows, out: one JSON line.

The rows are those of `doctor.py`, and one in twenty is an earlier one with a word changed. Told are seconds of the process,
the most memory that it had (the texts included), and how many of the planted copies that are near duplicates were found.
"""

import argparse
import json
import random
import resource
import sys
import time
from importlib.metadata import version

from doctor import made_up
from machine import describe

from nabot.data.near import Texts, alike, near_duplicates

COPIES = 0.05


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rows", type=int, default=1_000_000)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    rng = random.Random(a.seed)
    rows: list[Texts] = []
    copied: dict[int, int] = {}
    for place in range(a.rows):
        if place and rng.random() < COPIES:
            copied[place] = rng.randrange(place)
            rows.append(near_copy(rows[copied[place]], rng))
        else:
            row = made_up(rng)
            rows.append(("", row["instruction"], row["input"], row["output"]))
    begun, begun_cpu = time.perf_counter(), time.process_time()
    found = near_duplicates(rows)
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
    # a copy of a row that is itself a near duplicate need not repeat the one that stays
    stays = {place: first for place, first in copied.items() if first not in found}
    planted = [place for place, first in stays.items() if alike(rows[place], rows[first])]
    figures = {
        "rows": a.rows,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_gb": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6), 2
        ),
        "planted": len(planted),
        "planted_found": sum(place in found for place in planted),
        "found": len(found),
    }
    print(json.dumps({"benchmark": "near_duplicates", **describe(), "rensa": version("rensa"), **figures}))


def near_copy(row: Texts, rng: random.Random) -> Texts:
    """The row with one word of its answer exchanged."""
    words = row[-1].split()
    words[rng.randrange(len(words))] = "instead"
    return (*row[:-1], " ".join(words))


if __name__ == "__main__":
    main()
