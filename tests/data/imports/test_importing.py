"""Importing: what is found, where it is written, what is left out. Also that it takes little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nabot.data.files import read_conversations
from nabot.data.imports import report as report_module
from nabot.data.imports.importing import ImportRequest, import_files
from nabot.data.imports.registry import READERS, reader_of
from nabot.data.imports.report import FileReport, ImportReport
from nabot.data.imports.types import Asked
from nabot.data.layouts import LAYOUTS
from nabot.errors import ConfigError, DataError

PAIR = {"question": "Tea?", "answer": "Yes."}
RIVALS = {"prompt": "Tea?", "chosen": "Yes.", "rejected": "No."}


def put(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def imported(*paths: Path, out: Path, **more: Any) -> ImportReport:
    return import_files(ImportRequest(paths, out, **more))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_files_of_several_formats_become_one_file_in_their_order(tmp_path: Path):
    one, two = put(tmp_path / "b.jsonl", PAIR), tmp_path / "a.csv"
    two.write_text("질문,답변\n차?,네.\n", encoding="cp949")
    seen: list[FileReport] = []
    report = import_files(ImportRequest([one, two], tmp_path / "out.jsonl"), seen.append)
    assert [row["messages"][0]["content"] for row in rows_of(tmp_path / "out.jsonl")] == ["Tea?", "차?"]
    assert [(found.format, found.details, found.rows) for found in seen] == [
        ("question-answer", "jsonl, utf-8", 1),
        ("question-answer", "csv, cp949", 1),
    ]
    assert report.as_dict()["format"] == "question-answer"
    assert report.as_dict()["rows"] == 2


def test_what_was_written_is_read_back_equal(tmp_path: Path):
    source = put(tmp_path / "a.jsonl", PAIR, {"question": "가\u2028나", "answer": "줄\n바꿈", "system": "짧게"})
    imported(source, out=tmp_path / "out.jsonl")
    assert read_conversations([tmp_path / "out.jsonl"]) == read_conversations([source])


def test_a_folder_is_walked_in_the_order_of_names_without_hidden_files(tmp_path: Path):
    folder = tmp_path / "in"
    for name in ("b.jsonl", "a/z.jsonl", "c.jsonl", ".hidden.jsonl", ".git/x.jsonl"):
        put(folder / name, {"question": name, "answer": "a"})
    imported(folder, out=tmp_path / "out.jsonl")
    assert [row["messages"][0]["content"] for row in rows_of(tmp_path / "out.jsonl")] == [
        "a/z.jsonl",
        "b.jsonl",
        "c.jsonl",
    ]


def test_what_cannot_be_used_in_a_folder_is_passed_over_and_told(tmp_path: Path):
    folder = tmp_path / "in"
    put(folder / "a.jsonl", PAIR)
    put(folder / "exam.jsonl", {"messages": [{"role": "user", "content": "?"}], "accept": ["a"]})
    (folder / "photo.png").write_bytes(b"\x89PNG\x00\x01")
    (folder / "empty.txt").touch()
    report = imported(folder, out=tmp_path / "out.jsonl")
    assert report.as_dict()["rows"] == 1
    assert report.dropped == {"unusable_file": 3}
    assert [Path(line.split(": ")[0]).name for line in report.passed_over] == ["empty.txt", "exam.jsonl", "photo.png"]


def test_an_old_result_in_the_folder_is_not_read_again(tmp_path: Path):
    put(tmp_path / "a.jsonl", PAIR)
    put(tmp_path / "b.jsonl", RIVALS)
    for _ in range(2):
        report = imported(tmp_path, out=tmp_path / "out.jsonl", force=True)
        assert report.written == {"conversations": 1, "preferences": 1}


def test_pairs_of_answers_go_into_a_file_of_their_own_beside_the_conversations(tmp_path: Path):
    source = put(tmp_path / "a.jsonl", RIVALS)
    report = imported(source, out=tmp_path / "out.jsonl")
    place = tmp_path / "out.preferences.jsonl"
    assert not (tmp_path / "out.jsonl").exists()
    assert report.as_dict()["out"] == str(place)
    assert rows_of(place) == [
        {
            "messages": [{"role": "user", "content": "Tea?"}],
            "chosen": [{"role": "assistant", "content": "Yes."}],
            "rejected": [{"role": "assistant", "content": "No."}],
        }
    ]


def test_pairs_that_were_written_are_read_back_equal(tmp_path: Path):
    imported(put(tmp_path / "a.jsonl", RIVALS), out=tmp_path / "one.jsonl", preferences=tmp_path / "p.jsonl")
    imported(tmp_path / "p.jsonl", out=tmp_path / "two.jsonl")
    assert rows_of(tmp_path / "two.preferences.jsonl") == rows_of(tmp_path / "p.jsonl")


def test_every_row_is_written_or_counted_by_the_reason_of_its_first_fault(tmp_path: Path):
    bad = [{"question": "", "answer": ""}, {"question": "?"}, {"question": "?", "answer": 3}, "text"]
    report = imported(put(tmp_path / "a.jsonl", PAIR, *bad), out=tmp_path / "out.jsonl")
    assert report.dropped == {"empty_question": 1, "missing_field": 1, "not_text": 1, "not_object": 1}
    assert [(fault.row, fault.kind) for fault in report.faults][:2] == [(2, "empty_question"), (2, "empty_answer")]
    assert report.num_faults == 5


def test_faults_beyond_the_ones_that_are_kept_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report_module, "FAULTS_KEPT", 3)
    report = imported(put(tmp_path / "a.jsonl", PAIR, *["text"] * 9), out=tmp_path / "out.jsonl")
    assert (len(report.faults), report.num_faults, report.dropped["not_object"]) == (3, 9, 9)


def test_half_a_letter_among_the_tools_is_written_as_an_escape(tmp_path: Path):
    tools = [{"type": "function", "function": {"name": "f", "description": "\ud83d"}}]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "a"}]
    source = tmp_path / "a.jsonl"
    source.write_text(json.dumps({"messages": messages, "tools": tools}), encoding="utf-8")
    imported(source, out=tmp_path / "out.jsonl")
    assert rows_of(tmp_path / "out.jsonl")[0]["tools"] == tools


# ---- input that cannot be used


def test_a_named_file_that_cannot_be_used_leaves_nothing_behind(tmp_path: Path):
    good = put(tmp_path / "in" / "a.jsonl", PAIR)
    broken = put(tmp_path / "in" / "b.jsonl", {"colour": "red"})
    with pytest.raises(DataError, match="unknown layout"):
        imported(good, broken, out=tmp_path / "new" / "out.jsonl")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_without_a_good_row_is_an_error_that_lists_what_is_wrong(tmp_path: Path):
    source = put(tmp_path / "a.jsonl", *[{"question": "?", "answer": ""}] * 25)
    with pytest.raises(DataError) as error:
        imported(source, out=tmp_path / "out.jsonl")
    assert "empty_answer 25" in str(error.value)
    assert f"{source}:20:" in str(error.value)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("name", ["out.jsonl", "out.preferences.jsonl", "out.passages.jsonl"])
def test_nothing_of_the_persons_is_replaced_unless_asked(tmp_path: Path, name: str):
    source, old = put(tmp_path / "a.jsonl", PAIR, PAIR), put(tmp_path / name, "mine")
    with pytest.raises(ConfigError, match="--force"):
        imported(source, out=tmp_path / "out.jsonl")
    assert rows_of(old) == ["mine"]
    imported(source, out=tmp_path / "out.jsonl", force=True)
    assert len(rows_of(tmp_path / "out.jsonl")) == 2


def test_a_file_is_never_written_over_itself(tmp_path: Path):
    source = put(tmp_path / "a.jsonl", PAIR)
    with pytest.raises(ConfigError, match="one of the files to read"):
        imported(source, out=tmp_path / "b" / ".." / "a.jsonl", force=True)


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path):
    source = put(tmp_path / "in" / "a.jsonl", PAIR)
    report = imported(source, tmp_path / "in", tmp_path / "in" / ".." / "in" / "a.jsonl", out=tmp_path / "out.jsonl")
    assert report.written == {"conversations": 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_what_is_no_file_is_never_replaced(tmp_path: Path):
    source, pipe = put(tmp_path / "a.jsonl", PAIR), tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="a device or a pipe"):
        imported(source, out=pipe, force=True)
    assert pipe.is_fifo()


def test_text_in_a_parquet_file_that_is_no_utf8_is_damage(tmp_path: Path):
    question = pyarrow.array([b"caf\xe9"], pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"question": question, "answer": ["Yes."]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet"):
        imported(tmp_path / "a.parquet", out=tmp_path / "out.jsonl")


def test_preferences_do_not_go_into_a_folder(tmp_path: Path):
    (tmp_path / "pairs").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        imported(
            put(tmp_path / "a.jsonl", RIVALS), out=tmp_path / "b.jsonl", preferences=tmp_path / "pairs", force=True
        )


def test_two_kinds_of_rows_do_not_go_into_one_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="two things"):
        imported(put(tmp_path / "a.jsonl", PAIR), out=tmp_path / "o.jsonl", preferences=tmp_path / "o.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.bin", b"We open at seven.\n", ["none of the formats", "We open at seven.", "xlsx", "--format"]),
        ("a.zip", b"PK\x03\x04nothing", ["zip of no known program", "Unpack"]),
        ("empty", b"", ["empty"]),
        ("a.csv", b"body,reply\nWhen?,Now.\n", ['"body", "reply"', '"When?", "Now."', '--map question=body --map answer=reply']),
        ("a b.jsonl", b'{"a b": "What?", "y": "That!"}', ["nabot data import '", "a b.jsonl' --map 'question=a b' --map answer=y"]),
        ("a.jsonl", b'{"x": "What?", "y": "That!"}', ["unknown layout", '--map question=x --map answer=y']),
        ("a.jsonl", b'{"messages": [{"role": "user", "content": "?"}], "accept": ["a"]}', ["exam"]),
        ("a.jsonl", b"\n \n", ["empty"]),
    ],
)  # fmt: skip
def test_a_file_that_is_not_known_is_explained(tmp_path: Path, name: str, content: bytes, words: list[str]):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        imported(path, out=tmp_path / "out.jsonl")
    assert all(word in str(error.value) for word in [str(path), *words]), str(error.value)
    assert str(error.value).count("\n") < 4


def test_an_empty_folder_is_explained(tmp_path: Path):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="no file in this folder"):
        imported(tmp_path / "in", out=tmp_path / "out.jsonl")


# ---- what a person says about the files


def test_columns_that_were_named_are_all_that_is_read(tmp_path: Path):
    source = put(tmp_path / "a.jsonl", {"instruction": "no", "output": "no", "Body": "Tea?", "Reply": "Yes."})
    imported(source, out=tmp_path / "out.jsonl", asked=Asked({"question": "body", "answer": "Reply "}))
    assert [m["content"] for m in rows_of(tmp_path / "out.jsonl")[0]["messages"]] == ["Tea?", "Yes."]


@pytest.mark.parametrize(
    ("columns", "kind", "words"),
    [
        ({"question": "body", "answer": "repli"}, DataError, ["no column repli", '"reply"']),
        ({"question": "body"}, DataError, ["question", "expected question and answer"]),
        ({"qestion": "body", "answer": "reply"}, ConfigError, ["qestion", "Nearest: question"]),
    ],
)
def test_a_column_that_is_not_there_or_not_known_is_explained(
    tmp_path: Path, columns: dict[str, str], kind: type[Exception], words: list[str]
):
    source = put(tmp_path / "a.jsonl", {"body": "Tea?", "reply": "Yes."})
    with pytest.raises(kind) as error:
        imported(source, out=tmp_path / "out.jsonl", asked=Asked(columns))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_format_that_was_named_is_taken_whatever_the_file_looks_like(tmp_path: Path):
    row = {"instruction": "Choose", "output": "Tea", "question": "Tea?", "answer": "Yes."}
    source = put(tmp_path / "a.jsonl", row)
    for name, question in (("alpaca", "Choose"), ("question-answer", "Tea?"), ("rows", "Choose")):
        imported(source, out=tmp_path / f"{name}.jsonl", format=name)
        assert rows_of(tmp_path / f"{name}.jsonl")[0]["messages"][0]["content"] == question


def test_the_flags_to_type_name_columns_that_have_a_name(tmp_path: Path):
    table = tmp_path / "a.csv"
    table.write_text("Frage,,Antwort\nTee?,,Ja.\n", encoding="utf-8")
    with pytest.raises(DataError, match="--map question=Frage --map answer=Antwort"):
        imported(table, out=tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("asked", "flag"), [(Asked({"question": "Q", "answer": "A"}), "--map"), (Asked(assistant="Mina"), "--assistant")]
)
def test_what_is_said_of_tables_and_chats_is_refused_for_a_document(tmp_path: Path, asked: Asked, flag: str):
    (tmp_path / "note.md").write_text("# Tea\n\nLet it steep for two minutes.\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"note\.md: a document \(markdown\).*{flag} would be ignored"):
        imported(tmp_path / "note.md", out=tmp_path / "out.jsonl", asked=asked)
    assert not (tmp_path / "out.jsonl").exists()


def test_documents_of_a_folder_are_read_beside_the_chats_that_flags_are_for(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.md").write_text("# Tea\n\nLet it steep for two minutes.\n", encoding="utf-8")
    report = imported(tmp_path / "in", out=tmp_path / "out.jsonl", asked=Asked(assistant="Mina"))
    assert report.written == {"passages": 1}


def test_every_format_has_a_name_of_its_own(tmp_path: Path):
    names = [one.name for one in (*READERS, *LAYOUTS)]
    assert len(names) == len(set(names))
    note = tmp_path / "note.tea"
    note.write_text("Let it steep for two minutes.\n", encoding="utf-8")
    assert imported(note, out=tmp_path / "out.jsonl", format="plain").written == {"passages": 1}


def test_an_unknown_format_names_the_nearest_and_all(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"alpacca.*Nearest: alpaca.*xlsx.*sharegpt"):
        imported(put(tmp_path / "a.jsonl", PAIR), out=tmp_path / "out.jsonl", format="alpacca")


# ---- looking


@pytest.mark.parametrize(
    ("name", "head", "reader"),
    [
        ("a.jsonl", b"", "rows"),
        ("a.txt", b'\xef\xbb\xbf [\n {"a": 1}]', "rows"),
        ("a", '{"a": 1}'.encode("utf-16"), "rows"),
        ("a.txt", "질문\t답변\n".encode("cp949"), "rows"),
        ("a.txt", "질문,답변\n가".encode()[:-1], "rows"),
        ("a.md", b"[a link](https://x)\n", "markdown"),
        ("a.md", b"{{ template }}", "markdown"),
        ("a.txt", b"Tea, cake\n", "plain"),
        ("a.txt", b"\xff\xfe\xff\xd8", "plain"),
        ("a.dat", b"PAR1\x15", "parquet"),
        ("a.dat", b"\x00\x01\x02\x03", None),
        ("a.xlsx", b"junk", "xlsx"),
    ],
)
def test_a_format_is_found_by_looking(tmp_path: Path, name: str, head: bytes, reader: str | None):
    found = reader_of(tmp_path / name, head)
    assert (found.name if found else None) == reader


@given(st.binary(max_size=80), st.sampled_from(["a.bin", "a.txt", "a.csv", "a.json", "a.xlsx", "a.parquet", "a"]))
def test_looking_never_fails_for_odd_bytes(head: bytes, name: str):
    for reader in READERS:
        assert reader.recognises(Path("/nowhere") / name, head) in (True, False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=80)
    | st.sampled_from([b"PK\x03\x04", b"PAR1"]).flatmap(lambda b: st.binary(max_size=60).map(b.__add__)),
    st.sampled_from(["a.jsonl", "a.csv", "a.xlsx", "a.parquet"]),
)
def test_whatever_is_in_a_file_it_is_imported_or_explained(tmp_path: Path, content: bytes, name: str):
    (tmp_path / name).write_bytes(content)
    try:
        report = imported(tmp_path / name, out=tmp_path / "out.jsonl", force=True)
    except DataError:
        return
    assert report.written


# ---- memory

_MEASURED = """
import sys
from pathlib import Path
from nabot.data.imports.importing import ImportRequest, import_files
from nabot.memory import peak_memory_bytes
report = import_files(ImportRequest([Path(sys.argv[1])], Path(sys.argv[2])))
print(report.written.total(), peak_memory_bytes())
"""
_ROW = {"instruction": "Say something about number {}", "input": "", "output": "word " * 400}
_LARGE = 200_000_000  # bytes


def _one_line(path: Path) -> int:
    """One JSON list without a line break, as `json.dump` writes it."""
    row, count = json.dumps(_ROW), 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < _LARGE:
            file.write(("[" if count == 0 else ", ") + row.replace("{}", str(count)))
            count += 1
        file.write("]")
    return count


def _lines(path: Path) -> int:
    row, count = json.dumps(_ROW), 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < _LARGE:
            file.write(row.replace("{}", str(count)) + "\n")
            count += 1
    return count


def _faulty_lines(path: Path) -> int:
    """One good row, and half a million of bad ones."""
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(_ROW) + "\n")
        for _ in range(500_000):
            file.write('{"instruction": "?", "output": ""}\n')
    return 1


def _one_group(path: Path) -> int:
    """Parquet whose rows are all in one group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 100_000
    columns = {"question": [f"q{i}" for i in range(count)], "answer": [f"{i} " * 300 for i in range(count)]}
    pq.write_table(pa.table(columns), path, row_group_size=count, compression="none", use_dictionary=False)
    return count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"),
    [("a.json", _one_line), ("a.jsonl", _lines), ("b.jsonl", _faulty_lines), ("a.parquet", _one_group)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_large_file_takes_little_memory(tmp_path: Path, name: str, write: Any):
    count = write(tmp_path / name)
    command = [sys.executable, "-c", _MEASURED, str(tmp_path / name), str(tmp_path / "out.jsonl")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    written, peak = map(int, done.stdout.split())
    assert written == count
    assert peak < 300_000_000
