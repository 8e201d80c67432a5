"""Near copies: those that MinHash proposes and the exact index confirms, against comparing everything with everything."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.data.groups import Groups
from nabot.data.near_questions import ALIKE, jaccard, near_pairs
from nabot.errors import ConfigError

SENTENCES = (
    "how late does the café stay open on public holidays and on the evenings before them",
    "공휴일과 그 전날 저녁에는 카페가 몇 시까지 문을 여는지 알려 주세요",
    "does the price of the breakfast plate include a second cup of coffee or is that extra",
)
ENDINGS = ("", "?", " please", " 요", " now", " thanks a lot for the answer")
texts = st.lists(st.builds("{}{}".format, st.sampled_from(SENTENCES), st.sampled_from(ENDINGS)), max_size=12)


def first_of_each(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    groups = Groups(count)
    for one, other in pairs:
        groups.join(one, other)
    return [groups.first(place) for place in range(count)]


@given(texts)
@settings(deadline=None)
def test_pairs_connect_what_comparing_all_with_all_connects(given_texts: list[str]):
    everything = itertools.combinations(range(len(given_texts)), 2)
    by_hand = [(i, j) for i, j in everything if jaccard(given_texts[i], given_texts[j]) >= ALIKE]
    found = list(near_pairs(given_texts))
    assert first_of_each(len(given_texts), found) == first_of_each(len(given_texts), by_hand)


@given(st.lists(st.text(max_size=12), max_size=12))
@settings(deadline=None)
def test_every_pair_is_alike_and_in_order(given_texts: list[str]):
    for i, j in near_pairs(given_texts):
        assert i < j
        assert jaccard(given_texts[i], given_texts[j]) >= ALIKE


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15))
def test_groups_are_known_by_their_smallest_member(pairs: list[tuple[int, int]]):
    firsts = first_of_each(10, pairs)
    assert all(firsts[one] == firsts[other] for one, other in pairs)
    assert all(first == min(i for i in range(10) if firsts[i] == first) for first in firsts)


def test_without_its_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "rensa", None)
    with pytest.raises(ConfigError, match=r"pip install"):
        list(near_pairs(["a", "b"]))
