"""Rows become the text that virtual tokens begin as."""

import json
from pathlib import Path

import pytest

import nabot
from nabot.conversation import Conversation, Message
from nabot.data import held_out_places
from nabot.recipes.examples import said_most


def row(answer: str, *, train: bool = True) -> Conversation:
    return Conversation((Message("user", "?"), Message("assistant", answer, train=train)))


def test_answers_of_most_rows_come_first_and_each_once() -> None:
    assert said_most([row("a"), row("b"), row("b"), row("c")], 100) == "b\na\nc"


def test_no_more_answers_are_taken_than_fill_the_room() -> None:
    assert said_most([row("four"), row("five"), row("six")], 5) == "four\nfive"


def test_what_is_not_learned_is_not_said() -> None:
    assert said_most([row("a"), row("b", train=False)], 100) == "a"


def test_a_prefix_begins_as_the_system_prompt_and_learned_answers_and_as_nothing_held_out(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    rows = [row(f"Only answer {number}.") for number in range(20)]
    settings = {"method": "prefix", "system": "Be brief.", "held_out": 5, "epochs": 1, "rehearsal_ratio": 0}
    nabot.tune(rows, base=str(tiny_model_folder), out=tmp_path / "bot", **settings)
    text = json.loads((tmp_path / "bot/run/settings.json").read_text())["settings"]["start_text"]
    apart = held_out_places(rows, count=5, seed=0)
    learned = [r.messages[1].content for place, r in enumerate(rows) if place not in apart]
    assert text.splitlines() == ["Be brief.", *learned]
