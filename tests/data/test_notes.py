"""Advice about rows that have no faults."""

import pytest

from nabot.conversation import Conversation
from nabot.data.notes import notes


def row(question: str, answer: str) -> Conversation:
    return Conversation.of([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])


ENGLISH, KOREAN = row("When do you open?", "At 7."), row("몇 시에 여나요?", "7시에 엽니다.")
NAMED = row("What does the name of the café 달카페 mean in English?", "It means moon café.")


def kinds(conversations: list[Conversation], language: str = "") -> list[str]:
    return [note.kind for note in notes(conversations, language)]


def test_fewer_than_a_hundred_rows_are_few():
    assert kinds([ENGLISH] * 99) == ["few_rows"]
    assert kinds([ENGLISH] * 100) == []


def test_what_to_do_about_few_rows_is_said():
    (note,) = notes([ENGLISH])
    assert note.message.startswith("note: 1 row:")
    assert "Sixty facts" in note.message


def test_rows_in_hangul_for_a_base_that_does_not_speak_korean_are_counted():
    (note,) = notes([ENGLISH, KOREAN] * 50, "en")
    assert (note.kind, "50 of 100 rows (50 %)" in note.message) == ("hangul", True)


@pytest.mark.parametrize("language", ["", "ko"])
def test_rows_in_hangul_are_fine_for_a_base_that_speaks_korean_or_is_not_known(language: str):
    assert kinds([KOREAN] * 100, language) == []


def test_a_korean_name_does_not_make_a_row_korean():
    assert kinds([NAMED] * 100, "en") == []


def test_an_english_name_does_not_make_a_row_english():
    assert kinds([row("nabot은 LoRA를 쓰나요?", "네, LoRA를 씁니다.")] * 100, "en") == ["hangul"]
