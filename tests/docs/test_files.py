"""docs/files.md names every spelling that is read."""

from pathlib import Path

import pytest

from nabot.data.exams import FREE_KEYS, KEYS
from nabot.data.layouts import ANSWERS, QUESTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("names", [QUESTIONS, ANSWERS, FREE_KEYS])
def test_names_stand_in_the_order_of_the_code(names: tuple[str, ...]):
    assert ", ".join(f"`{name}`" for name in names) in PAGE


def test_every_field_of_an_exam_has_its_line():
    exam = PAGE.partition("## Exam file")[2].partition("## Bot folder")[0]
    assert all(f"| `{key}`" in exam for key in KEYS)
