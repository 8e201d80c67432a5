"""Placeholders for personal data: the same for the same thing, nothing else touched, and only once."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation, Message
from nabot.data.imports.types import Passage, Preference
from nabot.data.masking import LABELS, PLACEHOLDER, Mask, Sighting
from nabot.data.personal import KINDS

THINGS = (
    *("010-1234-5678", "+82 10 1234 5678", "02-123-4567", "850214-1234567", "124-81-00998", "4111 1111 1111 1111"),
    *("kim@nabot.kr", "https://nabot.kr/?token=abcdefgh1", "8.8.8.8", "110-123-456789", "11-22-123456-78", "M123A4567"),
    *("서울 중구 세종대로 110", "김지수", "지수야", "Tom Baker", "[전화 1]", "[PHONE 7]", "[NAME 1"),
)
words = st.sampled_from(
    ("안녕하세요", "call me", "é", "번호는", "1", "-", "(", ")", "[", "]", ".", "\n", " ", "이에요", "계좌", "여권")
)
texts = st.lists(st.one_of(words, st.sampled_from(THINGS), st.text(max_size=4)), max_size=12).map("".join)


def mask() -> Mask:
    it = Mask()
    it.learn_names(["김지수", "Tom Baker", "전화"])
    return it


@given(texts)
def test_nothing_outside_of_the_placeholders_changes(text: str):
    masked = mask().text(text)
    pieces = PLACEHOLDER.split(masked)
    pattern = "".join("(?s:.+?)" if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
    assert re.fullmatch(pattern, unicodedata.normalize("NFC", text))


@given(texts)
def test_masking_twice_changes_nothing(text: str):
    masked = mask().text(text)
    assert mask().text(masked) == masked
    again = mask()
    assert again.text(masked) == masked
    assert not again.counts


@given(texts)
def test_decomposed_text_is_masked_like_composed_text(text: str):
    assert mask().text(unicodedata.normalize("NFD", text)) == mask().text(unicodedata.normalize("NFC", text))


@given(texts)
def test_every_placeholder_is_counted(text: str):
    it = mask()
    placeholders_before = len(PLACEHOLDER.findall(unicodedata.normalize("NFC", text)))
    placeholders = PLACEHOLDER.findall(it.text(text))
    assert it.counts.total() == len(placeholders) - placeholders_before
    assert it.counts.total() == sum(sighting.times for sighting in it.review)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("제 번호는 010-1234-5678이에요", "제 번호는 [전화 1]이에요"),
        ("My number is 010-1234-5678.", "My number is [PHONE 1]."),
        ("010-1234-5678, +82 10-1234-5678, 02-123-4567 중에", "[전화 1], [전화 1], [전화 2] 중에"),
        ("kim@nabot.kr KIM@nabot.kr lee@nabot.kr", "[EMAIL 1] [EMAIL 1] [EMAIL 2]"),
        ("주민번호 850214-1234567 혹은 8502141234567", "주민번호 [주민등록번호 1] 혹은 [주민등록번호 1]"),
        ("강남구 역삼동 123-45에 살아요", "[주소 1]에 살아요"),
        ("여기는 아무것도 없어요", "여기는 아무것도 없어요"),
    ],
)
def test_the_same_thing_has_the_same_placeholder(text: str, masked: str):
    assert Mask().text(text) == masked


def test_one_file_numbers_its_things_through_all_conversations_and_languages():
    it = Mask()
    first = it.conversation(Conversation((Message("user", "010-1111-2222"), Message("assistant", "네"))))
    second = it.conversation(Conversation((Message("user", "010-3333-4444"), Message("assistant", "or 010-1111-2222"))))
    assert [m.content for m in first.messages] == ["[전화 1]", "네"]  # the conversation speaks Korean, not this text
    assert [m.content for m in second.messages] == ["[PHONE 2]", "or [PHONE 1]"]


def test_context_and_calls_are_masked_and_roles_and_training_stay():
    call = {"function": {"name": "dial", "arguments": {"to": ["010-1111-2222"], "times": 2}}}
    message = Message("assistant", "", "kim@nabot.kr", (call,), train=False)
    masked = Mask().conversation(Conversation((message,), ({"name": "dial"},)))
    expected_call = {"function": {"name": "dial", "arguments": {"to": ["[PHONE 1]"], "times": 2}}}
    assert masked == Conversation(
        (Message("assistant", "", "[EMAIL 1]", (expected_call,), train=False),), ({"name": "dial"},)
    )


def test_preferences_and_passages_are_masked_too():
    it = Mask()
    before = Conversation((Message("user", "번호?"),))
    answers = (Message("assistant", "010-1111-2222"),), (Message("assistant", "몰라요, 010-1111-2222?"),)
    masked = it.preference(Preference(before, *answers))
    assert (masked.chosen[0].content, masked.rejected[0].content) == ("[PHONE 1]", "몰라요, [전화 1]?")
    assert it.passage(Passage("문의 010-1111-2222", "a.pdf", "p. 1")) == Passage("문의 [전화 1]", "a.pdf", "p. 1")


def test_the_review_names_each_thing_once_and_does_not_give_it_away():
    it = Mask()
    it.text("주민번호 850214-1234567", "talk.txt:3")
    it.text("8.8.8.8 8.8.8.8", "talk.txt:9")
    assert it.review == [
        Sighting("talk.txt:3", "resident_number", "[주민등록번호 1]", "850…67", 1, True),
        Sighting("talk.txt:9", "ip", "[IP 1]", "8…", 2, False),
    ]
    assert it.counts == {"resident_number": 1, "ip": 2}


def test_every_kind_has_its_placeholder_in_both_languages():
    assert {kind.name for kind in KINDS} | {"name"} == LABELS.keys()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("지수야 내일 봐", "[이름 1]야 내일 봐"),
        ("김지수씨는요?", "[이름 1]씨는요?"),
        ("@김지수 이거 봐", "@[이름 1] 이거 봐"),
        ("지수한테 물어봐", "[이름 1]한테 물어봐"),
        ("지수함수를 배웠다", "지수함수를 배웠다"),
        ("박지수는 다른 사람", "박지수는 다른 사람"),
        ("Tom said so", "[NAME 1] said so"),
        ("Tom Baker's book", "[NAME 1]'s book"),
        ("Tomorrow, tomato", "Tomorrow, tomato"),
        ("Tom이 그랬어", "[이름 1]이 그랬어"),
        ("엄마가 부르셔", "엄마가 부르셔"),
        ("나는 가", "나는 가"),
    ],
)
def test_people_of_a_chat_are_found_in_what_is_said(text: str, masked: str):
    it = Mask()
    it.learn_names(["김지수", "Tom Baker", "엄마", "나", "❤", "A", "Tom Baker"])
    assert it.text(text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Will you come? I will.", "Will you come? I will."),
        ("May I ask? “May I?”\n- May I!", "May I ask? “May I?”\n- May I!"),
        ("I saw Will and May.", "I saw [NAME 1] and [NAME 2]."),
        ("Will, are you there?", "[NAME 1], are you there?"),
        ("will smith, @Will: Will Smith came", "will smith, @[NAME 1]: [NAME 1] came"),
        ("Will이 왔어", "[이름 1]이 왔어"),
        ("하늘이 맑다. 하늘도 사랑도", "하늘이 맑다. 하늘도 사랑도"),
        ("하늘이가 하늘이한테", "[이름 1]이가 [이름 1]이한테"),
        ("하늘한테도, 하늘 언니는, 하늘쌤", "[이름 1]한테도, [이름 1] 언니는, [이름 1]쌤"),
        ("하늘이 하늘이라면 하늘이랑 하늘형편", "하늘이 하늘이라면 하늘이랑 하늘형편"),
        ("우리한테 우리에게는 우리 형이", "우리한테 우리에게는 우리 형이"),
        ("하늘아, 하늘 씨는요? 하늘님!", "[이름 1]아, [이름 1] 씨는요? [이름 1]님!"),
        ("김하늘은 @하늘", "[이름 1]은 @[이름 1]"),
        ("사랑 씨앗을 사랑야채에", "사랑 씨앗을 사랑야채에"),
        ("사랑씨가", "[이름 1]씨가"),
        ("저는 하늘이에요", "저는 [이름 1]이에요"),
    ],
)
def test_names_that_are_words_are_masked_where_they_stand_as_names(text: str, masked: str):
    it = Mask()
    it.learn_names(["Will Smith", "May Field", "김하늘", "사랑", "우리"])
    numbers = dict.fromkeys(re.findall(r"\d+", it.text(text)))
    renumbered = {number: str(n) for n, number in enumerate(numbers, start=1)}
    assert re.sub(r"\d+", lambda found: renumbered[found[0]], it.text(text)) == masked


@given(
    st.lists(st.sampled_from(("Will", "will", "하늘", "씨", "아", "@", ",", ". ", " ", "010-1234-5678", "x"))).map(
        "".join
    )
)
def test_masking_names_that_are_words_twice_changes_nothing(text: str):
    it = Mask()
    it.learn_names(["Will Smith", "김하늘", "will"])
    assert it.text(it.text(text)) == it.text(text)


def test_two_people_of_one_given_name_are_told_apart_by_their_whole_names():
    it = Mask()
    it.learn_names(["김지수", "이지수"])
    assert it.text("이지수, 김지수, 지수") == "[이름 1], [이름 2], [이름 2]"


def test_a_thousand_people_are_looked_for_at_once():
    it = Mask()
    it.learn_names([f"Person{i} Family{i}" for i in range(1000)])
    assert it.text("Person999 met Person12 Family12.") == "[NAME 1] met [NAME 2]."
