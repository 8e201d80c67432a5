"""Where sentences end: a table of cases, and words that stay together whatever the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.sentences import ends_sentence, num_words, parts, sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["We open at nine.", "We close at ten."],
        ["Is it open?", "Yes!", "Come in…", "Now."],
        ["“Is it open?”", "“Yes.”", "(She nodded.)", "Good."],
        ["문을 엽니다.", "일요일은 쉽니다.", "어서 오세요!", "몇 시인가요?"],
        ["营业时间是九点。", "星期日休息。"],
        ["Mr. Kim met Dr. Lee, J. R. Smith and Ms. Han.", "They talked."],
        ["It costs 3.50 coins, e.g. for tea, approx. half of that.", "Cheap!"],
        ["2024. 5. 1.부터 적용합니다.", "2023. 12. 31. 까지는 아닙니다."],
        ["1. First boil the water.", "Then pour it."],
        ["가. 신청서를 냅니다.", "나. 기다립니다."],
        ["See www.example.org/a.b?c=d for more.", "It is short."],
        ["no capital after it. and so it goes on"],
        ["Nothing ends here"],
    ],
)
def test_a_line_is_cut_into_its_sentences_and_nowhere_else(expected: list[str]) -> None:
    between = "" if "。" in expected[0] else "  "

    assert sentences(between.join(expected)) == expected


@given(st.text(alphabet="ab XY.!?…。다요 1\"')") | st.text())
def test_every_word_of_a_line_is_in_one_sentence_in_order(line: str) -> None:
    assert "".join("".join(sentences(line)).split()) == "".join(line.split())


def test_a_space_is_a_border_of_words_and_two_chinese_characters_are_a_word() -> None:
    assert num_words("우리 카페는 아홉 시에 엽니다.") == 5
    assert num_words("营业时间") == 2


def test_closing_quotes_stand_behind_the_end_of_a_sentence() -> None:
    assert ends_sentence("“문을 엽니다.”")
    assert ends_sentence("(at nine!) ")
    assert not ends_sentence("at nine,")


def test_a_run_without_an_end_is_cut_between_words() -> None:
    words = [f"word{i}" for i in range(1000)]

    cut = parts(" ".join(words), 350)

    assert [num_words(part) for part in cut] == [350, 350, 300]
    assert " ".join(cut).split() == words


def test_a_run_of_chinese_without_an_end_is_cut_between_characters() -> None:
    assert [len(part) for part in parts("字" * 1000, 350)] == [700, 300]
