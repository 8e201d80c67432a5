"""ROUGE-L decides on ASCII as rouge_score does, and on every other script at all."""

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize

from nabot.synth.rouge import LIMIT, f_measure, rouge_l, words

relaxed = settings(deadline=None)  # time is no part of these tests
THEIRS = RougeScorer(["rougeL"], use_stemmer=False)
ASCII = st.text(st.characters(min_codepoint=0, max_codepoint=127))


def their_f(text, other):
    return THEIRS.score(text, other)["rougeL"].fmeasure


def pair(rng, vocabulary, longest):
    """Two texts, of which the second is now and then made from the first, so that all scores occur."""
    first = rng.choices(vocabulary, k=rng.randint(0, longest))
    second = rng.choices(vocabulary, k=rng.randint(0, longest))
    if rng.random() < 0.7:
        second = [rng.choice(vocabulary) if rng.random() < rng.choice((0.1, 0.3)) else word for word in first]
        del second[rng.randint(0, len(second)) : rng.randint(0, len(second))]
    return " ".join(first), ", ".join(second)


def differing(num_pairs):
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(40)] + ["The", "it's", "x-1", "!"]
    pairs = [pair(rng, vocabulary, 24) for _ in range(num_pairs)]
    near = sum(abs(their_f(*p) - LIMIT) < 0.05 for p in pairs[:2000])
    assert near > 20, "too few pairs near the limit to say anything"
    return [p for p in pairs if (rouge_l(*p) > LIMIT) != (their_f(*p) > LIMIT)]


@relaxed
@given(ASCII)
def test_words_of_ascii_are_those_of_rouge_score(text):
    assert words(text) == tokenize(text, None)


@relaxed
@given(ASCII, ASCII)
def test_scores_of_ascii_are_those_of_rouge_score_to_the_last_bit(text, other):
    assert rouge_l(text, other) == their_f(text, other)


def test_decisions_are_those_of_rouge_score_on_random_pairs():
    assert differing(5000) == []


@pytest.mark.slow
def test_decisions_are_those_of_rouge_score_on_100_000_random_pairs():
    assert differing(100_000) == []


def test_decisions_are_those_of_rouge_score_on_the_limit_and_beside_it():
    for length in range(1, 61):
        for other in range(1, 61):
            for common in range(min(length, other) + 1):
                if abs(20 * common - 7 * (length + other)) <= 20:
                    shared = [f"w{i}" for i in range(common)]
                    first = " ".join([*shared, *(f"a{i}" for i in range(length - common))])
                    second = " ".join([*(f"b{i}" for i in range(other - common)), *shared])
                    assert (f_measure(common, length, other) > LIMIT) == (their_f(first, second) > LIMIT)


def test_an_f_of_seven_tenths_is_above_the_limit_where_rouge_score_rounds_it_up():
    assert f_measure(7, 10, 10) == LIMIT
    assert f_measure(7, 7, 13) > LIMIT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("고양이는 피아노 위에서 자요.", ["고양이는", "피아노", "위에서", "자요"]),
        ("Café-STRASSE, Straße", ["café", "strasse", "strasse"]),
        ("snake_case 3.14", ["snake", "case", "3", "14"]),
        ("東京タワー and Seoul", ["東", "京", "タ", "ワ", "ー", "and", "seoul"]),
        ("Ёлка №5", ["ёлка", "5"]),
        ("?! —", []),
    ],
)
def test_letters_and_digits_of_every_script_are_words(text, expected):
    assert words(text) == expected


@relaxed
@given(st.text())
def test_decomposed_text_has_the_same_words(text):
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text))


@relaxed
@given(st.text(), st.text())
def test_the_order_of_two_texts_does_not_matter(text, other):
    assert rouge_l(text, other) == rouge_l(other, text)


def test_a_korean_copy_scores_one():
    assert rouge_l("오늘 날씨를 한 문장으로 알려 주세요.", "오늘 날씨를 한 문장으로 알려 주세요!") == 1
    assert their_f("오늘 날씨를 알려 주세요.", "오늘 날씨를 알려 주세요.") == 0
