"""The numbers of `nabot data stats`, against counting by hand."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation, Message
from nabot.data.language import language_of
from nabot.data.roots import Roots
from nabot.data.roots_english import Root
from nabot.data.stats import Spread, measure


def talk(*turns: str, context: str = "") -> Conversation:
    roles = ("user", "assistant")
    first = Message("user", turns[0], context=context)
    return Conversation((first, *(Message(roles[i % 2], text) for i, text in enumerate(turns[1:], start=1))))  # type: ignore[arg-type]


def test_rows_turns_words_and_distinct_ones_are_counted():
    found = measure(
        [talk("Write a poem.", "One two three.", "Again", "Four"), talk("Write a poem.", "One", context="on tea")]
    )
    assert (found.rows, found.turns) == (2, [2, 1])
    assert (found.question_words, found.answer_words) == ([4, 5], [4, 1])
    assert (found.distinct_questions, found.distinct_answers) == (2, 2)
    assert found.distinct_words == len({"write", "a", "poem.", "again", "on", "tea", "one", "two", "three.", "four"})
    assert found.roots.pairs == {Root("write", "poem"): 2}


def test_tokens_and_overlaps_are_measured_only_where_somebody_can():
    rows = [talk("Write a poem.", "One")]
    assert (measure(rows).tokens, measure(rows).overlaps) == ([], [])
    found = measure(rows, length_of=lambda one: len(one.messages), overlap_of=len)
    assert (found.tokens, found.overlaps) == ([2], [13])
    assert found.as_dict()["tokens"] == {"least": 2, "median": 2, "mean": 2, "p95": 2, "most": 2}


@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_a_spread_is_that_of_the_numbers(values: list[int]):
    spread = Spread.of(values)
    assert spread.least == min(values)
    assert spread.most == max(values)
    assert spread.median == statistics.median(values)
    assert spread.least <= spread.median <= spread.most
    assert sum(value <= spread.p95 for value in values) >= 0.9 * len(values)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("카페는 몇 시에 여나요?", "ko"),
        ("Python 코드를 고쳐 줘", "ko"),
        ("When do you open?", "en"),
        ("何時に開きますか", "ja"),
        ("几点开门？", "zh"),
        ("123 ?!", ""),
        ("Во сколько вы открываетесь?", "ru"),
    ],
)
def test_languages_are_told_by_their_script(text: str, language: str):
    assert language_of(text) == language


def test_the_top_verbs_are_twenty_with_four_objects_each():
    found = Roots()
    found.pairs.update({Root(f"verb{v:02}", f"noun{n}"): 100 - v - 10 * n for v in range(25) for n in range(6)})
    top = found.top()
    assert [verb for verb, _ in top] == [f"verb{v:02}" for v in range(20)]
    assert {len(objects) for _, objects in top} == {4}
    assert top[0][1][0] == ("noun0", 100)
