"""docs/files.md names every spelling that is read."""

from pathlib import Path

import pytest

from nabot.data.exams import FREE_KEYS, KEYS
from nabot.data.imports.chats import CHATS
from nabot.data.layouts import ANSWERS, QUESTIONS
from nabot.data.masking import LABELS

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("names", [QUESTIONS, ANSWERS, FREE_KEYS])
def test_names_stand_in_the_order_of_the_code(names: tuple[str, ...]):
    assert ", ".join(f"`{name}`" for name in names) in PAGE


def test_every_field_of_an_exam_has_its_line():
    exam = PAGE.partition("## Exam file")[2].partition("## Bot folder")[0]
    assert all(f"| `{key}`" in exam for key in KEYS)


def test_every_chat_program_has_its_line():
    assert all(f"| `{chat.name}` |" in PAGE for chat in CHATS)


@pytest.mark.parametrize("kind", LABELS)
def test_every_kind_that_is_masked_stands_there_with_its_placeholders(kind: str):
    masked = PAGE.partition("## Masked personal data")[2].partition("\n## ")[0]
    assert f"`{kind}`" in masked
    assert all(f"`[{label} 1]`" in masked for label in LABELS[kind])
