"""How fast `nabot data check` looks at rows. In: a number of rows, out: one JSON line.

Rows are made up by a seeded grammar, half English and half Korean, as long as those of Alpaca and KoAlpaca. Each part runs
over the same rows on one core: reading them alone, what single rows show (the cheap checks), and the whole check with its
comparisons between rows.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import describe

from nabot.data.check import check
from nabot.data.files import scan_file
from nabot.data.judged import judge
from nabot.data.rows import open_rows
from nabot.data.symptoms import symptoms

ENGLISH = [
    "the", "of", "and", "to", "in", "for", "is", "on", "that", "with", "as", "by", "from", "are", "was", "an",
    "at", "be", "this", "have", "or", "one", "had", "not", "but", "what", "all", "were", "when", "we", "there",
    "can", "said", "which", "do", "their", "time", "if", "will", "way", "about", "many", "then", "them",
    "write", "would", "like", "these", "long", "make", "thing", "see", "him", "two", "has", "look", "more",
    "day", "could", "go", "come", "did", "number", "sound", "most", "people", "over", "know", "water", "than",
    "call", "first", "who", "may", "down", "side", "been", "now", "find", "head", "stand", "own", "page",
    "should", "country", "found", "answer", "school", "grow", "study", "still", "learn", "plant", "cover",
    "food", "sun", "four", "thought", "let", "keep", "eye", "never", "last", "door", "between", "city",
]  # fmt: skip
KOREAN = [
    "사람", "시간", "우리", "지금", "문제", "생각", "경우", "세계", "사회", "정도", "문화", "사실", "이름", "방법", "이유", "아침에", "저녁에는",
    "커피를", "마시고", "책을", "읽으면", "좋은", "많은", "새로운", "중요한", "다양한", "그리고", "하지만", "그래서", "따라서", "건강을", "위해", "매일",
    "운동하는", "것이", "필요합니다", "만들어", "보세요", "설명해", "주세요", "알려", "줍니다", "있습니다", "없습니다", "됩니다", "가능한", "함께", "가족과",
    "친구와", "여행을", "떠나면", "서울에서", "부산까지", "기차를", "타고", "바다를", "보러", "갑니다", "날씨가", "맑아서",
]  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--rows", type=int, default=200_000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--profile", action="store_true", help="where the time of the cheap checks goes, instead of figures")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rng = random.Random(a.seed)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(made_up(rng), ensure_ascii=False) + "\n" for _ in range(a.rows))
        characters = path.stat().st_size
        reading, rows = timed(lambda: list(judge(path, open_rows(path)).rows))
        sources = [row.source for row in rows if row.source]
        if a.profile:
            profile(lambda: [symptoms(source) for source in sources])
            return
        cheap, found = timed(lambda: sum(len(symptoms(source).problems) for source in sources))
        together, _ = timed(lambda: scan_file(path, lambda row: row.source and symptoms(row.source)))
        whole, report = timed(lambda: check([path]))
    figures = {
        "rows": a.rows,
        "bytes_a_row": round(characters / a.rows),
        "found": found,
        "near": report.summary.near_duplicates,
    }
    speeds = {"reading": reading, "cheap_checks": cheap, "reading_and_cheap_checks": together, "whole_check": whole}
    rates = {f"{name}_rows_per_second": round(a.rows / seconds) for name, seconds in speeds.items()}
    print(json.dumps({"benchmark": "doctor", **describe(), **figures, **rates}))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of this process on its core, which other programs hardly change, and what came out."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def profile(work: Callable[[], Any]) -> None:
    import cProfile

    cProfile.runctx("work()", {}, {"work": work}, sort="tottime")


def made_up(rng: random.Random) -> dict[str, str]:
    words, end = (ENGLISH, "?") if rng.random() < 0.5 else (KOREAN, "요?")
    question = " ".join(rng.choices(words, k=rng.randint(4, 14))) + end
    sentences = (
        " ".join(rng.choices(words, k=rng.randint(5, 15))).capitalize() + "." for _ in range(rng.randint(1, 6))
    )
    return {"instruction": question, "input": "", "output": " ".join(sentences)}


if __name__ == "__main__":
    main()
