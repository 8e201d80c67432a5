"""From messages to conversations, whatever program they came from."""

from datetime import datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation
from nabot.data.faults import Fault, problem
from nabot.data.imports.chats.messages import PAUSE, ChatMessage, conversations
from nabot.data.imports.types import Dropped, Item

START = datetime(2024, 1, 1, 12)
SHORT = timedelta(minutes=1)


def chat(*said: tuple[str, str], gap: timedelta = SHORT, **fields: object) -> list[ChatMessage]:
    return [ChatMessage(name, text, i, START + i * gap, **fields) for i, (name, text) in enumerate(said, 1)]


def turns(items: list[Item]) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in item.messages] for item in items if isinstance(item, Conversation)]


def dropped(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.reason, item.place) for item in items if isinstance(item, Dropped)]


def test_messages_of_one_side_are_one_turn_of_several_lines():
    items = list(conversations(chat(("a", "one"), ("b", "two"), ("me", "three"), ("me", "four")), "me"))
    assert turns(items) == [[("user", "one\ntwo"), ("assistant", "three\nfour")]]


def test_what_nobody_asked_and_what_nobody_answered_is_dropped_and_counted():
    items = list(conversations(chat(("me", "hello?"), ("a", "hi"), ("me", "yes"), ("a", "bye")), "me"))
    assert turns(items) == [[("user", "hi"), ("assistant", "yes")]]
    assert dropped(items) == [("before_question", "1"), ("unanswered", "4")]


@pytest.mark.parametrize(("gap", "count"), [(PAUSE, 1), (PAUSE + SHORT, 2)])
def test_a_pause_ends_a_conversation(gap: timedelta, count: int):
    first = chat(("a", "one"), ("me", "two"))
    later = [ChatMessage("a", "three", 3, first[-1].time + gap), ChatMessage("me", "four", 4, first[-1].time + gap)]
    assert len(turns(list(conversations(first + later, "me")))) == count


def test_a_thread_is_one_conversation_however_long_people_were_silent():
    said = chat(("a", "one"), ("me", "two"), ("a", "three"), ("me", "four"), gap=10 * PAUSE, room="t", is_whole=True)
    assert len(turns(list(conversations(said, "me")))) == 1


def test_a_conversation_never_leaves_its_room():
    said = chat(("a", "one"), ("me", "two"), room="x") + chat(("me", "three"), ("a", "four"), ("me", "five"), room="y")
    assert turns(list(conversations(said, "me"))) == [
        [("user", "one"), ("assistant", "two")],
        [("user", "four"), ("assistant", "five")],
    ]


def test_without_times_there_are_no_pauses():
    said = [
        ChatMessage("a", "one", 1),
        ChatMessage("me", "two", 2, START),
        ChatMessage("a", "3", 3),
        ChatMessage("me", "4", 4),
    ]
    assert len(turns(list(conversations(said, "me")))) == 1


def test_faults_and_what_was_dropped_before_pass_through():
    fault = problem("half_character", seen="x").at("a.txt", 2)
    items = list(conversations([Dropped("photo", "1"), fault, *chat(("a", "one"), ("me", "two"))], "me"))
    assert items[:2] == [Dropped("photo", "1"), fault]
    assert isinstance(items[1], Fault)


@given(st.lists(st.tuples(st.sampled_from("abm"), st.sampled_from([1, 600])), max_size=20))
def test_every_message_is_in_one_conversation_or_dropped(said: list[tuple[str, int]]):
    minutes = accumulate(gap for _, gap in said)
    messages = [
        ChatMessage(name, f"text {i}", i, START + timedelta(minutes=at))
        for i, ((name, _), at) in enumerate(zip(said, minutes, strict=True))
    ]
    items = list(conversations(messages, "m"))
    for conversation in turns(items):
        roles = [role for role, _ in conversation]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert roles
    kept = [line for conversation in turns(items) for _, content in conversation for line in content.split("\n")]
    out = [f"text {place}" for _, place in dropped(items)]
    assert sorted(kept + out) == sorted(message.text for message in messages)
