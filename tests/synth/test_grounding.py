"""Quotes in their passages, answers that the passage bears out, questions that stand alone."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.data.answers import refuses
from nabot.data.imports.types import Passage
from nabot.synth.grounding import declines, find_quote, leans_on_something, speaks_of_passage, too_short, unsupported
from nabot.synth.modes.grounded import _NOT_KNOWN

relaxed = settings(deadline=None)  # time is no part of these tests

CAFE = (
    "Café Nabi opens at 9:00 and closes at 18:30 from Monday to\nFriday. Dogs are “very welcome” – cats stay  outside."
)
NABI = (
    "카페 나비는 월요일부터 금요일까지 오전 9시에 열고 오후 6시에 닫습니다. 음료를 두 잔 사면 주차는 2시간 무료입니다."
)


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("opens at 9:00 and closes at 18:30", "opens at 9:00 and closes at 18:30"),
        # case, spaces, marks
        ('"opens at 9:00 and Closes at 18:30..."', "opens at 9:00 and closes at 18:30"),
        ("from Monday to Friday.", "from Monday to\nFriday"),
        ('Dogs are "very welcome" - cats stay outside', "Dogs are “very welcome” – cats stay  outside"),
        (unicodedata.normalize("NFD", "Café Nabi opens"), "Café Nabi opens"),
        # from word to word
        ("fé Nabi open", "Café Nabi opens"),
        # a near miss is repaired
        (
            "Cafe Nabi opens at 9:00 and closes at 18.30 from Monday",
            "Café Nabi opens at 9:00 and closes at 18:30 from Monday",
        ),
        # not there
        ("Café Nabi has a large garden with a swing", ""),
        ("opens at 9:00 ... cats stay outside", ""),
        (CAFE + CAFE, ""),
        ("", ""),
        ("...", ""),
    ],
)
def test_a_quote_is_found_as_the_passage_has_it(quote, expected):
    assert find_quote(quote, CAFE) == expected


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_korean_quote_is_found_with_its_particles(form):
    assert (
        find_quote(unicodedata.normalize(form, "월요일부터 금요일"), unicodedata.normalize(form, NABI))
        == "월요일부터 금요일까지"
    )


@relaxed
@given(st.text(), st.text())
def test_what_is_found_is_a_piece_of_the_passage(quote, passage):
    assert find_quote(quote, passage) in unicodedata.normalize("NFC", passage)


@relaxed
@given(st.data())
def test_every_piece_of_a_passage_is_found(data):
    passage = data.draw(st.sampled_from([CAFE, NABI]))
    begin = data.draw(st.integers(0, len(passage) - 8))
    end = data.draw(st.integers(begin + 8, len(passage)))
    assert passage[begin:end].strip(" \n.“”") in find_quote(passage[begin:end], passage)


@pytest.mark.parametrize(("quote", "expected"), [("Café", True), ("", True), ("9:00", False), ("opens at", False)])
def test_a_single_word_proves_nothing(quote, expected):
    assert too_short(quote) is expected


@pytest.mark.parametrize(
    ("answer", "question", "expected"),
    [
        ("It opens at 9:00.", "When does Café Nabi open?", ""),
        ("Café Nabi opens at nine o'clock, from Monday to Friday.", "When does Café Nabi open?", ""),
        ("Yes.", "Are dogs welcome at Café Nabi?", ""),
        ("Yes, Rex may come, since dogs are welcome.", "May my dog Rex come to Café Nabi?", ""),
        ("It opens at 8:00.", "When does Café Nabi open?", "8"),
        ("It opens at 9:00 from Monday to Sunday.", "When does Café Nabi open?", "Sunday"),
        (
            "The owner, who bakes every cake alone, likes birds.",
            "What does Café Nabi sell?",
            "alon, bak, bird, cak, ever, lik, owner",
        ),
    ],
)
def test_numbers_names_and_half_of_the_new_words_stand_in_the_passage(answer, question, expected):
    assert unsupported(answer, question, Passage(CAFE, "nabi.md")) == expected


@pytest.mark.parametrize(
    ("answer", "question", "expected"),
    [
        ("카페 나비는 오전 9시에 문을 엽니다.", "카페 나비는 언제 여나요?", ""),
        ("네, 음료를 2잔 사시면 주차가 두 시간 무료입니다.", "카페 나비에 주차할 수 있나요?", ""),
        ("주차는 3시간 무료입니다.", "카페 나비의 주차 요금은 얼마인가요?", "3"),
        ("직접 구운 케이크와 샌드위치를 판매합니다.", "카페 나비는 무엇을 파나요?", "구운, 샌드, 직접, 케이, 판매"),
    ],
)
def test_korean_answers_too(answer, question, expected):
    assert unsupported(answer, question, Passage(NABI, "나비.md")) == expected


def test_headings_and_the_name_of_the_file_bear_out_too():
    assert (
        unsupported(
            "It is on floor 3 of Haus Linde.", "Where is it?", Passage("It is upstairs.", "Haus Linde.pdf", "Floor 3")
        )
        == ""
    )


@pytest.mark.parametrize(
    "text",
    [
        "What does the passage say about dogs?",
        "According to the text, when does Café Nabi open?",
        "Which rule of the following excerpt is strict?",
        "What is described above?",
        "In this document, who pays?",
        "위 글에서 카페는 언제 여나요?",
        "본문에 따르면 누가 오나요?",
        "이 문서는 무엇에 대한 것인가요?",
        "글에 따르면 주차는 얼마인가요?",
        "지문에서 말하는 카페는 어디인가요?",
        unicodedata.normalize("NFD", "윗글의 주제는 무엇인가요?"),
    ],
)
def test_words_that_need_the_passage_beside_them(text):
    assert speaks_of_passage(text)


@pytest.mark.parametrize(
    "text",
    [
        "How long is the underground passage at Seoul Station?",
        "Which context does a lawyer need?",
        "지문 인식기는 어떻게 등록하나요?",
        "가위 글씨체는 무엇인가요?",
        "한글은 누가 만들었나요?",
        "카페 나비의 메뉴 내용은 무엇인가요?",
    ],
)
def test_words_that_look_like_it(text):
    assert not speaks_of_passage(text)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When does it open?", "it"),
        ("What are these for?", "these"),
        ("What is its price?", "its"),
        ("Why did they leave?", "they"),
        ("그곳은 언제 여나요?", "그곳은"),
        ("이 카페는 언제 여나요?", "이 카"),
        ("해당 규정은 언제부터 적용되나요?", "해당 규"),
        ("When does Café Nabi open?", ""),
        ("Is it possible to bring a dog to Café Nabi?", ""),
        ("How long does it take to walk to Café Nabi?", ""),
        ("If a guest is late, does he pay?", ""),
        ("What does Café Nabi sell and when is it open?", ""),
        ("카페 나비는 언제 여나요?", ""),
        ("종이 컵을 쓰나요?", ""),
    ],
)
def test_a_question_names_what_it_asks_about(question, expected):
    assert leans_on_something(question) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "I have no information about that.",
        "The passage does not mention parking.",
        "That isn’t specified.",
        "It is unknown.",
        "주차에 대한 정보는 없습니다.",
        "그 내용은 나와 있지 않습니다.",
        "제가 가진 자료로는 알 수 없습니다.",
        "그 부분은 잘 모르겠습니다.",
        "확인할 수 없습니다.",
        *_NOT_KNOWN["en"],
        *_NOT_KNOWN["ko"],
    ],
)
def test_an_answer_that_says_what_is_not_known(answer):
    assert declines(answer)


@pytest.mark.parametrize(
    "answer", ["It opens at 9.", "주차장이 없습니다.", "Dogs are not allowed.", "현금은 받지 않습니다."]
)
def test_a_no_is_an_answer(answer):
    assert not declines(answer)


@pytest.mark.parametrize("answer", [*_NOT_KNOWN["en"], *_NOT_KNOWN["ko"]])
def test_our_own_words_for_it_pass_the_filters_of_answers(answer):
    assert not refuses(answer)
    assert not speaks_of_passage(answer)


@relaxed
@given(st.text())
def test_no_text_is_too_odd_for_the_rules(text):
    declines(text), speaks_of_passage(text), leans_on_something(text), too_short(text)
    unsupported(text, text, Passage(text, text))
