"""Conversation files in every layout and encoding that people bring."""

import json
from pathlib import Path

import pytest

from nabot.conversation import Conversation, Message
from nabot.data.files import read_conversations, read_text, scan_conversations, scan_file
from nabot.errors import DataError

GOOD = {"messages": [{"role": "user", "content": "안녕?"}, {"role": "assistant", "content": "네, 달카페입니다."}]}
PAIR = Conversation((Message("user", "안녕?"), Message("assistant", "네, 달카페입니다.")))
WITH_CONTEXT = Conversation((Message("user", "요약해 줘", context="긴 글"), Message("assistant", "짧은 글")))


def line(row: object) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("codec", "name"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16-le"), ("cp949", "cp949")],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_each_encoding_gives_the_same_conversations_and_is_named(tmp_path: Path, codec: str, name: str, ending: str):
    path = put(tmp_path, "a.jsonl", (line(GOOD) * 3).replace("\n", ending).encode(codec))
    scan = scan_file(path)
    assert [c for _, c in scan.conversations] == [PAIR] * 3
    assert (scan.encoding, scan.layout, scan.container) == (name, "messages", "jsonl")


def test_utf16_big_endian_lines_end_only_at_line_feeds(tmp_path: Path):
    # U+0A0A and U+000A00 share the byte 0x0A with the line feed, U+0A05 is Gurmukhi
    row = {"messages": [{"role": "user", "content": "\u0a0a\u0a05\u010a?"}, {"role": "assistant", "content": "네"}]}
    for mark, codec in ((b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le")):
        path = put(tmp_path, "a.jsonl", mark + (line(row) * 2).encode(codec))
        assert [number for number, _ in scan_conversations(path)[0]] == [1, 2]


def test_decomposed_hangul_becomes_composed(tmp_path: Path):
    row = {"messages": [{"role": "user", "content": "\u1112\u1161\u11ab"}, {"role": "assistant", "content": "e\u0301"}]}
    ((_, conversation),), _ = scan_conversations(put(tmp_path, "a.jsonl", line(row)))
    assert [m.content for m in conversation.messages] == ["한", "é"]


LAYOUTS = {
    "messages": ({"messages": [m.as_dict() for m in WITH_CONTEXT.messages]}, WITH_CONTEXT),
    "alpaca": ({"instruction": "요약해 줘", "input": "긴 글", "output": "짧은 글"}, WITH_CONTEXT),
    "prompt-completion": (
        {"prompt": "안녕?", "completion": "네", "id": 7},
        Conversation((Message("user", "안녕?"), Message("assistant", "네"))),
    ),
    "question-answer": ({"질문": "요약해 줘", "답변": "짧은 글", "맥락": "긴 글"}, WITH_CONTEXT),
    "sharegpt": (
        {
            "system": "짧게",
            "conversations": [{"from": "human", "value": "안녕?"}, {"from": "gpt", "value": "네"}],
        },
        Conversation((Message("system", "짧게"), Message("user", "안녕?"), Message("assistant", "네"))),
    ),
}


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read_from_lines_and_from_a_list(tmp_path: Path, layout: str, as_list: bool):
    row, expected = LAYOUTS[layout]
    content = json.dumps([row, row], ensure_ascii=False, indent=2) if as_list else line(row) * 2
    scan = scan_file(put(tmp_path, "data.json", content))
    assert scan.faults == []
    assert scan.conversations == [(1, expected), (2, expected)]
    assert (scan.layout, scan.container) == (layout, "json" if as_list else "jsonl")


@pytest.mark.parametrize(
    "header",
    [
        "Q,A",
        "question,answer",
        " Question , Answer ",
        "질문,답변",
        "prompt,response",
        "instruction,output",
        "prompt,completion",
    ],
)
def test_tables_are_recognised_by_their_column_names(tmp_path: Path, header: str):
    scan = scan_file(put(tmp_path, "a.csv", f'{header}\r\n"커피, 있나요?","네,\r\n있습니다"\r\n'.encode("cp949")))
    ((row, conversation),) = scan.conversations
    assert [m.content for m in conversation.messages] == ["커피, 있나요?", "네,\r\n있습니다"]
    assert (row, scan.container, scan.encoding) == (2, "csv", "cp949")


@pytest.mark.parametrize(("delimiter", "container"), [("\t", "tsv"), (";", "csv")])
def test_the_separator_of_a_table_is_seen_from_its_header(tmp_path: Path, delimiter: str, container: str):
    scan = scan_file(put(tmp_path, "a.txt", f"id{delimiter}Q{delimiter}A\n1{delimiter}a, b{delimiter}c\n"))
    assert scan.conversations == [(2, Conversation((Message("user", "a, b"), Message("assistant", "c"))))]
    assert scan.container == container


def test_cells_longer_than_the_csv_module_allows_by_default_are_read(tmp_path: Path):
    ((_, conversation),), _ = scan_conversations(put(tmp_path, "a.csv", f"Q,A\nq,{'a' * 200_000}\n"))
    assert len(conversation.messages[1].content) == 200_000


def test_a_column_named_input_is_the_context_beside_an_instruction_and_the_question_alone(tmp_path: Path):
    beside = put(tmp_path, "a.jsonl", line({"instruction": "요약해 줘", "input": "긴 글", "response": "짧은 글"}))
    alone = put(tmp_path, "b.jsonl", line({"input": "안녕?", "output": "네"}))
    assert read_conversations([beside]) == [WITH_CONTEXT]
    assert read_conversations([alone])[0].messages[0] == Message("user", "안녕?")


def test_prompt_and_completion_may_be_lists_of_messages(tmp_path: Path):
    row = {"prompt": GOOD["messages"][:1], "completion": GOOD["messages"][1:]}
    assert read_conversations([put(tmp_path, "a.jsonl", line(row))]) == [PAIR]


def test_a_single_object_spread_over_lines_is_one_row(tmp_path: Path):
    path = put(tmp_path, "a.json", json.dumps(GOOD, indent=1))
    assert read_conversations([path]) == [PAIR]


def test_tools_train_flags_and_rows_numbers_survive(tmp_path: Path):
    row = {
        "messages": [
            {"role": "user", "content": "날씨?"},
            {"role": "assistant", "content": None, "tool_calls": [{"name": "weather"}], "train": False},
            {"role": "tool", "content": "맑음"},
            {"role": "assistant", "content": "맑아요", "extra": 1},
        ],
        "tools": [{"name": "weather"}],
    }
    ((number, conversation),), faults = scan_conversations(put(tmp_path, "a.jsonl", "\n\n" + line(row)))
    assert (number, faults) == (3, [])
    assert conversation.tools == ({"name": "weather"},)
    assert [m.train for m in conversation.messages] == [True, False, True, True]
    assert conversation.messages[1].content == ""


def test_a_written_conversation_is_read_back_equal(tmp_path: Path):
    path = put(tmp_path, "a.jsonl", line(WITH_CONTEXT.as_dict()) + line(PAIR.as_dict()))
    assert read_conversations([path]) == [WITH_CONTEXT, PAIR]


def test_files_follow_each_other_in_order(tmp_path: Path):
    paths = [put(tmp_path, f"{i}.jsonl", line({"prompt": f"{i}?", "completion": "a"})) for i in range(3)]
    assert [c.messages[0].content for c in read_conversations(paths)] == ["0?", "1?", "2?"]


def test_a_facts_file_is_given_without_mark_in_nfc_and_with_plain_line_ends(tmp_path: Path):
    path = put(tmp_path, "facts.md", "# 달카페\r\n\u1112\u1161\u11ab\r\n".encode("utf-8-sig"))
    assert read_text(path) == "# 달카페\n한\n"
    assert read_text(put(tmp_path, "cp.md", "# 달카페".encode("cp949"))) == "# 달카페"


def test_a_facts_file_with_bytes_that_are_no_text_names_line_and_byte(tmp_path: Path):
    with pytest.raises(DataError, match="line 2, byte offset 5"):
        read_text(put(tmp_path, "facts.md", b"good\n\xff\xff\n"))


@pytest.mark.parametrize("said", ["sep=;", '"sep=;"', "SEP=;", "\r\nsep=;"])
def test_excel_s_line_about_the_separator_is_obeyed_and_is_no_row(tmp_path: Path, said: str):
    scan = scan_file(put(tmp_path, "a.csv", f'{said}\r\nQ;A,B;A\r\n"a, b";x;"c;\r\nd"\r\n'.encode("cp949")))
    assert scan.conversations == [(2, Conversation((Message("user", "a, b"), Message("assistant", "c;\r\nd"))))]


def test_any_separator_may_be_said_whatever_the_name_of_the_file(tmp_path: Path):
    scan = scan_file(put(tmp_path, "a.txt", "sep=|\nQ|A\na, b; c|d\n".encode("utf-16")))
    assert scan.conversations == [(2, Conversation((Message("user", "a, b; c"), Message("assistant", "d"))))]


def test_a_column_whose_name_begins_like_the_line_is_a_column(tmp_path: Path):
    scan = scan_file(put(tmp_path, "a.csv", "sep=x,Q,A\n1,q,a\n"))
    assert scan.conversations == [(2, Conversation((Message("user", "q"), Message("assistant", "a"))))]


def test_two_columns_of_one_name_are_refused_and_named(tmp_path: Path):
    with pytest.raises(DataError, match=r'columns of one name: "답변" \(2\), "답변" \(4\); .*--map'):
        scan_file(put(tmp_path, "a.csv", "질문,답변,날짜,답변\n차?,네,1,아니요\n"))


def test_columns_that_are_not_read_may_have_one_name(tmp_path: Path):
    scan = scan_file(put(tmp_path, "a.csv", "Q,note,A,note,,\nq,1,a,2,,\n"))
    assert scan.conversations == [(2, Conversation((Message("user", "q"), Message("assistant", "a"))))]
