"""A model's text cannot command the terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.cli.harmless import HarmlessStream, harmless

PARTS = st.lists(
    st.sampled_from(
        ["\x1b", "[", "]", "31", ";", "m", "P", "\\", "\x07", "\x9b", "\x9d", "\x9c", "\n", "\t", " ", "한", "a"]
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]52;c;c2VjcmV0\x1b\\text", "text"),
        ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone\x9d0;title\x9c!", "gone!"),
        ("\x1bPdevice\x1b\\ok\x1bc\x1b(B", "ok"),
        ("over\rwritten\b\x00\x7f", "overwritten"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("한국어 👩‍👩‍👧 é", "한국어 👩‍👩‍👧 é"),
        ("\x1b[38;5", "38;5"),
    ],
)
def test_escape_sequences_and_control_characters_are_taken_out(hostile: str, shown: str) -> None:
    assert harmless(hostile) == shown


def test_a_sequence_is_found_across_pieces_and_text_before_it_is_shown_at_once() -> None:
    stream = HarmlessStream()
    assert [stream.push(piece) for piece in ("We \x1b", "[3", "1", "m open", "\x1b]0;x", "\x1b", "\\ at")] == [
        "We ", "", "", " open", "", "", " at",
    ]  # fmt: skip
    assert stream.finish() == ""


def test_a_stray_escape_does_not_swallow_the_answer() -> None:
    stream = HarmlessStream()
    assert stream.push("\x1b]we open\nat 8") + stream.finish() == "we open\nat 8"


@given(PARTS)
def test_no_control_character_is_ever_left(text: str) -> None:
    assert not [c for c in harmless(text) if unicodedata.category(c) == "Cc" and c not in "\n\t"]


@given(st.lists(PARTS, max_size=6))
def test_pieces_give_the_same_as_the_whole(pieces: list[str]) -> None:
    stream = HarmlessStream()
    assert "".join([*map(stream.push, pieces), stream.finish()]) == harmless("".join(pieces))
