"""Bad input: each kind of fault, where it is said to be, and what the person is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nabot.data.files import Fault, read_conversations, scan_conversations, scan_exam
from nabot.errors import DataError

USER = {"role": "user", "content": "안녕?"}
BOT = {"role": "assistant", "content": "네"}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}
TOOL = {"role": "tool", "content": "1"}
SYSTEM = {"role": "system", "content": "짧게"}
GOOD = json.dumps({"messages": [USER, BOT]}, ensure_ascii=False) + "\n"


def put(folder: Path, content: str | bytes, name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def faults_of(folder: Path, *rows: Any) -> list[Fault]:
    return scan_conversations(put(folder, GOOD + "".join(json.dumps(row) + "\n" for row in rows)))[1]


@pytest.mark.parametrize(
    ("row", "kind", "field"),
    [
        ([1, 2], "not_object", ""),
        ("text", "not_object", ""),
        ({"other": 1}, "no_messages", "messages"),
        ({"messages": []}, "no_messages", "messages"),
        ({"messages": "hi"}, "no_messages", "messages"),
        ({"messages": ["hi"]}, "not_object", "messages[0]"),
        ({"messages": [{"role": "bot", "content": "a"}]}, "unknown_role", "messages[0].role"),
        ({"messages": [USER, {"role": "assistant"}]}, "not_text", "messages[1].content"),
        ({"messages": [USER, {**BOT, "content": 7}]}, "not_text", "messages[1].content"),
        ({"messages": [{**USER, "context": ["a"]}, BOT]}, "not_text", "messages[0].context"),
        ({"messages": [USER, {**BOT, "content": "\ud83d"}]}, "half_character", "messages[1].content"),
        ({"messages": [USER, {**BOT, "train": "no"}]}, "not_true_false", "messages[1].train"),
        ({"messages": [USER, {**BOT, "tool_calls": "f"}]}, "not_objects", "messages[1].tool_calls"),
        ({"messages": [USER, BOT], "tools": "f"}, "not_objects", "tools"),
        ({"messages": [BOT]}, "roles_order", "messages[0].role"),
        ({"messages": [USER, SYSTEM, BOT]}, "roles_order", "messages[1].role"),
        ({"messages": [USER, USER, BOT]}, "roles_order", "messages[1].role"),
        ({"messages": [USER, BOT, BOT]}, "roles_order", "messages[2].role"),
        ({"messages": [USER, TOOL, BOT]}, "roles_order", "messages[1].role"),
        ({"messages": [USER, BOT, USER]}, "last_not_assistant", "messages[2].role"),
        ({"messages": [USER, CALL, TOOL]}, "last_not_assistant", "messages[2].role"),
        ({"messages": [USER]}, "no_assistant", "messages"),
        ({"messages": [USER, {**BOT, "content": " \n"}]}, "empty_answer", "messages[1].content"),
        ({"messages": [{**USER, "content": ""}, BOT]}, "empty_question", "messages[0].content"),
        ({"messages": [USER, {**BOT, "train": False}]}, "nothing_trained", "messages"),
    ],
)
def test_each_fault_has_its_kind_row_and_field(tmp_path: Path, row: Any, kind: str, field: str):
    (fault,) = faults_of(tmp_path, row)
    assert (fault.kind, fault.row, fault.field) == (kind, 2, field)
    assert fault.file == str(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    "messages",
    [
        [SYSTEM, USER, BOT],
        [USER, BOT, USER, BOT],
        [USER, CALL, TOOL, TOOL, BOT],
        [USER, CALL],
        [{**USER, "content": "", "context": "글"}, BOT],
        [USER, {**BOT, "train": False}, USER, {**BOT, "train": True}],
    ],
)
def test_good_orders_of_roles_have_no_fault(tmp_path: Path, messages: list[Any]):
    assert faults_of(tmp_path, {"messages": messages}) == []


def test_all_faults_of_a_row_are_told(tmp_path: Path):
    found = faults_of(tmp_path, {"messages": [{**USER, "content": ""}, {**BOT, "content": ""}, USER]})
    assert [fault.kind for fault in found] == ["last_not_assistant", "empty_question", "empty_answer"]


@pytest.mark.parametrize(
    ("name", "content", "kind", "place"),
    [
        ("a.jsonl", GOOD + '{"messages": [}\n', "broken_json", (2, "")),
        ("a.jsonl", "junk\n" + GOOD, "broken_json", (1, "")),
        ("a.jsonl", GOOD + "[" * 100_000, "broken_json", (2, "")),
        ("a.jsonl", "[1]\n" + GOOD, "not_object", (1, "")),
        ("a.json", f"[{GOOD}, {{oops}}]", "broken_list", (2, "")),
        ("a.json", f"[{GOOD}] {GOOD}", "broken_list", (2, "")),
        ("a.json", f"[{GOOD}", "broken_list", (2, "")),
        ("a.csv", "Q,A\na,b\nc,d,e\n", "ragged_row", (3, "")),
        ("a.csv", "Q,A\n,\na,\nb,c\n", "empty_answer", (3, "A")),
        ("a.csv", 'Q,A\na,"b"c\nd,e\n', "broken_table", (2, "")),
        ("a.csv", 'Q,A\na,"b\n', "broken_table", (2, "")),
        ("a.csv", "질문,답변\n안녕,\n", "empty_answer", (2, "답변")),
        ("a.jsonl", '{"instruction":"a","output":"b"}\n{"instruction":"a"}\n', "missing_field", (2, "output")),
        ("a.jsonl", '{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":""}]}', "empty_answer",
         (1, "conversations[1].value")),
        ("a.jsonl", '{"conversations":[{"from":"he","value":"a"}]}', "unknown_role", (1, "conversations[0].from")),
    ],
)  # fmt: skip
def test_faults_name_the_place_in_the_persons_own_layout(
    tmp_path: Path, name: str, content: str, kind: str, place: tuple[int, str]
):
    _, (fault,) = scan_conversations(put(tmp_path, content, name))
    assert (fault.kind, (fault.row, fault.field)) == (kind, place)


def test_broken_json_names_its_column(tmp_path: Path):
    _, (fault,) = scan_conversations(put(tmp_path, GOOD + '{"messages": [}\n'))
    assert "column 15" in fault.message


@pytest.mark.parametrize(
    ("bad", "offset_in_line"),
    [(b'{"q": "caf\xe9"}\n', 10), (b"\xff\xff\n", 0), ("{가나".encode()[:-1] + b"\n", 4)],
    ids=["latin-1", "no lead byte", "cut character"],
)
def test_undecodable_bytes_name_row_and_byte_offset_and_leave_the_other_rows(
    tmp_path: Path, bad: bytes, offset_in_line: int
):
    good = GOOD.encode()
    conversations, (fault,) = scan_conversations(put(tmp_path, good + bad + good))
    assert [row for row, _ in conversations] == [1, 3]
    assert (fault.kind, fault.row) == ("undecodable", 2)
    assert f"byte offset {len(good) + offset_in_line} " in fault.message


def test_one_damaged_line_does_not_turn_a_utf8_file_into_cp949(tmp_path: Path):
    damaged = GOOD.encode() * 3 + b'{"q": "' + "달카페".encode("cp949") + b'"}\n'
    conversations, faults = scan_conversations(put(tmp_path, damaged))
    assert len(conversations) == 3
    assert conversations[0][1].messages[0].content == "안녕?"
    assert [fault.kind for fault in faults] == ["undecodable"]


def test_faulty_rows_stop_the_reading_with_the_first_twenty_and_the_way_on(tmp_path: Path):
    path = put(tmp_path, GOOD + "{nope}\n" * 25)
    with pytest.raises(DataError) as error:
        read_conversations([path])
    text = str(error.value)
    assert f"{path}:2: broken JSON at column 2" in text
    assert f"{path}:21:" in text
    assert f"{path}:22:" not in text
    assert "5 more" in text
    assert "25 of 26 rows" in text
    assert "--skip-faulty" in text


def test_skip_faulty_goes_on_without_them_and_tells_which(tmp_path: Path):
    path = put(tmp_path, GOOD + "{nope}\n" + GOOD)
    skipped: list[Fault] = []
    conversations = read_conversations([path], skip_faulty=True, on_skip=skipped.extend)
    assert len(conversations) == 2
    assert [fault.row for fault in skipped] == [2]


def test_skip_faulty_does_not_go_on_with_nothing(tmp_path: Path):
    with pytest.raises(DataError, match="nothing is left"):
        read_conversations([put(tmp_path, "{nope}\n")], skip_faulty=True)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", ["empty", "0 bytes"]),
        ("a.jsonl", b" \n\n", ["empty"]),
        ("a.jsonl", b"\xef\xbb\xbf", ["no row"]),
        ("a.json", b"[]", ["no row"]),
        ("a.csv", b"Q,A\n", ["no row"]),
        ("a.bin", b"PK\x03\x04\x00\x00", ["not a text file", "byte offset 4"]),
        ("a.jsonl", b'{"instrution": "a", "output": "b"}', ["unknown layout", '"instrution"', "Nearest: alpaca"]),
        ("a.jsonl", b'{"q": "a", "ans": "b"}', ["unknown layout", "Nearest: question-answer"]),
        ("a.jsonl", b'{"x": "a"}', ["unknown layout", "None", "messages", "sharegpt", "alpaca", "prompt-completion"]),
        ("a.csv", b"hi,there\na,b\n", ["unknown layout", '"hi", "there"', "first line"]),
        ("a.csv", "문의내용,답변내용\na,b\n".encode(), ["question, q,", "질문, 문의,", "answer, a,", "답변, 답,"]),
        ("a.csv", "몇 시?,7시\n".encode("cp949"), ['"몇 시?", "7시"', "a row already"]),
        ("a.txt", b"x;y\n1;2\n", ['"x", "y"', "names of the columns"]),
        ("a.txt", b"hello world\n", ["plain text", '"hello world"']),
        ("facts.md", b"# We\n\n- Open at 7, closed at 9.\n- Tea.\n", ["plain text", "nabot init", "--facts"]),
        ("notes.txt", b"Tea, cake\nBread\n", ["plain text"]),
        ("a.xlsx", b"PK\x03\x04\x00\x00", ["Excel workbook", "CSV UTF-8"]),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_explained(tmp_path: Path, name: str, content: bytes, words: list[str]):
    path = put(tmp_path, content, name)
    with pytest.raises(DataError) as error:
        scan_conversations(path)
    assert all(word in str(error.value) for word in [str(path), *words]), str(error.value)
    assert str(error.value).count("\n") < 4


def test_a_missing_file_and_a_folder_are_explained(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        read_conversations([tmp_path / "none.jsonl"])
    with pytest.raises(DataError, match="folder"):
        read_conversations([tmp_path])


def test_control_characters_of_a_file_never_reach_the_terminal(tmp_path: Path):
    _, (fault,) = scan_conversations(put(tmp_path, GOOD + '{"a\x1b[31m\x07\n'))
    assert fault.message.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["user", "assistant", "tool"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "tool_calls", "conversations", "from", "value", "prompt"])
            | st.sampled_from(["completion", "context", "accept", "reject", "group", "system", "train", "tools"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(JSON, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()) | st.binary(max_size=60))
def test_whatever_is_in_a_file_it_is_read_or_explained(tmp_path: Path, content: bytes):
    for name in ("a.jsonl", "a.csv"):
        path = put(tmp_path, content, name)
        for scan in (scan_conversations, scan_exam):
            try:
                good, faults = scan(path)
            except DataError:
                continue
            assert good or faults


def test_a_line_that_ends_too_early_is_broken_at_its_end(tmp_path: Path):
    _, faults = scan_conversations(put(tmp_path, '{"prompt": "a", "completion": "b"\n' + GOOD))
    assert "broken JSON at column 34" in str(faults[0])
