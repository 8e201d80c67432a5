"""Rows with two answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from nabot.conversation import Conversation, Message
from nabot.data.files import conversations_from, scan_file
from nabot.data.imports.rows import RowsReader
from nabot.data.imports.types import Asked, Format, Item, Preference
from nabot.errors import DataError

ASK, YES, NO = (Message("user", "차 있나요?"), Message("assistant", "네."), Message("assistant", "아니요."))
PAIR = Preference(Conversation((ASK,)), (YES,), (NO,))
SYSTEM = Message("system", "짧게")
ASK_DICT, YES_DICT, NO_DICT = (message.as_dict() for message in (ASK, YES, NO))


def items(folder: Path, *rows: object) -> list[Item]:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return [item for item in RowsReader().read(path, Asked()) if not isinstance(item, Format)]


SPELLINGS: dict[str, tuple[dict[str, Any], Preference]] = {
    "texts": ({"prompt": "차 있나요?", "chosen": "네.", "rejected": "아니요."}, PAIR),
    "capitals": ({"Question": "차 있나요?", "Chosen": "네.", "Rejected": "아니요."}, PAIR),
    "a message each": (
        {
            "conversations": [{"from": "human", "value": "차 있나요?"}],
            "chosen": {"from": "gpt", "value": "네."},
            "rejected": {"from": "gpt", "value": "아니요."},
        },
        PAIR,
    ),
    "lists of messages": ({"prompt": [ASK_DICT], "chosen": [YES_DICT], "rejected": [NO_DICT]}, PAIR),
    "lists that repeat the prompt": (
        {"prompt": "차 있나요?", "chosen": [ASK_DICT, YES_DICT], "rejected": [ASK_DICT, NO_DICT]},
        PAIR,
    ),
    "dialogues": (
        {
            "chosen": "\n\nHuman: 차 있나요?\n\nAssistant: 네.",
            "rejected": "\n\nHuman: 차 있나요?\n\nAssistant: 아니요.",
        },
        PAIR,
    ),
    "a system prompt and a context": (
        {"system": "짧게", "instruction": "골라 줘", "input": "차, 커피", "chosen": "차", "rejected": "물"},
        Preference(
            Conversation((SYSTEM, Message("user", "골라 줘", "차, 커피"))),
            (Message("assistant", "차"),),
            (Message("assistant", "물"),),
        ),
    ),
    "our own file": (PAIR.as_dict(), PAIR),
    "a prompt in a template": ({"prompt": "[INST] 차 있나요? [/INST]", "chosen": "네.", "rejected": "아니요."}, PAIR),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_of_a_pair_gives_the_same(tmp_path: Path, name: str):
    row, expected = SPELLINGS[name]
    assert [item for item in items(tmp_path, row) if isinstance(item, Preference)] == [expected]


def test_answers_of_several_turns_part_where_they_first_differ(tmp_path: Path):
    again = [ASK_DICT, YES_DICT, {"role": "user", "content": "정말?"}]
    row = {"chosen": [*again, YES_DICT], "rejected": [*again, NO_DICT]}
    (pair,) = items(tmp_path, row)
    assert isinstance(pair, Preference)
    assert [m.content for m in pair.before.messages] == ["차 있나요?", "네.", "정말?"]
    assert (pair.chosen, pair.rejected) == ((YES,), (NO,))


@pytest.mark.parametrize(
    ("row", "kind", "field"),
    [
        ({"prompt": "차?", "chosen": "네.", "rejected": "네."}, "equal_answers", "rejected"),
        ({"prompt": "차?", "chosen": "네.", "rejected": " "}, "empty_answer", "rejected"),
        ({"prompt": "차?", "chosen": None, "rejected": "네."}, "not_text", "chosen"),
        ({"prompt": "", "chosen": "네.", "rejected": "아니요."}, "empty_question", "prompt"),
        ({"chosen": "네.", "rejected": "아니요."}, "roles_order", "chosen"),
        ({"prompt": "차?", "chosen": [YES_DICT, 3], "rejected": "네."}, "not_object", "chosen[1]"),
        ({"prompt": "차?", "chosen": {**YES_DICT, "content": 3}, "rejected": "네."}, "not_text", "chosen.content"),
    ],
)
def test_what_is_wrong_with_a_pair_names_its_field(tmp_path: Path, row: dict[str, Any], kind: str, field: str):
    found = [(item.kind, item.field) for item in items(tmp_path, row) if not isinstance(item, Preference)]
    assert (kind, field) in found


def test_pairs_are_no_rows_to_tune_on(tmp_path: Path):
    row = {"prompt": "차 있나요?", "chosen": "네.", "rejected": "아니요."}
    items(tmp_path, row)
    with pytest.raises(DataError, match="nabot data import"):
        scan_file(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="chosen"):
        conversations_from([row])
