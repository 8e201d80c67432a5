"""Groups are known by their first member, whatever the order in which they were joined."""

from hypothesis import given
from hypothesis import strategies as st

from nabot.data.groups import Groups


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15))
def test_groups_are_known_by_their_smallest_member(pairs: list[tuple[int, int]]):
    groups = Groups(10)
    for one, other in pairs:
        groups.join(one, other)
    firsts = [groups.first(place) for place in range(10)]
    assert all(firsts[one] == firsts[other] for one, other in pairs)
    assert all(first == min(i for i in range(10) if firsts[i] == first) for first in firsts)
