"""JSON lists in pieces: the same as Python's own decoder makes of the whole text, wherever the pieces end."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nabot.data import encoding as encoding_module
from nabot.data.encoding import Line, detect_encoding, read_pieces
from nabot.data.faults import Problem
from nabot.data.jsonlists import elements, pieces_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def pieces(text: str, size: int) -> Iterator[Line]:
    return (Line(1, text[at : at + size]) for at in range(0, len(text), size))


def values(text: str, size: int, key: str = "") -> list[Any]:
    return [one.value for one in elements(pieces(text, size), key)]


@given(
    st.lists(VALUES, max_size=6),
    st.integers(1, 40),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.sampled_from(["", " \n"]),
)
def test_elements_equal_those_of_the_whole_list(
    rows: list[Any], size: int, indent: int | None, ascii_only: bool, around: str
):
    text = around + json.dumps(rows, indent=indent, ensure_ascii=ascii_only) + around
    found = list(elements(pieces(text, size)))
    assert [one.value for one in found] == rows
    assert [one.number for one in found] == list(range(1, len(rows) + 1))


def broken(text: str, size: int) -> tuple[list[Any], Problem]:
    *good, problem = values(text, size)
    assert isinstance(problem, Problem)
    return good, problem


@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(1, 9), st.data())
def test_a_list_that_is_cut_off_gives_what_stands_before_the_cut(rows: list[Any], size: int, data: st.DataObject):
    text = json.dumps(rows, indent=1)
    cut = data.draw(st.integers(1, len(text) - 1))
    good, problem = broken(text[:cut], size)
    assert good[:-1] == rows[: len(good)][:-1]  # the last one may be a number that lost its end
    assert problem.kind == "broken_list"


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("bad", ['{"a": 1,}', "{oops}", '{"a": 1} {"b": 2}', '"a\nb"', "nul", "[1", '{"a": tru'])
def test_the_place_of_a_break_is_the_one_that_the_decoder_names(bad: str, size: int):
    text = f'[\n  {{"가": "나"}},\n\n  {bad}\n]'
    with pytest.raises(json.JSONDecodeError) as error:
        json.loads(text)
    good, problem = broken(text, size)
    assert good[0] == {"가": "나"}
    assert f"line {error.value.lineno}, column {error.value.colno} " in problem.message


@pytest.mark.parametrize("size", [1, 1000])
def test_text_behind_the_list_is_a_break_and_a_last_comma_is_none(size: int):
    assert values("[1, 2,]", size) == [1, 2]
    good, problem = broken("[1, 2] x", size)
    assert good == [1, 2]
    assert "Extra data" in problem.message


@pytest.mark.parametrize("deep", ["[" * 100_000, "[" + "1" * 5000 + "]"], ids=["brackets", "digits"])
def test_what_python_refuses_to_parse_is_a_break(deep: str):
    assert broken(deep, 1 << 16)[1].kind == "broken_list"


def test_a_break_early_in_a_long_list_does_not_read_the_rest():
    taken = 0

    def endless() -> Iterator[Line]:
        nonlocal taken
        yield Line(1, "[1, {oops}, ")
        while taken < 1000:
            taken += 1
            yield Line(1, "2, " * 1000)

    assert next(elements(endless())).value == 1
    assert taken < 3


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3), st.text(max_size=9), st.integers(1, 50))
def test_lists_under_a_key_are_found_wherever_they_stand(a: list[object], b: list[object], note: str, chunk: int):
    inner = [{"note": f'"messages": [{note}', "messages": a}, {"messages": b}]
    text = json.dumps({"note": f'"messages": [{note}', "chats": {"list": inner}}, ensure_ascii=False)
    assert values(text, chunk, "messages") == [*a, *b]


def test_elements_are_numbered_by_list():
    found = elements(pieces_of(io.StringIO('{"m": [5, 6], "x": {"m": [], "y": {"m": [7]}}}')), "m")
    assert [(one.list_number, one.number, one.value) for one in found] == [(1, 1, 5), (1, 2, 6), (3, 1, 7)]


def test_a_text_without_such_a_list_has_no_elements():
    assert values("", 9, "messages") == values('{"a": 1}', 9, "messages") == values("{}", 9) == []


def test_behind_a_list_that_breaks_no_other_is_looked_for():
    *good, problem = values('{"m": [1, oops], "x": {"m": [2]}}', 9, "m")
    assert good == [1]
    assert isinstance(problem, Problem)


TEXT = (
    "[\n" + ", ".join(f'"{letter}가{number}é"' for number, letter in enumerate("달카페에서 커피를 마셔요" * 40)) + "]\n"
)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_pieces_of_a_file_are_its_text_whatever_its_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, size: int
):
    text = TEXT.replace("é", "") if codec == "cp949" else TEXT
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(codec))
    monkeypatch.setattr(encoding_module, "_PIECE_BYTES", size)
    assert "".join(piece.text or "" for piece in read_pieces(path, detect_encoding(path))) == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30), st.integers(1, 9))
def test_pieces_end_at_the_first_byte_that_means_nothing(tmp_path: Path, text: str, size: int):
    good = text.encode(errors="ignore")
    path = tmp_path / "a.json"
    path.write_bytes(good + b"\xff" + b'"more"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding_module, "_PIECE_BYTES", size)
        found = list(read_pieces(path, "utf-8"))
    assert "".join(piece.text or "" for piece in found) == good.decode()
    assert found[-1].bad_byte == len(good)


def test_a_list_with_bytes_that_are_no_text_gives_what_stands_before_them():
    found = list(elements(iter([Line(1, '[{"a": 1}, {"b": '), Line(2, None, 17)])))
    assert (found[0].number, found[0].value) == (1, {"a": 1})
    assert (found[1].number, found[1].value.kind) == (2, "undecodable")
    assert "byte offset 17" in found[1].value.message
