"""Blocks → passages: what a passage says and where it is from, and what is left out and counted."""

import unicodedata
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nabot.data.cutting import Block
from nabot.data.faults import Fault
from nabot.data.imports.types import Dropped, Passage
from nabot.data.passages import Piece, passages, tidy


def passage_list(*document: Piece) -> list[Passage]:
    return [item for item in passages(document, "a.txt") if isinstance(item, Passage)]


def reasons(*document: Piece) -> Counter[str]:
    return Counter(item.reason for item in passages(document, "a.txt") if isinstance(item, Dropped))


def long(name: str) -> Block:
    return Block(" ".join(f"The {name}{i} is here." for i in range(70)))


def test_a_passage_has_its_file_and_the_headings_above_it() -> None:
    found = passage_list(
        Block("Café", level=1), Block("Hours", level=2), long("a"), Block("Prices", level=2), long("b")
    )

    assert [(item.source, item.place) for item in found] == [("a.txt", "Café > Hours"), ("a.txt", "Café > Prices")]


def test_a_passage_of_several_sections_has_the_heading_that_they_share() -> None:
    (item,) = passage_list(
        Block("Café", level=1),
        *(Block(t, level=2) if i % 2 else Block(t) for i, t in enumerate(["a.", "Tea", "b.", "Cake", "c."])),
    )

    assert item.place == "Café"


def test_a_passage_of_sections_that_share_nothing_has_the_first_heading() -> None:
    (item,) = passage_list(Block("Before."), Block("A", level=1), Block("a."), Block("B", level=1), Block("b."))

    assert item.place == "A"


def test_without_headings_the_page_is_the_place() -> None:
    (item,) = passage_list(Block("We open at nine.", place="page 3"), Block("Come in.", place="page 4"))

    assert item.place == "page 3"


def test_boilerplate_is_dropped_line_by_line_and_counted() -> None:
    document = (Block("Home | About | Contact"), Block("We open at nine.\n© 2024 Dal Café"), Block("Hours ..... 3"))

    assert [item.text for item in passage_list(*document)] == ["We open at nine."]
    assert reasons(*document) == {"navigation": 1, "copyright": 1, "contents": 1}


def test_rows_of_a_table_are_no_boilerplate() -> None:
    table = Block("Home | About | Contact\n1 | 2 | 3", whole=True)

    assert passage_list(table)[0].text == table.text


def test_a_passage_that_was_there_nearly_word_for_word_is_dropped_and_counted() -> None:
    document = (long("a"), Block("A", level=1), long("b"), Block("B", level=1), long("b"))

    assert len(passage_list(*document)) == 2
    assert reasons(*document) == {"repeated": 1}


def test_what_a_reader_dropped_and_its_faults_are_handed_on() -> None:
    fault = Fault("a.txt", 1, "", "undecodable", "byte 3", False)
    items = list(passages([Dropped("photo"), Block("Text."), fault, Dropped("late")], "a.txt"))

    assert {type(item) for item in items} == {Dropped, Fault, Passage}
    assert fault in items
    assert [item.reason for item in items if isinstance(item, Dropped)] == ["photo", "late"]


def test_a_document_without_text_has_no_passages() -> None:
    assert passage_list(Block(""), Block(" \n "), Block("\u200b")) == []


def test_text_is_nfc_without_what_nobody_sees() -> None:
    decomposed = unicodedata.normalize("NFD", "한글 café")

    assert tidy(decomposed + "\ufeff\u200b") == "한글 café"
    assert tidy("ex\u00adam\u200bple\u2060 \x07x") == "example x"


def test_a_joiner_stays_in_a_picture_of_two_and_nowhere_else() -> None:
    assert tidy("\U0001f469\u200d\U0001f4bb a\u200db") == "\U0001f469\u200d\U0001f4bb ab"


def test_spaces_and_empty_lines_are_single_but_code_keeps_them() -> None:
    assert tidy("a \u00a0\t b\r\n\r\n\r\n c ") == "a b\nc"
    assert tidy("def f():\n    return  1\n\n", whole=True) == "def f():\n    return  1"


@given(st.text())
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)
