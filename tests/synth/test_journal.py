"""Answers that were paid for are there again, whatever happened in between."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.conversation import Conversation
from nabot.errors import CheckpointError, ConfigError
from nabot.synth.budget import Tokens
from nabot.synth.journal import Journal, has_answers, prompt_hash, put_aside, recorded_settings
from nabot.textmodel import Completion, Sampling

SETTINGS = {"mode": "alpaca", "seed": 0}
DONE = Completion("tea\u2028and 차", 3, 10, "length")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.journal.jsonl"


def journal_with(path: Path, *completions: Completion) -> Path:
    with Journal(path, SETTINGS) as journal:
        for number, completion in enumerate(completions):
            journal.add(number, f"hash{number}", completion)
    return path


def test_answers_come_back(path):
    journal_with(path, DONE, DONE)
    with Journal(path, SETTINGS) as journal:
        assert journal.answer(1, "hash1") == DONE
        assert journal.answer(2, "hash2") is None
        assert (len(journal), journal.spent) == (2, Tokens(20, 6))


def test_an_answer_is_in_the_file_before_add_returns(path):
    with Journal(path, SETTINGS) as journal:
        journal.add(0, "hash0", DONE)
        first, second = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert first["settings"] == SETTINGS
    assert second == {
        "number": 0, "prompt": "hash0", "text": DONE.text, "finish": "length", "tokens_in": 10, "tokens_out": 3,
    }  # fmt: skip


def test_a_lost_request_is_spent_and_still_to_be_answered(path):
    with Journal(path, SETTINGS) as journal:
        journal.add_lost(0, "hash0", Tokens(30, 7))
    for _ in range(2):
        with Journal(path, SETTINGS) as journal:
            assert (len(journal), journal.lost, journal.answer(0, "hash0")) == (0, [Tokens(30, 7)], None)
            assert journal.spent == Tokens(30, 7)
    with Journal(path, SETTINGS) as journal:
        journal.add(0, "hash0", DONE)
    with Journal(path, SETTINGS) as journal:
        assert (journal.answer(0, "hash0"), journal.spent) == (DONE, Tokens(40, 10))


def test_nothing_is_written_before_the_first_answer(path):
    with Journal(path, SETTINGS):
        pass
    assert list(path.parent.iterdir()) == []


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_file_that_breaks_off_anywhere_keeps_all_whole_lines_and_can_go_on(tmp_path_factory, data):
    path = journal_with(tmp_path_factory.mktemp("torn") / "a.jsonl", DONE, DONE, DONE)
    content = path.read_bytes()
    cut = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(cut)
    whole = max(0, cut.count(b"\n") - 1)
    with Journal(path, SETTINGS) as journal:
        assert len(journal) == whole
        journal.add(whole, "new", DONE)
    with Journal(path, SETTINGS) as journal:
        assert len(journal) == whole + 1
        assert journal.answer(whole, "new") == DONE


def test_other_settings_are_refused_by_name(path):
    journal_with(path, DONE)
    with pytest.raises(ConfigError, match=r"seed \(was 0, now 1\)") as caught:
        Journal(path, {**SETTINGS, "seed": 1})
    assert "mode" not in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert recorded_settings(path) == SETTINGS


def test_another_prompt_under_the_same_number_is_refused(path):
    journal_with(path, DONE)
    with Journal(path, SETTINGS) as journal, pytest.raises(ConfigError, match="request 0"):
        journal.answer(0, "other")


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"number": 0, "prompt": "h", "text": "a", "finish": "stop"}'])
def test_a_damaged_line_in_the_middle_is_named(path, line):
    journal_with(path, DONE, DONE)
    lines = path.read_text().split("\n")
    lines[1] = line
    path.write_text("\n".join(lines))
    with pytest.raises(CheckpointError, match="line 2"):
        Journal(path, SETTINGS)


def test_a_journal_without_answers_is_nobodys(path):
    path.write_text(json.dumps({"nabot_journal": 1, "settings": {"mode": "other"}}) + "\n")
    assert recorded_settings(path) == {}
    journal_with(path, DONE)
    assert recorded_settings(path) == SETTINGS


def test_one_process_writes_at_a_time(path):
    with Journal(path, SETTINGS), pytest.raises(ConfigError, match="another nabot"):
        Journal(path, SETTINGS)
    journal_with(path, DONE)


def test_put_aside_replaces_nothing(path):
    for text in ("a", "b", "c"):
        path.write_text(text)
        put_aside(path)
    assert put_aside(path) is None
    assert {p.name: p.read_text() for p in path.parent.iterdir()} == {
        f"rows.journal.{number}.jsonl": text for number, text in ((1, "a"), (2, "b"), (3, "c"))
    }


def test_a_hash_is_of_the_words_and_of_the_sampling():
    ask = Conversation.ask("Tea?")
    hashes = {
        prompt_hash(ask, Sampling()),
        prompt_hash(ask, Sampling(temperature=1.0)),
        prompt_hash(Conversation.ask("Tea"), Sampling()),
    }
    assert len(hashes) == 3
    assert prompt_hash(ask, Sampling()) in hashes


def test_a_lost_request_is_no_answer(tmp_path):
    path = tmp_path / "run.journal.jsonl"
    assert not has_answers(path)
    with Journal(path, SETTINGS) as journal:
        journal.add_lost(0, "asked", Tokens(5, 7))
        assert not has_answers(path)
        journal.add(0, "asked", Completion("", 0, 0, "abort"))
    assert has_answers(path)
