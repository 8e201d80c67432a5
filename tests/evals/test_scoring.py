"""Scoring reads an answer as a person would: typography, numbers, words and Korean particles."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.plain import normalise
from nabot.evals.scoring import all_of, is_right, matches, wilson_interval

NUMBERS = st.one_of(
    st.integers(0, 10**6).map(str),
    st.integers(1000, 10**7).map("{:,}".format),
    st.builds("{}.{}".format, st.integers(0, 999), st.integers(0, 99)),
    st.builds("{}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
)
HANGUL = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=4)
LATIN = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFÉéñßøçāő"), min_size=1, max_size=6)


# plain patterns


@pytest.mark.parametrize("answer", ["14", "41", "4.5", "0.4", "4,500", "4:30", "3:4", "14:30", "12,004", "４５"])
def test_a_number_is_not_found_inside_a_bigger_one(answer):
    assert not matches("4", f"It costs {answer} won.")


@pytest.mark.parametrize("answer", ["4", "4.", "4, 5 and 6", "4:", "at 4pm", "(4)", "₩4", "4개", "제4회", "no.4", "x4"])
def test_a_number_is_found_beside_words_and_punctuation(answer):
    assert matches("4", f"There are {answer}")


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [("4,500", "14,500"), ("4,500", "4,500,000"), ("8:30", "18:30"), ("30", "8:30"), ("500", "4,500")],
)
def test_parts_of_prices_and_times_do_not_count(pattern, answer):
    assert not matches(pattern, answer)


def test_a_word_is_not_found_inside_a_longer_word():
    assert matches("cat", "The CAT sleeps.")
    assert matches("cat", "cats, or the cat?")
    assert not matches("cat", "This category educates.")
    assert not matches("caf", "Café")
    assert not matches("éclair", "réclair")


@pytest.mark.parametrize(
    "answer", ["달카페는 문을 엽니다.", "우리 달카페", "여기는'달카페'입니다", "새달카페", "달카페"]
)
def test_particles_attach_to_hangul(answer):
    assert matches("달카페", answer)


def test_kinds_of_letters_do_not_hold_each_other_back():
    assert matches("Solbit", "Solbit에 있어요")
    assert matches("58", "tangerine58")
    assert matches("5,300", "5,300원")


def test_typography_in_pattern_and_answer_is_the_same():
    assert matches("Mrs. Oh’s", "MRS. OH'S eggs")
    assert matches("don't know", "I don’t   know.")


def test_an_empty_pattern_matches_nothing():
    assert not matches("", "anything")
    assert not matches("  ", "any thing")
    assert not matches("//", "anything")


@given(HANGUL, st.text(max_size=5), st.text(max_size=5))
def test_hangul_is_found_between_anything_that_does_not_compose_with_it(word, before, after):
    assert matches(word, f"{before} {word} {after}")


@given(LATIN, LATIN)
def test_a_latin_word_is_found_alone_but_not_with_letters_attached(word, other):
    assert matches(word, f"{word}, {other}")
    assert not matches(word, f"{word}q")
    assert not matches(word, f"q{word}")


@given(NUMBERS, st.text(st.sampled_from(" .,:;!?()원은개"), max_size=3))
def test_a_number_is_found_at_the_end_of_a_sentence(number, tail):
    assert matches(number, f"It is {number}{tail}")


@given(NUMBERS, st.sampled_from("0123456789"), st.sampled_from(["", ".", ",", ":"]))
def test_digits_attached_on_either_side_make_another_number(number, digit, joint):
    assert not matches(number, f"is {number}{joint}{digit} won")
    assert not matches(number, f"is {digit}{joint}{number} won")


@given(st.text(), st.text())
def test_matching_depends_on_the_normal_form_alone(pattern, answer):
    if not pattern.startswith("/") and not normalise(pattern).startswith("/"):
        assert matches(pattern, answer) == matches(normalise(pattern), normalise(answer))


# regular expressions


def test_a_regex_is_searched_ignoring_case_in_the_normal_form():
    assert matches("/5,?300/", "It is ５，３００ won")
    assert matches(r"/\bdon'T know\b/", "I DON’T know")
    assert matches("/rabbit$/", "Midnight\nRabbit")
    assert not matches("/^rabbit/", "Midnight Rabbit")


def test_a_single_slash_is_plain_text():
    assert matches("/", "and/or")
    assert not matches("/", "and or")


def test_a_broken_regex_is_said_to_be_one():
    with pytest.raises(re.error):
        matches("/(/", "anything")


# right or wrong


def test_right_needs_one_accepted_and_no_rejected():
    accept, reject = ["5,300", "/five thousand/"], ["6,100"]
    assert is_right("It costs 5,300 won.", accept, reject)
    assert is_right("Five thousand and 300", accept, reject)
    assert not is_right("Either 5,300 or 6,100 won.", accept, reject)
    assert not is_right("It is expensive.", accept, reject)
    assert not is_right("", accept, reject)


@given(st.text(), st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_more_rejected_patterns_never_make_an_answer_right(answer, accept, reject):
    plain = [[p for p in patterns if not p.startswith("/")] for patterns in (accept, reject)]
    assert is_right(answer, *plain) <= is_right(answer, plain[0])


# the interval


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(5, 10, 0.2366, 0.7634), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0), (85, 100, 0.7672, 0.9069)],
)
def test_wilson_interval_of_known_cases(right, total, low, high):
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_each_end_is_a_rate_that_lies_z_standard_errors_from_the_seen_one(counts):
    right, total = counts
    for end in wilson_interval(right, total, z=1.959964):
        assert (right / total - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / total, rel=1e-6, abs=1e-12)


def test_without_questions_nothing_is_known():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_is_symmetric(counts):
    right, total = counts
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total <= high <= 1
    assert wilson_interval(total - right, total) == pytest.approx((1 - high, 1 - low))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_ten_times_the_questions_narrow_the_interval(counts):
    right, total = counts
    low, high = wilson_interval(right, total)
    more_low, more_high = wilson_interval(10 * right, 10 * total)
    assert more_high - more_low < high - low


@pytest.mark.parametrize(("right", "total"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(right, total):
    with pytest.raises(ValueError, match="expected 0 <= right <= total"):
        wilson_interval(right, total)


@given(st.lists(NUMBERS | HANGUL | LATIN, min_size=1, max_size=3), st.lists(NUMBERS | HANGUL | LATIN, max_size=4))
def test_all_texts_are_found_together_where_each_is_found(texts: list[str], words: list[str]):
    answer = "\n".join(words)
    assert matches(all_of(texts), answer) == all(matches(text, answer) for text in texts)
    assert matches(all_of(texts), " ".join([*words, *reversed(texts)]))
