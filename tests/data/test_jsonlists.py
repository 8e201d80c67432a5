"""Lists in JSON files larger than memory, against Python's own reader of whole files."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data import jsonlists
from nabot.data.faults import Problem
from nabot.data.jsonlists import elements

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def read(text: str, key: str = "", chunk: int = 1 << 20) -> list[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonlists, "_CHUNK_CHARACTERS", chunk)
        return [element.value for element in elements(io.StringIO(text), key)]


@given(st.lists(values, max_size=5), st.integers(1, 50), st.sampled_from([None, 1]), st.booleans())
def test_a_list_reads_as_python_reads_it(rows: list[object], chunk: int, indent: int | None, ascii_only: bool):
    assert read(json.dumps(rows, indent=indent, ensure_ascii=ascii_only), chunk=chunk) == rows


@given(st.lists(values, max_size=3), st.lists(values, max_size=3), st.text(max_size=9), st.integers(1, 50))
def test_lists_under_a_key_are_found_wherever_they_stand(a: list[object], b: list[object], note: str, chunk: int):
    inner = [{"note": f'"messages": [{note}', "messages": a}, {"messages": b}]
    text = json.dumps({"note": f'"messages": [{note}', "chats": {"list": inner}}, ensure_ascii=False)
    assert read(text, "messages", chunk) == [*a, *b]


def test_elements_are_numbered_by_list():
    found = elements(io.StringIO('{"m": [5, 6], "x": {"m": [], "y": {"m": [7]}}}'), "m")
    assert [(one.list_number, one.number, one.value) for one in found] == [(1, 1, 5), (1, 2, 6), (3, 1, 7)]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize(
    ("text", "good", "place"),
    [
        ('[{"a": 1},\n {"a": 2}, {"a":\n', [{"a": 1}, {"a": 2}], "line 3, column 1"),
        ('[{"a": 1},\n {"a": 2} {"b" 3}]', [{"a": 1}, {"a": 2}], "line 2, column 16"),
        ('[{"a": 1}', [{"a": 1}], "line 1, column 10"),
        ('[1, 2, "open', [1, 2], "line 1, column 8"),
        ("[" + "[" * 100_000, [], "line 1"),
        ("[" + "9" * 5000 + "]", [], "line 1"),
    ],
)
def test_what_stands_before_a_break_is_kept_and_the_break_is_named(
    text: str, good: list[object], place: str, chunk: int
):
    if len(text) > 9999 and chunk < 1000:
        return
    *before, last = read(text, chunk=chunk)
    assert before == good
    assert isinstance(last, Problem)
    assert last.kind == "broken_list"
    assert place in last.message


def test_a_file_without_such_a_list_has_no_elements():
    assert read("", "messages") == read('{"a": 1}', "messages") == read("{}") == []
