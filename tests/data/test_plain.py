"""Texts are compared in one form, and a loop is told from prose."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.plain import normalise, repetition_rate

# normalise


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  The\tcat\n\nsleeps  ", "the cat sleeps"),
        ("I don’t know", "i don't know"),
        ("“silver spoon”", '"silver spoon"'),
        ("9–5, on—and—on, −3", "9-5, on-and-on, -3"),
        ("ＤＡＬ　５，３００", "dal 5,300"),
        ("Straße", "strasse"),
        ("달카페", "달카페"),  # decomposed syllables, as macOS writes file names
        ("５：３０", "5:30"),
    ],
)
def test_normalise_makes_the_same_keys_the_same(text, plain):
    assert normalise(text) == plain


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_case_and_surrounding_space_do_not_matter(text):
    assert normalise(f" {text.upper()}\n") == normalise(text.upper())


# repetition


@pytest.mark.parametrize(
    ("answer", "rate"),
    [
        ("", 0),
        ("no no no", 0),
        ("The cat sleeps on the piano.", 0),
        ("a b c d a b c d", 1 / 5),
        ("na " * 10, 6 / 7),
        ("고양이는 피아노 위에서 자요. " * 3, 5 / 9),
    ],
)
def test_repetition_is_the_share_of_four_grams_seen_before(answer, rate):
    assert repetition_rate(answer) == pytest.approx(rate)


@given(st.text())
def test_repetition_is_a_share(answer):
    assert 0 <= repetition_rate(answer) < 1


@given(st.lists(st.text("abc가나", min_size=1, max_size=2), min_size=4, max_size=9), st.integers(5, 20))
def test_a_loop_repeats_more_the_longer_it_runs(words, times):
    loop, longer = " ".join(words * times), " ".join(words * times * 2)
    assert repetition_rate(longer) > repetition_rate(loop) > 1 - 2 / times
    assert math.isclose(repetition_rate(loop), repetition_rate(loop.upper()))
