"""Messages as OpenAI and ShareGPT spell them, with tool calls."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation
from nabot.data.files import scan_file
from nabot.data.spellings import any_turn, openai_turn, sharegpt_turn, tools_of

CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "서울"}}}
SCHEMA = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
ASK, ANSWER = {"role": "user", "content": "서울 날씨?"}, {"role": "assistant", "content": "맑아요."}


def read(folder: Path, row: dict[str, Any]) -> Conversation:
    path = folder / "a.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    scan = scan_file(path)
    assert scan.faults == []
    ((_, conversation),) = scan.conversations
    return conversation


CALLS = {
    "tool_calls": {"tool_calls": [CALL]},
    "arguments as text": {
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": '{"city": "서울"}'}}]
    },
    "tool_calls as text": {"tool_calls": json.dumps([CALL])},
    "function_call": {"function_call": {"name": "weather", "arguments": '{"city": "서울"}'}},
    "function_call as text": {"function_call": json.dumps({"name": "weather", "arguments": {"city": "서울"}})},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_every_spelling_of_openai_is_the_same(tmp_path: Path, name: str):
    result = {"role": "function" if "function_call" in name else "tool", "content": "맑음", "name": "weather"}
    found = read(tmp_path, {"messages": [ASK, {"role": "assistant", "content": None, **CALLS[name]}, result, ANSWER]})
    assert [m.role for m in found.messages] == ["user", "assistant", "tool", "assistant"]
    assert found.messages[1].tool_calls == (CALL,)


def test_an_id_beside_a_call_is_kept():
    turn = openai_turn({"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", **CALL}]})
    assert turn["tool_calls"] == [{"id": "call_1", **CALL}]


@pytest.mark.parametrize("value", [CALL["function"], [CALL["function"]]], ids=["one", "list"])
def test_sharegpt_writes_a_call_as_the_text_of_a_turn_and_its_result_as_an_observation(tmp_path: Path, value: Any):
    turns = [
        {"from": "human", "value": "서울 날씨?"},
        {"from": "function_call", "value": json.dumps(value, ensure_ascii=False)},
        {"from": "observation", "value": '{"sky": "맑음"}'},
        {"from": "gpt", "value": "맑아요."},
    ]
    found = read(tmp_path, {"conversations": turns, "tools": json.dumps([SCHEMA])})
    assert [(m.role, m.content) for m in found.messages] == [
        ("user", "서울 날씨?"),
        ("assistant", ""),
        ("tool", '{"sky": "맑음"}'),
        ("assistant", "맑아요."),
    ]
    assert found.messages[1].tool_calls == (CALL,)
    assert found.tools == ({"type": "function", "function": SCHEMA},)


def test_a_call_that_is_no_json_is_a_fault_that_names_its_field(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    turns = [{"from": "human", "value": "?"}, {"from": "function_call", "value": "weather(서울)"}]
    path.write_text(json.dumps({"conversations": turns}), encoding="utf-8")
    assert [(f.kind, f.field) for f in scan_file(path).faults] == [("not_objects", "conversations[1].value")]


@pytest.mark.parametrize(
    ("row", "tools"),
    [
        ({}, None),
        ({"tools": None}, None),
        ({"tools": ""}, None),
        ({"tools": "[]"}, []),
        ({"tools": [SCHEMA]}, [{"type": "function", "function": SCHEMA}]),
        ({"tools": json.dumps([{"type": "function", "function": SCHEMA}])}, [{"type": "function", "function": SCHEMA}]),
        ({"functions": [SCHEMA]}, [{"type": "function", "function": SCHEMA}]),
        ({"tools": [{"name": "bare"}]}, [{"name": "bare"}]),
        ({"tools": "weather"}, "weather"),
    ],
)
def test_tools_are_read_from_lists_and_from_text(row: dict[str, Any], tools: Any):
    assert tools_of(row) == tools


def test_a_developer_is_a_system_prompt_and_an_answer_of_no_weight_is_not_trained(tmp_path: Path):
    messages = [{"role": "developer", "content": "짧게"}, ASK, {**ANSWER, "weight": 0}, ASK, {**ANSWER, "weight": 1}]
    found = read(tmp_path, {"messages": messages})
    assert found.messages[0].role == "system"
    assert [m.train for m in found.messages if m.role == "assistant"] == [False, True]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(['{"name": "f"}', "[1]", '"a"']),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["function", "arguments", "name"]), inner)
    ),
    max_leaves=6,
)
MESSAGES = st.dictionaries(
    st.sampled_from(["role", "from", "content", "value", "tool_calls", "function_call", "weight", "train"]),
    JSON | st.sampled_from(["user", "function_call", "developer"]),
)


@given(JSON | MESSAGES)
def test_whatever_stands_for_a_message_is_no_reason_to_fall_over(message: Any):
    for spelling in (openai_turn, sharegpt_turn, any_turn):
        spelling(message)


@given(MESSAGES)
def test_a_message_in_our_spelling_stays_the_same(message: dict[str, Any]):
    turn = any_turn(message)
    if "from" not in message:
        assert any_turn(turn) == turn
