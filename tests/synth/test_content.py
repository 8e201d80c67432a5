"""What a text speaks about: words by their beginnings, numbers in one spelling, the language to ask in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.synth.content import content, numbers, prompt_language

relaxed = settings(deadline=None)  # time is no part of these tests


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("opens", "opening opened OPEN"),
        ("policy", "policies"),
        ("close", "closes closing closed"),
        ("영업시간은", "영업시간 영업을"),
        ("책은", "책을 책에서는 책"),
        ("회의", "회의를 회의에서"),
        ("운영합니다", "운영하는 운영"),
    ],
)
def test_forms_of_a_word_are_the_same(text, same):
    assert len(content(text)) == 1
    assert content(text) == content(same)


@pytest.mark.parametrize(
    "text", ["What is it, and where are they?", "이것은 무엇입니까? 그리고 언제 있습니까?", "1 2 3 !?", ""]
)
def test_words_that_hold_a_sentence_together_are_no_content(text):
    assert content(text) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,000 won and 3.50 euros", {"1000", "3.5"}),
        ("from 09:00 to 18:30", {"9", "18", "30"}),
        ("2024. 5. 1.", {"2024", "5", "1"}),
        ("three dogs, 다섯 마리", {"3", "5"}),
        ("no one; 네, 맞습니다", set()),
        ("12,5", {"12", "5"}),
        ("１２", {"12"}),
        ("0%", {"0"}),
    ],
)
def test_numbers_in_one_spelling(text, expected):
    assert numbers(text) == expected


def test_a_word_that_may_be_a_number_counts_where_that_is_asked_for():
    assert numbers("one room, 두 명", perhaps=True) == {"1", "2"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("카페는 9시에 엽니다.", "ko"), ("It opens at 9.", "en"), ("12:30", "en"), ("Python 3.11을 설치하세요", "ko")],
)
def test_the_language_in_which_a_teacher_is_asked(text, expected):
    assert prompt_language(text) == expected


@relaxed
@given(st.text())
def test_any_text_has_content_and_numbers(text):
    assert "" not in content(text) | numbers(text)
