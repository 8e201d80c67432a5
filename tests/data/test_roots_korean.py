"""Verbs and objects of Korean instructions, against a list that was labelled by hand."""

from pathlib import Path

import pytest

from nabot.data.roots import roots
from nabot.data.roots_korean import kiwi, korean_root
from nabot.errors import ConfigError

LABELLED = Path(__file__).with_name("korean_instructions.tsv").read_text(encoding="utf-8").splitlines()


def test_of_the_labelled_instructions_at_least_95_of_100_are_read_right():
    wrong = []
    for line in LABELLED:
        text, verb, noun = line.split("\t")
        if korean_root(text) != ((verb, noun) if verb else None):
            wrong.append(text)
    assert len(LABELLED) >= 60
    assert len(wrong) <= 0.05 * len(LABELLED), wrong


@pytest.mark.parametrize("text", ["", "ㅋㅋㅋ", "비가 온다.", "수도가 어디야?", "Write a poem."])
def test_where_nothing_is_asked_to_be_done_there_is_no_verb(text: str):
    assert korean_root(text) is None


def test_both_languages_are_counted_and_others_are_not():
    found = roots(["Write a poem.", "Write two poems.", "시를 써 줘", "Sing.", "詩を書いてください"])
    assert found.read == 4
    assert found.top() == [("write", [("poem", 2)]), ("쓰다", [("시", 1)])]


def test_without_kiwi_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    kiwi.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "kiwipiepy", None)
    with pytest.raises(ConfigError, match=r"nabot\[korean\]"):
        korean_root("시를 써 줘")
