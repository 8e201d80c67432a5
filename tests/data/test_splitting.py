"""Splitting: every row on one side, near copies on the same one, kinds of rows in their shares, always the same way."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.data.near_questions import ALIKE, jaccard
from nabot.data.splitting import Split, held_out_places, near_groups, split_file
from nabot.errors import ConfigError, DataError

TOPICS = (
    "opening hours",
    "parking",
    "breakfast",
    "vegan cakes",
    "dogs",
    "card payments",
    "the garden",
    "wifi",
    "parties",
)
MORE = ("", " please", "?", " today", " on a sunny Sunday in the middle of a long summer")


def question(topic: str, more: str) -> str:
    return f"I would like to know everything about {topic} in your house{more}"


def row(asked: str, **keys: Any) -> dict[str, Any]:
    return {"question": asked, "answer": "Yes.", **keys}


def split(folder: Path, rows: list[dict[str, Any]], **more: Any) -> tuple[Split, list[str], list[str]]:
    """The report, and the lines on either side."""
    source = folder / "rows.jsonl"
    source.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    settings_ = {"share": 0.25, "count": None, "seed": 0, "force": True} | more
    done = split_file(source, folder / "train.jsonl", folder / "held.jsonl", **settings_)
    sides = [(folder / name).read_text(encoding="utf-8").splitlines() for name in ("train.jsonl", "held.jsonl")]
    return done, sides[0], sides[1]


questions = st.lists(st.builds(question, st.sampled_from(TOPICS), st.sampled_from(MORE)), min_size=2, max_size=25)


@given(questions, st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_every_row_stands_on_one_side_and_near_copies_on_the_same(
    tmp_path_factory: pytest.TempPathFactory, asked: list[str], seed: int
):
    rows = [row(text, id=i) for i, text in enumerate(asked)]
    try:
        done, train, held = split(tmp_path_factory.mktemp("split"), rows, seed=seed, count=max(1, len(rows) // 3))
    except DataError:  # all are near copies of each other
        assert min(Counter(near_groups(asked)).values()) > max(1, len(rows) // 3)
        return
    learned, measured = [json.loads(line) for line in train], [json.loads(line) for line in held]
    assert sorted(r["id"] for r in learned + measured) == list(range(len(rows)))
    assert [r["id"] for r in measured] == sorted(r["id"] for r in measured)
    assert 0 < len(measured) == done.held_out_rows <= done.wanted
    assert not any(jaccard(a["question"], b["question"]) >= ALIKE for a in learned for b in measured)


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=2, max_size=60), st.integers(0, 99))
def test_held_out_places_are_whole_groups_and_never_too_many(rows: list[tuple[int, str]], wanted: int):
    first: dict[int, int] = {}
    groups = [first.setdefault(group, place) for place, (group, _) in enumerate(rows)]
    held = held_out_places(groups, [kind for _, kind in rows], wanted, seed=3)
    assert len(held) <= wanted
    assert all((place in held) == (groups[place] in held) for place in range(len(rows)))


def test_kinds_of_rows_keep_their_shares():
    kinds = ["common"] * 800 + ["rare"] * 200
    held = held_out_places(range(1000), kinds, 100, seed=0)
    assert Counter(kinds[place] for place in held) == {"common": 80, "rare": 20}


def test_the_same_seed_gives_the_same_files_and_another_one_others(tmp_path: Path):
    rows = [row(f"{i * 7919} is which number in the list of the {i}th house?") for i in range(40)]
    first, again, other = (split(tmp_path, rows, seed=seed)[1:] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_rows_are_written_with_all_their_keys_and_read_back(tmp_path: Path):
    rows = [row(f"질문 {i * 7919}번은 무엇인가요?", category="가", note={"deep": [1]}) for i in range(8)]
    _, train, held = split(tmp_path, rows)
    written = [json.loads(line) for line in train + held]
    assert sorted(written, key=rows.index) == rows


def test_rows_that_say_the_same_in_other_signs_stay_together(tmp_path: Path):
    rows = [row("Parking?"), row("parking"), row("PARKING!"), row("A garden"), row("Dogs, too")]
    done, train, held = split(tmp_path, rows, count=2)
    assert done.together == 3
    assert sum("arking" in line.lower() for line in train) in (0, 3)
    assert len(held) == 2


@pytest.mark.parametrize(("wanted", "text"), [({"share": 0}, "--share 0"), ({"share": 1.5}, "1.5"), ({"count": 5}, "5 of 5"), ({"share": 0.01}, "0 of 5")])  # fmt: skip
def test_shares_that_leave_a_side_empty_are_refused(tmp_path: Path, wanted: dict[str, Any], text: str):
    with pytest.raises(ConfigError, match=text):
        split(tmp_path, [row(f"{i}?") for i in range(5)], **wanted)
    assert not (tmp_path / "held.jsonl").exists()


def test_where_all_ask_the_same_nothing_is_written(tmp_path: Path):
    with pytest.raises(DataError, match="so much alike"):
        split(tmp_path, [row("Parking?")] * 5)
    assert not (tmp_path / "train.jsonl").exists()


def test_faulty_rows_are_listed_and_nothing_is_written(tmp_path: Path):
    with pytest.raises(DataError, match=r"rows\.jsonl:2:answer"):
        split(tmp_path, [row("Parking?"), {"question": "?", "answer": ""}, row("Dogs")])
    assert not (tmp_path / "train.jsonl").exists()


@pytest.mark.parametrize(("train", "held", "text"), [("a", "a", "two things"), ("rows.jsonl", "b", "one of the files"), ("old", "b", "is there already")])  # fmt: skip
def test_places_that_would_lose_a_file_are_refused(tmp_path: Path, train: str, held: str, text: str):
    (tmp_path / "old").write_text("mine", encoding="utf-8")
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row(f"{i}?")) + "\n" for i in range(9)), encoding="utf-8")
    before = source.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=text):
        split_file(source, tmp_path / train, tmp_path / held, share=0.3, count=None, seed=0, force=False)
    assert source.read_text(encoding="utf-8") == before
    assert (tmp_path / "old").read_text(encoding="utf-8") == "mine"
