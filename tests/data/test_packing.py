"""Order, bins and held-out rows: identities for any input."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation, Message
from nabot.data.heldout import held_out_places, held_out_rows
from nabot.data.packing import order, pack, row_at

LENGTHS = st.lists(st.integers(0, 130), max_size=200)


@given(LENGTHS, st.integers(1, 120))
def test_every_index_occurs_once_and_no_bin_overflows(lengths: list[int], capacity: int):
    bins = pack(lengths, capacity)
    assert sorted(index for members in bins for index in members) == list(range(len(lengths)))
    for members in bins:
        assert sum(lengths[i] for i in members) <= capacity or len(members) == 1


@given(LENGTHS, st.integers(1, 120))
def test_bins_keep_the_original_order_inside_and_by_their_first(lengths: list[int], capacity: int):
    bins = pack(lengths, capacity)
    assert all(a < b for members in bins for a, b in pairwise(members))
    assert all(a[0] < b[0] for a, b in pairwise(bins))


@given(LENGTHS, st.integers(1, 120))
def test_bins_equal_a_plain_best_fit_decreasing_in_number(lengths: list[int], capacity: int):
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [i for i, room in enumerate(rooms) if room >= length]
        if fitting:
            rooms[min(fitting, key=lambda i: rooms[i])] -= length
        else:
            rooms.append(capacity - length)
    assert len(pack(lengths, capacity)) == len(rooms)


@given(LENGTHS, st.integers(1, 120))
def test_no_two_bins_could_be_one(lengths: list[int], capacity: int):
    fills = sorted(sum(lengths[i] for i in members) for members in pack(lengths, capacity))
    assert len(fills) < 2 or fills[0] + fills[1] > capacity


def test_real_instruction_lengths_fill_their_bins_and_no_worse_than_first_fit_decreasing():
    lengths = np.random.default_rng(0).lognormal(4.5, 0.8, 3000).astype(int).clip(8, 1024).tolist()
    bins = pack(lengths, 1024)
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        at = next((i for i, room in enumerate(rooms) if room >= length), None)
        if at is None:
            rooms.append(1024 - length)
        else:
            rooms[at] -= length
    assert len(bins) <= len(rooms)
    assert sum(lengths) / (1024 * len(bins)) > 0.99


@given(st.integers(0, 300), st.integers(), st.integers(0, 5))
def test_an_order_is_a_permutation_and_depends_on_its_arguments_alone(num_rows: int, seed: int, epoch: int):
    once = order(num_rows, seed, epoch).tolist()
    assert sorted(once) == list(range(num_rows))
    np.random.seed(0)  # the global generator must not matter
    assert order(num_rows, seed, epoch).tolist() == once


def test_orders_differ_by_seed_and_by_epoch():
    orders = {tuple(order(50, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_an_order_is_the_same_in_every_version():
    assert order(8, 17, 1).tolist() == [1, 5, 4, 7, 0, 6, 2, 3]


def test_positions_walk_through_each_epoch_in_its_order():
    walked = [row_at(position, 7, 3) for position in range(21)]
    assert walked == [row for epoch in range(3) for row in order(7, 3, epoch).tolist()]


def test_positions_can_be_asked_for_in_any_order():
    assert [row_at(position, 7, 3) for position in (20, 0, 9, 0)] == [
        order(7, 3, epoch).tolist()[place] for epoch, place in ((2, 6), (0, 0), (1, 2), (0, 0))
    ]


def conversations(questions: list[str]) -> list[Conversation]:
    return [Conversation((Message("user", q), Message("assistant", str(i)))) for i, q in enumerate(questions)]


def split(rows: list[Conversation], **how: Any) -> tuple[list[Conversation], list[Conversation]]:
    apart = held_out_places(rows, **how)
    return [r for i, r in enumerate(rows) if i not in apart], [r for i, r in enumerate(rows) if i in apart]


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(0, 70), st.integers(0, 3))
def test_a_split_keeps_every_row_once_and_no_question_on_both_sides(questions: list[str], count: int, seed: int):
    rows = conversations(questions)
    train, held_out = split(rows, count=count, seed=seed)
    assert sorted([*train, *held_out], key=rows.index) == rows
    assert train == sorted(train, key=rows.index)
    assert not {c.messages[0].content for c in train} & {c.messages[0].content for c in held_out}
    assert len(held_out) <= min(count, len(rows) // 2)


def test_a_split_of_different_questions_holds_out_exactly_what_was_asked():
    rows = conversations([f"question {i}" for i in range(100)])
    assert [len(part) for part in split(rows, count=7)] == [93, 7]
    assert [len(part) for part in split(rows, fraction=0.25)] == [75, 25]
    assert split(rows, count=7, seed=1) != split(rows, count=7, seed=2)


@pytest.mark.parametrize(("num_rows", "expected"), [(0, 0), (39, 0), (40, 2), (622, 31), (5000, 64)])
def test_held_out_rows_by_default(num_rows: int, expected: int):
    assert held_out_rows(num_rows) == expected
    assert len(split(conversations([str(i) for i in range(num_rows)]))[1]) == expected
