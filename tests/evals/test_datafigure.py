"""The picture of `nabot data stats`: rings that close, histograms that add up, words that fit."""

import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise
from math import isclose, pi

from hypothesis import given
from hypothesis import strategies as st

from nabot.data.roots import Roots
from nabot.data.roots_english import Root
from nabot.data.stats import Stats
from nabot.evals.datafigure import bins, data_figure, overlap_bins
from nabot.evals.sunburst import fitted, slices, width_of

verbs = st.lists(
    st.tuples(
        st.text(max_size=12), st.lists(st.tuples(st.text(max_size=12), st.integers(1, 99)), min_size=1, max_size=4)
    ),
    min_size=1,
    max_size=20,
)


def stats(pairs: dict[Root, int], overlaps: list[float] | None = None) -> Stats:
    return Stats(
        rows=3,
        turns=[1, 1, 2],
        question_words=[3, 5, 400],
        answer_words=[0, 0, 0],
        tokens=[],
        languages=Counter({"ko": 2, "fi": 1}),
        distinct_questions=3,
        distinct_answers=1,
        distinct_words=9,
        roots=Roots(3, Counter(pairs)),
        overlaps=overlaps or [],
    )


def words_in(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@given(verbs)
def test_both_rings_close_and_every_object_stands_around_its_verb(given_verbs):  # type: ignore[no-untyped-def]
    pieces = list(slices(given_verbs, 100))
    inner = [piece for piece in pieces if piece.inner < 50]
    outer = [piece for piece in pieces if piece.inner > 50]
    for ring in (inner, outer):
        assert ring[0].start == 0
        assert isclose(ring[-1].end, 2 * pi)
        assert all(isclose(a.end, b.start) for a, b in pairwise(ring))
    assert [piece.label for piece in inner] == [verb for verb, _ in given_verbs]
    assert all(any(v.start <= piece.middle <= v.end for v in inner) for piece in outer)


@given(st.lists(st.integers(0, 5_000), min_size=1))
def test_every_value_is_in_one_bin(values: list[int]):
    found = bins(values)
    assert sum(found.counts) == len(values)
    assert found.edges == sorted(set(found.edges))
    assert found.is_open == (max(values) > found.edges[-1])
    assert sum(v < found.edges[1] for v in values) == found.counts[0] or len(found.counts) == 1


@given(st.lists(st.integers(0, 20), min_size=1))
def test_overlaps_are_in_the_bin_that_they_begin(twentieths: list[int]):
    counts = overlap_bins([n / 20 for n in twentieths]).counts
    expected = Counter(min(19, n) for n in twentieths)
    assert counts == [expected[i] for i in range(20)]


@given(st.text(), st.floats(0, 300))
def test_a_fitted_text_takes_no_more_room_than_there_is(text: str, room: float):
    assert width_of(fitted(text, room, 12), 12) <= room


def test_the_picture_says_verbs_objects_languages_and_what_is_beyond_its_last_bin():
    words = words_in(data_figure(stats({Root("쓰다", "시"): 2, Root("write", "<b>&"): 1}), "a & b.jsonl: 3 rows"))
    assert {"쓰다", "시", "write", "<b>&", "Korean", "fi", "67%", "a & b.jsonl: 3 rows"} <= set(words)
    assert "Overlap with the nearest seed" not in words


def test_hangul_has_fonts_of_every_system_before_the_plain_one():
    fonts = ET.fromstring(data_figure(stats({}), "x")).attrib["font-family"]
    assert [name in fonts for name in ("Malgun Gothic", "Apple SD Gothic Neo", "Noto Sans KR", "NanumGothic")] == [
        True
    ] * 4
    assert fonts.endswith("sans-serif")


def test_one_verb_with_one_object_and_none_at_all_are_drawn_too():
    assert "write" in words_in(data_figure(stats({Root("write", "poem"): 1}, [0.0, 1.0]), "x"))
    assert "no instruction with a verb and an object" in words_in(data_figure(stats({}), "x"))
