"""Columns, against the measure of another library."""

import unicodedata
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nabot.cli.columns import padded, width, wrapped

WORDS = st.text(st.sampled_from("가힣나abz09-–…「」Ａ日€é"), min_size=1, max_size=12)


@given(WORDS)
def test_a_width_is_what_a_terminal_shows(text: str) -> None:
    assert width(text) == cell_len(text)


def test_a_mark_on_a_letter_takes_no_column() -> None:
    assert width("e\N{COMBINING ACUTE ACCENT}") == 1


def test_syllables_in_pieces_are_as_wide_as_whole_ones() -> None:
    assert width(unicodedata.normalize("NFD", "한글.txt")) == width("한글.txt") == 8


@given(WORDS, st.integers(0, 40))
def test_padding_fills_the_columns(text: str, columns: int) -> None:
    assert cell_len(padded(text, columns)) == max(columns, cell_len(text))


@given(st.lists(WORDS), st.integers(1, 30))
def test_wrapping_keeps_the_words_and_the_room(words: list[str], room: int) -> None:
    lines = wrapped(" ".join(words), room)
    assert " ".join(lines).split() == words
    assert all(cell_len(line) <= room or " " not in line for line in lines)
    assert all(cell_len(f"{a} {b.split()[0]}") > room for a, b in pairwise(lines))
