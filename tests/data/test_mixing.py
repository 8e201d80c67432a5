"""Mixing: shares as T5 and FLAN compute them, whole rows, each nearly as often as the others of its file."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.files import read_conversations
from nabot.data.mixing import Part, Source, amounts, apportioned, mix_files
from nabot.errors import ConfigError, DataError


def files(folder: Path, **sizes: int) -> list[Path]:
    """A file of so many rows for each name."""
    paths = []
    for name, size in sizes.items():
        rows = [{"question": f"{name} {i}?", "answer": f"{i}."} for i in range(size)]
        paths.append(folder / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return paths


def mixed(folder: Path, sources: list[Source], **more: Any) -> tuple[list[Part], list[str]]:
    parts = mix_files(sources, folder / "mix.jsonl", **({"force": True} | more))
    lines = (folder / "mix.jsonl").read_text(encoding="utf-8").splitlines()
    return parts, [json.loads(line)["messages"][0]["content"] for line in lines]


def shares(sizes: list[int], **more: Any) -> list[int]:
    return amounts([Source(Path(str(i))) for i in range(len(sizes))], sizes, **more)


def test_temperature_one_takes_every_row_once(tmp_path: Path):
    parts, questions = mixed(tmp_path, [Source(path) for path in files(tmp_path, a=7, b=3)])
    assert Counter(questions) == Counter([*(f"a {i}?" for i in range(7)), *(f"b {i}?" for i in range(3))])
    assert [part.epochs for part in parts] == [1, 1]
    assert questions != sorted(questions)


def test_shares_are_sizes_to_the_power_of_one_by_t():
    # T5, section 3.5.2: the rate of a task is its size, to the power 1/T, beside the others'
    sizes, temperature = [10_000, 100, 1], 2.0
    exact = [size ** (1 / temperature) for size in sizes]
    assert shares(sizes, num_rows=1_110, temperature=temperature) == [round(1_110 * x / sum(exact)) for x in exact]


def test_a_temperature_near_zero_takes_the_largest_alone(tmp_path: Path):
    sources = [Source(path) for path in files(tmp_path, a=5, b=20)]
    parts = mix_files(sources, tmp_path / "mix.jsonl", temperature=1e-4)
    assert [part.taken for part in parts] == [0, 25]


def test_a_large_temperature_makes_all_equal_and_a_limit_makes_large_ones_equal():
    assert shares([10_000, 100, 1], num_rows=300, temperature=math.inf) == [100, 100, 100]
    assert shares([10_000, 9_000, 3_000, 1_000], num_rows=1_000, limit=3_000) == [300, 300, 300, 100]


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=8), st.integers(0, 1000))
def test_apportioned_numbers_are_the_shares_rounded_down_or_up(weights: list[float], total: int):
    exact = [weight / sum(weights) * total for weight in weights]
    counts = apportioned([weight / sum(weights) for weight in weights], total)
    assert sum(counts) == total
    assert all(abs(count - value) < 1 + 1e-9 for count, value in zip(counts, exact, strict=True))


@given(st.lists(st.integers(1, 500), min_size=2, max_size=6), st.floats(1, 10))
def test_a_higher_temperature_never_takes_from_the_smallest(sizes: list[int], temperature: float):
    smallest = sizes.index(min(sizes))
    total = sum(sizes)
    assert shares(sizes, num_rows=total, temperature=temperature)[smallest] >= sizes[smallest] - 1


def test_rows_of_a_file_differ_by_one_at_most_and_weights_are_kept(tmp_path: Path):
    a, b = files(tmp_path, a=10, b=10)
    parts, questions = mixed(tmp_path, [Source(a, weight=3), Source(b, weight=1)], num_rows=100)
    assert [part.taken for part in parts] == [75, 25]
    assert [part.epochs for part in parts] == [7.5, 2.5]
    assert {count for question, count in Counter(questions).items() if question[0] == "a"} == {7, 8}
    assert {count for question, count in Counter(questions).items() if question[0] == "b"} == {2, 3}


def test_epochs_of_one_file_leave_the_rest_to_the_others(tmp_path: Path):
    a, b, c = files(tmp_path, a=10, b=30, c=10)
    parts, _ = mixed(tmp_path, [Source(a, epochs=2), Source(b), Source(c)], num_rows=100)
    assert [part.taken for part in parts] == [20, 60, 20]
    parts, _ = mixed(tmp_path, [Source(a, epochs=0.5), Source(b), Source(c)])
    assert [part.taken for part in parts] == [5, 30, 10]


def test_the_same_seed_gives_the_same_file_and_another_one_another(tmp_path: Path):
    sources = [Source(path) for path in files(tmp_path, a=20, b=20)]
    first, again, other = (mixed(tmp_path, sources, num_rows=30, seed=seed)[1] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_files_of_several_layouts_become_one_and_rows_of_messages_keep_their_keys(tmp_path: Path):
    (a,) = files(tmp_path, a=2)
    b = tmp_path / "b.jsonl"
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], "teacher": "x"}
    b.write_text(json.dumps(row), encoding="utf-8")
    mixed(tmp_path, [Source(a), Source(b)])
    assert len(read_conversations([tmp_path / "mix.jsonl"])) == 3
    assert '"teacher": "x"' in (tmp_path / "mix.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("said", "more", "text"),
    [
        ([{"weight": 1}, {}], {}, "to all of them"),
        ([{"weight": 1}, {"weight": 0}], {}, "weight 0"),
        ([{"weight": 1}, {"weight": math.nan}], {}, "weight nan"),
        ([{"weight": 1}, {"weight": 2}], {"temperature": 2}, "would be ignored"),
        ([{"weight": 1, "epochs": 2}, {"weight": 2}], {}, "contradict"),
        ([{"epochs": 1}, {"epochs": 1}], {"num_rows": 5}, "contradicts"),
        ([{"epochs": 3}, {}], {"num_rows": 15}, "take 15 rows"),
        ([{"epochs": 0.01}, {"epochs": 0.01}], {}, "not one row"),
        ([{}, {}], {"temperature": 0}, "--temperature 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, said: list[dict[str, float]], more: dict[str, Any], text: str
):
    a, b = files(tmp_path, a=5, b=5)
    with pytest.raises(ConfigError, match=text):
        mixed(tmp_path, [Source(a, **said[0]), Source(b, **said[1])], **more)
    assert not (tmp_path / "mix.jsonl").exists()


def test_a_file_named_twice_and_faulty_rows_are_refused(tmp_path: Path):
    a, b = files(tmp_path, a=2, b=2)
    with pytest.raises(ConfigError, match="twice"):
        mixed(tmp_path, [Source(a), Source(tmp_path / "." / "a.jsonl")])
    b.write_text('{"question": "x", "answer": ""}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.jsonl:1:answer"):
        mixed(tmp_path, [Source(a), Source(b)])
    assert not (tmp_path / "mix.jsonl").exists()


def test_weights_of_any_size_are_only_compared(tmp_path: Path):
    a, b = files(tmp_path, a=6, b=6)
    parts = mix_files([Source(a, 1.5e308), Source(b, 0.5e308)], tmp_path / "mix.jsonl")
    assert [part.taken for part in parts] == [9, 3]
