"""`nabot data import --mask`: placeholders in the rows, and a list of what was masked beside them."""

import json
from pathlib import Path
from typing import Any

import pytest

from nabot.cli import run

CHAT = """단골들 님과 카카오톡 대화
저장한 날짜 : 2021년 12월 30일 오전 9:01

2021년 12월 29일 오후 8:36, 김보람 : 보람이에요. 빵 남았어요? 제 번호는 010-1234-5678
2021년 12월 29일 오후 8:36, 가게 : 네, 보람님! +82 10 1234 5678 로 전화할게요
2021년 12월 30일 오전 7:20, 이지수 : 김보람 씨 빵은 제가 찾아갈게요. bori@nabot.kr
2021년 12월 30일 오전 7:21, 가게 : 지수님, 8시에 열어요
"""


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.txt").write_text(CHAT, encoding="utf-8")
    return "chat.txt"


def masked(*files: str, more: tuple[str, ...] = ()) -> list[str]:
    return ["data", "import", *files, "--out", "out.jsonl", "--mask", *more]


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text(encoding="utf-8").splitlines()]


def test_one_person_and_one_number_keep_one_placeholder_through_a_chat(chat: str):
    assert run(masked(chat, more=("--assistant", "가게"))) == 0
    texts = [message["content"] for row in lines("out.jsonl") for message in row["messages"]]
    assert texts == [
        "[이름 1]이에요. 빵 남았어요? 제 번호는 [전화 1]",
        "네, [이름 1]님! [전화 1] 로 전화할게요",
        "[이름 1] 씨 빵은 제가 찾아갈게요. [이메일 1]",
        "[이름 2]님, 8시에 열어요",
    ]


def test_the_list_for_looking_over_names_each_thing_once_with_its_place(chat: str):
    run(masked(chat, more=("--assistant", "가게")))
    seen = [
        (row["file"], row["place"], row["kind"], row["placeholder"], row["times"]) for row in lines("out.masked.jsonl")
    ]
    assert seen == [
        (chat, "out.jsonl:1", "name", "[이름 1]", 3),
        (chat, "out.jsonl:1", "phone", "[전화 1]", 2),
        (chat, "out.jsonl:2", "email", "[이메일 1]", 1),
        (chat, "out.jsonl:2", "name", "[이름 2]", 1),
    ]
    assert "1234" not in Path("out.masked.jsonl").read_text(encoding="utf-8")


def test_json_counts_by_kind_and_names_the_list(chat: str, capsys: pytest.CaptureFixture[str]):
    run(masked(chat, more=("--assistant", "가게", "--json")))
    result = json.loads(capsys.readouterr().out)
    assert result["masked"] == {"counts": {"name": 4, "phone": 2, "email": 1}, "file": "out.masked.jsonl"}
    assert result["written"] == {"conversations": {"file": "out.jsonl", "rows": 2}}


def test_a_person_is_told_the_kinds_and_the_list(chat: str, capsys: pytest.CaptureFixture[str]):
    run(masked(chat, more=("--assistant", "가게")))
    told = capsys.readouterr().err
    assert "masked: name 4, phone 2, email 1." in told
    assert "out.masked.jsonl: what was masked" in told


def test_placeholders_begin_anew_in_each_file(chat: str):
    Path("a.csv").write_text("질문,답변\n번호?,010-1111-2222\n", encoding="utf-8")
    Path("b.csv").write_text("질문,답변\n번호?,010-3333-4444\n", encoding="utf-8")
    run(masked("a.csv", "b.csv"))
    assert [row["messages"][1]["content"] for row in lines("out.jsonl")] == ["[전화 1]", "[전화 1]"]
    assert [(row["file"], row["place"]) for row in lines("out.masked.jsonl")] == [
        ("a.csv", "out.jsonl:1"),
        ("b.csv", "out.jsonl:2"),
    ]


def test_without_anything_personal_there_is_no_list(chat: str, capsys: pytest.CaptureFixture[str]):
    Path("a.csv").write_text("질문,답변\n차?,네.\n", encoding="utf-8")
    assert run(masked("a.csv", more=("--json",))) == 0
    assert json.loads(capsys.readouterr().out)["masked"] == {"counts": {}, "file": None}
    assert not Path("out.masked.jsonl").exists()


def test_without_the_flag_nothing_is_masked(chat: str, capsys: pytest.CaptureFixture[str]):
    assert run(["data", "import", chat, "--assistant", "가게", "--out", "out.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["masked"] is None
    assert "010-1234-5678" in Path("out.jsonl").read_text(encoding="utf-8")


def test_a_list_that_is_there_is_not_replaced_without_force(chat: str, capsys: pytest.CaptureFixture[str]):
    Path("out.masked.jsonl").write_text("mine", encoding="utf-8")
    assert run(masked(chat, more=("--assistant", "가게"))) == 2
    assert "out.masked.jsonl: is there already" in capsys.readouterr().err
    assert Path("out.masked.jsonl").read_text(encoding="utf-8") == "mine"
    assert not Path("out.jsonl").exists()
