"""Answers that should not be learned: unfinished, refused, cut off, looping; and good ones that look a little like those."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nabot.data.answers import _APOLOGY, _APOLOGY_REACH, _MODEL, cut_off, incomplete, refuses, unfit

BAD = [
    ("empty_output", "", " \n"),
    ("same_as_input", "He go home.", " He go home. "),
    ("ends_with_colon", "", "Here is the list:"),
    ("ends_with_colon", "The text:", "A summary."),
    ("ends_with_colon", "", "목록은 다음과 같습니다："),
    ("noinput_left", "<noinput>", "Seine"),
    ("noinput_left", "", "< No Input >\nSeine"),
    ("noinput_left", "(입력 없음)", "센강"),
    ("refusal", "", "As an AI language model, I cannot have a favourite colour."),
    ("refusal", "", "Blue is nice, but as an AI I have no favourite."),
    ("refusal", "", "I'm sorry, but I can't see the text that you mean."),
    ("refusal", "", "I’m sorry, I cannot answer this."),
    ("refusal", "", "I am unable to access the page."),
    ("refusal", "", "AI 언어 모델로서 저는 감정이 없습니다."),
    ("refusal", "", "저는 인공지능이라서 먹을 수 없어요."),
    ("refusal", "", "죄송하지만 그 내용은 알려 드릴 수 없습니다."),
    ("refusal", "", "죄송합니다. 해당 파일을 확인할 수 없어 답변드릴 수 없습니다."),
    ("cut_off", "", "There are three things that you should do before you leave,"),
    ("cut_off", "", "Its memory serves as a reminder of the importance of"),
    ("cut_off", "", "These are the steps to take at home:\n1. Wash your hands\n2."),
    ("cut_off", "", "```python\nprint(1)\n"),
    ("cut_off", "", "이 문제는 세 가지로 나누어 볼 수 있는데 첫째는 비용이고 둘째는 시간이며 그리고"),
    ("repeats_itself", "", "The cat sat on the mat. " * 6),
    ("repeats_itself", "", "오늘은 날씨가 참 좋습니다. " * 6),
]
GOOD = [
    ("", "Yes."),
    ("the", "to"),
    ("", "SELECT name FROM cats;"),
    ("", "```python\nprint(1)\n```"),
    ("", "Dear Ms Park,\n\nI am sorry, but I cannot come to the meeting on Monday.\n\nYours, Kim"),
    ("", "죄송하지만 회의에 참석할 수 없습니다. 다음에 뵙겠습니다."),
    ("", "Sorry, I can't make it tonight. Shall we meet tomorrow?"),
    ("", "GPT is used as a language model in many products."),
    ("", "Programs such as AI and robotics change work."),
    (
        "",
        "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.",
    ),
    ("", "우리 회사는 인공지능 모델을 만듭니다."),
    ("Note: this", "Note: that"),
]


@pytest.mark.parametrize(("slug", "context", "answer"), BAD)
def test_a_bad_answer_has_its_reason(slug, context, answer):
    assert unfit(context, answer) == slug


@pytest.mark.parametrize(("context", "answer"), GOOD)
def test_a_good_answer_has_none(context, answer):
    assert unfit(context, answer) == ""


def test_self_instruct_asks_for_less_than_nabot():
    assert [incomplete(context, answer) for _, context, answer in BAD[:5]] == [slug for slug, *_ in BAD[:5]]
    assert not any(incomplete(context, answer) for _, context, answer in BAD[5:])


def test_what_ends_like_a_sentence_is_not_cut_off():
    assert not cut_off("The three primary colours are red, yellow and blue")
    assert not refuses("")


# fmt: off
PARTS = [
    *(answer for slug, _, answer in BAD if slug == "refusal"),
    "As", "an", "AI", "language", "model", ",", ".", "So", "I’m", "sorry", "but", "I", "cannot", "help", "artificial",
    "intelligence", "Said", "ai", "저는", "나는", "인공", "지능", "언어모델", "로서", "라서", "죄송하지만", "답변할", "수", "없", "“",
]
# fmt: on


@given(st.lists(st.sampled_from(PARTS), max_size=7), st.sampled_from([" ", "", "\n", " \u3000"]))
@example(["As an AI language", "model"], "\n")
@example(["As", "an", "AI", "I", "cannot", "help"], "\n")
def test_an_answer_that_is_passed_at_once_matches_no_pattern_of_refusals(parts: list[str], space: str):
    text = space.join(parts)
    flat = " ".join(text.lower().replace("’", "'").split())
    assert refuses(text) == bool(_APOLOGY.match(flat, 0, _APOLOGY_REACH) or _MODEL.search(flat))
