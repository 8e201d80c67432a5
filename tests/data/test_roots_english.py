"""Verbs and objects of English instructions, against 175 that were labelled by hand.

The labels were written before the rules met them. At that first meeting 18 pairs (10 %) and 5 verbs (3 %) were wrong; the
rules were then repaired with them, so what is measured here is how well they are kept. On 84 instructions of a public
set, read afterwards without repairing anything by them, 5 pairs (6 %) were wrong.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.roots_english import Root, english_root, singular, verb_of

LABELLED = Path(__file__).with_name("english_instructions.tsv").read_text(encoding="utf-8").splitlines()


def expected(line: str) -> tuple[str, Root | None]:
    text, verb, noun = line.split("\t")
    return text, Root(verb, noun) if verb else None


def test_of_the_labelled_instructions_at_least_98_of_100_are_read_right():
    wrong = [text for text, root in map(expected, LABELLED) if english_root(text) != root]
    assert len(LABELLED) >= 150
    assert len(wrong) <= 0.02 * len(LABELLED), wrong


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("Write a very short story.", ("write", "story")),
        ("Tell me a joke about cats.", ("tell", "joke")),
        ("Give the news item a headline of at most eight words.", ("give", "headline")),
        ("Turn down the invitation kindly.", ("turn", "invitation")),
        ("Summarise these analyses.", ("summarize", "analysis")),
        ("List the words listed below.", ("list", "word")),
        ("I cannot sleep. What should I drink?", ("drink", "")),
        ("Which mistakes does the text contain?", ("contain", "mistake")),
        ('Translate "write a story" into Danish.', ("translate", "")),
    ],
)
def test_verb_and_object_stand_in_their_base_forms(text: str, root: tuple[str, str]):
    assert english_root(text) == root


@pytest.mark.parametrize("text", ["", "?!", "The weather is nice.", "Who are you?", "안녕하세요", "Is it cold?"])
def test_where_nothing_is_asked_to_be_done_there_is_no_verb(text: str):
    assert english_root(text) is None


@given(
    st.text(alphabet=st.sampled_from("write a the list of 3 , . ? ' \" and or giving §-ß가\n"), max_size=60) | st.text()
)
def test_any_text_is_read_without_an_error(text: str):
    root = english_root(text)
    assert root is None or verb_of(root.verb) == root.verb


@pytest.mark.parametrize(
    ("plural", "one"),
    [("stories", "story"), ("boxes", "box"), ("children", "child"), ("series", "series"), ("glass", "glass"), ("tomatoes", "tomato"), ("cats", "cat")],
)  # fmt: skip
def test_nouns_are_brought_to_their_singular(plural: str, one: str):
    assert singular(plural) == one
