"""`nabot data split` and `nabot data mix` as a person and a script see them."""

import json
from pathlib import Path

import pytest

from nabot.cli import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, size in (("big", 90), ("small", 10)):
        rows = [{"question": f"{name} {i * 2654435761 % 2**32:x}?", "answer": f"{i}."} for i in range(size)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def test_split_writes_two_files_and_says_how_many_rows(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "split", "big.jsonl", "--share", "0.2", "--out", "t.jsonl", "--held-out", "h.jsonl"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["t.jsonl: 72 rows to learn", "h.jsonl: 18 rows held out"]


def test_split_json_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]):
    run(["data", "split", "big.jsonl", "--count", "5", "--out", "t.jsonl", "--held-out", "h.jsonl", "--json"])
    told = capsys.readouterr()
    assert told.err == ""
    assert json.loads(told.out) == {
        "rows": 90,
        "train": {"file": "t.jsonl", "rows": 85},
        "held_out": {"file": "h.jsonl", "rows": 5},
        "wanted": 5,
        "together": 0,
    }


def test_mix_shows_rows_shares_and_epochs_and_warns_of_repetition(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "mix", "big.jsonl=1", "small.jsonl=1", "--out", "mix.jsonl"]) == 0
    told = capsys.readouterr().err
    assert [line.split() for line in told.splitlines() if ".jsonl  " in line] == [
        ["big.jsonl", "90", "50", "50.0%", "0.56"],
        ["small.jsonl", "10", "50", "50.0%", "5.00"],
    ]
    assert "small.jsonl: each row stands there 5.0 times" in told
    assert "big.jsonl: each row" not in told
    assert told.splitlines()[-1] == "mix.jsonl: 100 rows, shuffled"


def test_mix_json_names_every_source(folder: Path, capsys: pytest.CaptureFixture[str]):
    command = ["data", "mix", "big.jsonl", "small.jsonl", "--epochs", "small.jsonl=3", "--out", "mix.jsonl", "--json"]
    assert run(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(part["file"], part["taken"], part["epochs"]) for part in result["sources"]] == [
        ("big.jsonl", 90, 1.0),
        ("small.jsonl", 30, 3.0),
    ]
    assert (result["rows"], result["warnings"]) == (120, [])


def test_a_file_with_an_equals_sign_in_its_name_is_found(folder: Path):
    (folder / "big.jsonl").rename(folder / "a=1")
    assert run(["data", "mix", "a=1", "small.jsonl", "--out", "mix.jsonl"]) == 0
    assert run(["data", "mix", "a=1=2", "small.jsonl=1", "--out", "mix.jsonl", "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mix", "big.jsonl=x", "--out", "m.jsonl"], ["big.jsonl=x", "no number"]),
        (["mix", "nowhere.jsonl=2", "--out", "m.jsonl"], ["nowhere.jsonl", "no such file"]),
        (["mix", "big.jsonl", "--epochs", "small.jsonl=2", "--out", "m.jsonl"], ["small.jsonl=2", "big.jsonl"]),
        (["mix", "big.jsonl", "--out", "big.jsonl", "--force"], ["big.jsonl", "one of the files"]),
        (["mix", "--out", "m.jsonl"], ["FILE"]),
        (["split", "nowhere.jsonl", "--out", "t.jsonl", "--held-out", "h.jsonl"], ["no such file"]),
        (["split", "big.jsonl", "--share", "2", "--out", "t.jsonl", "--held-out", "h.jsonl"], ["--share 2"]),
        (["split", "big.jsonl", "--out", "t.jsonl"], ["--held-out"]),
    ],
)
def test_bad_input_ends_with_status_2_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
):
    before = sorted(folder.iterdir())
    assert run(["data", *arguments]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
    assert sorted(folder.iterdir()) == before
