"""Which café the demo is about: a person says so, their system does not."""

from importlib.resources import files

import pytest

from nabot.cli.demo import ENGLISH, KOREAN, Demo, chosen_demo
from nabot.sources import registry


@pytest.fixture(autouse=True)
def no_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NABOT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


def test_the_demo_is_english_whatever_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert chosen_demo() == ENGLISH


@pytest.mark.parametrize(
    ("asked", "expected"), [("ko", KOREAN), ("ko_KR.UTF-8", KOREAN), ("en", ENGLISH), ("", ENGLISH)]
)
def test_the_demo_is_korean_where_korean_was_asked_for(
    asked: str, expected: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NABOT_LANG", asked)
    assert chosen_demo() == expected


@pytest.mark.parametrize(("demo", "language"), [(ENGLISH, "en"), (KOREAN, "ko")])
def test_each_demo_has_its_files_and_a_base_that_speaks_its_language(demo: Demo, language: str) -> None:
    folder = files("nabot") / "demo" / demo.folder
    assert all((folder / name).is_file() for name in ("conversations.jsonl", "exam.jsonl", "facts.md"))
    assert language in next(short.language for short in registry() if short.name == demo.base)


def test_each_demo_has_a_bot_of_its_own() -> None:
    assert ENGLISH.bot != KOREAN.bot
