"""`nabot data import` as a person and a script see it."""

import json
from pathlib import Path

import pytest

from nabot.cli import run

CSV = "질문,답변\n차 있나요?,네.\n답이 없나요?,\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faq.csv").write_text(CSV, encoding="utf-8")
    return tmp_path


def test_json_is_one_line_on_standard_output_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "import", "faq.csv", "--out", "out.jsonl", "--json"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.count("\n") == 1
    result = json.loads(told.out)
    assert {key: result[key] for key in ("format", "rows", "dropped", "out")} == {
        "format": "question-answer",
        "rows": 1,
        "dropped": {"empty_answer": 1},
        "out": "out.jsonl",
    }
    assert [(fault["row"], fault["field"], fault["kind"]) for fault in result["faults"]] == [
        (3, "답변", "empty_answer")
    ]


def test_a_person_is_told_the_format_the_faults_and_what_was_written(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "import", "faq.csv", "--out", "out.jsonl"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "faq.csv: question-answer (csv, utf-8), 1 row" in told.err.splitlines()
    assert "faq.csv:3:답변: empty answer" in told.err
    assert "left out: empty_answer 1" in told.err.splitlines()
    assert "out.jsonl: 1 row. Check them: nabot data check out.jsonl" in told.err.splitlines()


def test_a_template_that_was_taken_off_is_told(folder: Path, capsys: pytest.CaptureFixture[str]):
    row = {"prompt": "USER: Tea? ASSISTANT:", "completion": "Yes."}
    (folder / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert run(["data", "import", "a.jsonl", "--out", "out.jsonl"]) == 0
    assert "1 row whose prompt carried the template vicuna" in capsys.readouterr().err


def test_pairs_of_answers_are_told_to_be_no_rows_to_tune_on(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "a.jsonl").write_text('{"prompt": "?", "chosen": "a", "rejected": "b"}', encoding="utf-8")
    assert run(["data", "import", "a.jsonl", "--out", "out.jsonl", "--preferences", "pairs.jsonl"]) == 0
    assert "pairs.jsonl: 1 row with a chosen and a rejected answer" in capsys.readouterr().err
    assert (folder / "pairs.jsonl").exists()


def test_columns_are_named_with_map(folder: Path):
    (folder / "b.csv").write_text("body,the reply\nTea?,Yes.\n", encoding="utf-8")
    command = ["data", "import", "b.csv", "--out", "out.jsonl", "--map", "question=body", "--map", "answer=the reply"]
    assert run(command) == 0
    assert json.loads((folder / "out.jsonl").read_text(encoding="utf-8"))["messages"][1]["content"] == "Yes."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.csv", "--out", "o.jsonl"], ["nowhere.csv", "no such file"]),
        (["faq.csv", "--out", "o.jsonl", "--format", "xlxs"], ["xlxs", "Nearest: xlsx"]),
        (["faq.csv", "--out", "o.jsonl", "--map", "question"], ["--map question", "OUR_NAME=THEIR_COLUMN"]),
        (["faq.csv", "--out", "o.jsonl", "--map", "question=질문", "--map", "answer=없음"], ["없음", '"답변"']),
        (["faq.csv", "--out", "faq.csv", "--force"], ["faq.csv", "one of the files to read"]),
        (["faq.csv", "--out", "."], ["is a folder"]),
        (["faq.csv"], ["--out"]),
        (["--out", "o.jsonl"], ["IN"]),
    ],
)
def test_bad_input_ends_with_status_2_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
):
    before = sorted(folder.iterdir())
    assert run(["data", "import", *arguments]) == 2
    told = capsys.readouterr()
    assert all(word in told.err for word in words), told.err
    assert told.out == ""
    assert sorted(folder.iterdir()) == before
    assert (folder / "faq.csv").read_text(encoding="utf-8") == CSV


def test_without_the_library_for_a_file_the_error_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(
        __import__("sys").modules, "openpyxl", None
    )  # what Python keeps for a module that cannot be had
    (folder / "a.xlsx").write_bytes(b"PK\x03\x04")
    assert run(["data", "import", "a.xlsx", "--out", "o.jsonl"]) == 2
    assert 'pip install "nabot[files]"' in capsys.readouterr().err
