"""Numbers as bars."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nabot.cli.bars import COLUMNS, bars, picture
from nabot.data.summary import Summary, TokenCounts, histogram


@given(st.lists(st.tuples(st.sampled_from(["", "ko", "한국어", "256–511"]), st.integers(0, 10**9)), max_size=6))
def test_no_bar_is_wider_than_a_terminal_and_only_nothing_has_none(entries: list[tuple[str, int]]):
    for (_, count), line in zip(entries, bars(entries), strict=True):
        assert cell_len(line) <= COLUMNS
        assert any(sign in line for sign in "█▏▎▍▌▋▊▉") == (count > 0)


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_every_row_is_in_one_bin_of_the_histogram(lengths: list[int]):
    found = histogram(lengths)
    assert sum(one.rows for one in found) == len(lengths)
    assert all(a.high + 1 == b.low for a, b in pairwise(found))
    assert all(one.rows == sum(one.low <= max(1, length) <= one.high for length in lengths) for one in found)


def test_the_picture_shows_lengths_languages_and_duplicates():
    counts = TokenCounts(tokens=90, trained=30, characters=300)
    summary = Summary([10, 20, 60], counts, Counter({"ko": 2, "": 1}), 1, 0, 2, 1, Counter({"phone": 3}))
    text = "\n".join(picture(summary))
    for part in (
        "length in tokens",
        "32–63",
        "ko",
        "not known",
        "the same",
        "33 % of them learned, 0.30 tokens a character",
        "1 question with",
        "phone 3",
    ):
        assert part in text
    assert "".join(picture(Summary())) == ""
