"""`nabot data stats` as a person and a script see it."""

import json
from pathlib import Path
from typing import Any

import pytest

from nabot.cli import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(
        tmp_path / "rows.jsonl",
        *({"instruction": f"Write {i} poems.", "output": "Here they are."} for i in range(3, 6)),
    )
    return tmp_path


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def test_a_person_is_told_lengths_languages_and_verbs(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "stats", "rows.jsonl"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0].startswith("3 rows, 3 distinct questions, 1 distinct answers")
    assert "languages: en 100%" in lines
    assert "  write: poem 3" in lines
    assert any(line.split() == ["words", "answered", "3", "3", "3.0", "3", "3"] for line in lines)


def test_json_is_one_line_with_the_same_numbers(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "stats", "rows.jsonl", "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    result = json.loads(told.out)
    assert (result["rows"], result["languages"], result["figure"]) == (3, {"en": 3}, None)
    assert result["verbs"] == [{"verb": "write", "objects": {"poem": 3}}]
    assert (result["tokens"], result["overlap"]) == (None, None)


def test_overlap_with_seeds_is_rouge_l_with_the_nearest_one(folder: Path, capsys: pytest.CaptureFixture[str]):
    task = {"instances": [{"input": "", "output": "x"}], "is_classification": False}
    write(folder / "seeds.jsonl", {"instruction": "Write 3 poems.", **task}, {"instruction": "Sing!", **task})
    run(["data", "stats", "rows.jsonl", "--seeds", "seeds.jsonl", "--json"])
    overlap = json.loads(capsys.readouterr().out)["overlap"]
    assert overlap["most"] == 1.0
    assert overlap["least"] == pytest.approx(2 / 3)


def test_tokens_are_counted_with_a_base(folder: Path, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "stats", "rows.jsonl", "--base", str(tiny_model_folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"]["least"] > 0


def test_the_figure_is_an_svg_file_that_is_not_replaced_without_force(folder: Path, capsys: pytest.CaptureFixture[str]):
    command = ["data", "stats", "rows.jsonl", "--figure", "rows.svg"]
    assert run(command) == 0
    assert (folder / "rows.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert run(command) == 2
    assert run([*command, "--force"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rows.jsonl", "--figure", "rows.png"], ["rows.png", "SVG", "rows.svg"]),
        (["nowhere.jsonl", "--figure", "a.svg"], ["no such file"]),
        (["rows.jsonl", "--seeds", "rows.jsonl"], ["rows.jsonl:1", "is_classification"]),
        ([], ["DATA"]),
    ],
)
def test_bad_input_ends_with_status_2_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
):
    before = sorted(folder.iterdir())
    assert run(["data", "stats", *arguments]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told
    assert sorted(folder.iterdir()) == before
