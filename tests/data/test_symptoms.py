"""The quick looks at a row pass over nothing that the looks at its texts would find."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nabot.data.answers import placeholder_left
from nabot.data.characters import damages
from nabot.data.collisions import template_mark
from nabot.data.personal import find
from nabot.data.symptoms import symptoms
from nabot.data.toxicity import toxic_word
from nabot.data.turns import Converted, said

# fmt: off
PIECES = [
    "It is late", "그렇습니다", "요", "?", "?가", ".", " ", "\n", "\n\n", "-", "\r", "\x07", "\x85", "\x7f", "\ufffd", "\u200b", "é", "e\u0301",
    "\u1100\u1161", "\ud7b0", "漢", "cafÃ©", "ÇÑ±Û", "占쏙옙", "뷁뷁뷁?", "<|im_end|>", "[INST]", "### Response:", "</s>", "USER:", "Human: ",
    "<no input>", "(입력 없음)", "input", "shit", "병신", "a@b.kr", "010-1234-5678", "０１０-1234-5678", "https://a:pw@b.kr/", "8.8.8.8",
    "강남구 역삼동 123-45", "서울 중구 세종대로 1", "2001:4860:4860::8888",
]
# fmt: on


def looked_at_closely(text: str) -> set[str]:
    kinds = {kind for kind, _ in damages(text)}
    kinds |= {"template_mark"} if template_mark(text, is_answer=True) else set()
    kinds |= {"noinput_left"} if placeholder_left(text) else set()
    kinds |= {"toxic_word"} if toxic_word(text) else set()
    return kinds | ({"personal_data"} if find(text) else set())


@settings(deadline=None)  # the first text waits for lists and models
@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.text(max_size=20)))
@example("서울 중구 세종대로 ９")
def test_what_a_close_look_finds_is_found(text: str):
    row = {"question": "?", "answer": text}
    found = symptoms(Converted.of([said("user", row, "question"), said("assistant", row, "answer")]))
    expected = looked_at_closely(text)
    assert {one.kind for one in found.problems if one.field == "answer"} - {
        "refusal",
        "cut_off",
        "repeats_itself",
    } == expected
