"""Whole exports, as the programs write them, against the conversations that people would see in them.

`exports/PROGRAM/NAME` was written by hand in the layouts of real programs, odd and damaged ones among them; `expected/` says what
comes out: conversations as [role, text], what was dropped by reason, and faults as row:kind.
"""

import contextlib
import json
import random
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nabot.conversation import Conversation
from nabot.data.faults import Fault
from nabot.data.files import conversations_from
from nabot.data.imports.chats import CHATS, archives
from nabot.data.imports.types import Asked, Dropped, Item, Reader
from nabot.errors import DataError

EXPORTS = Path(__file__).with_name("exports")
EXPECTED = Path(__file__).with_name("expected")
CASES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(EXPECTED.glob("*.json"))}


def reader(program: str) -> Reader:
    return next(chat for chat in CHATS if chat.name == program)


def outcome(export: str, assistant: str, path: Path | None = None) -> dict[str, Any]:
    """What the reader gives, in the form of `expected/`."""
    found = list(reader(export.partition("/")[0]).read(path or EXPORTS / export, Asked(assistant=assistant)))
    return {
        "dropped": dict(sorted(Counter(item.reason for item in found if isinstance(item, Dropped)).items())),
        "faults": [f"{fault.row}:{fault.kind}" for fault in found if isinstance(fault, Fault)],
        "conversations": [[[m.role, m.content] for m in c.messages] for c in found if isinstance(c, Conversation)],
    }


def items(export: str, asked: Asked) -> list[Item]:
    return list(reader(export.partition("/")[0]).read(EXPORTS / export, asked))


def head(path: Path) -> bytes:
    return path.read_bytes()[: 1 << 16] if path.is_file() else b""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_export_becomes_these_conversations(case: dict[str, Any]):
    expected = {key: case[key] for key in ("dropped", "faults", "conversations")}
    assert outcome(case["export"], case["assistant"]) == expected


def test_every_export_is_expected():
    exports = {f"{path.parent.name}/{path.name}" for path in EXPORTS.glob("*/*")}
    assert {case["export"] for case in CASES.values()} == exports


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_export_is_recognised_by_its_own_reader_alone(case: dict[str, Any]):
    path = EXPORTS / case["export"]
    assert [chat.name for chat in CHATS if chat.recognises(path, head(path))] == [path.parent.name]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_comes_out_can_be_learned(case: dict[str, Any]):
    found = [
        item for item in items(case["export"], Asked(assistant=case["assistant"])) if isinstance(item, Conversation)
    ]
    rows = [conversation.as_dict() for conversation in found]
    assert not rows or conversations_from(rows) == found


@pytest.mark.parametrize("export", ["kakaotalk/windows_ko.txt", "whatsapp/ios_uk.txt", "kakaotalk/android_ko.txt"])
@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "crlf"])
def test_encoding_and_line_ends_change_nothing(tmp_path: Path, export: str, codec: str):
    text = (EXPORTS / export).read_text(encoding="utf-8-sig")
    path = tmp_path / "chat.txt"
    path.write_bytes(text.replace("\n", "\r\n").encode() if codec == "crlf" else text.encode(codec))
    case = next(case for case in CASES.values() if case["export"] == export)
    found = outcome(export, case["assistant"], path)
    assert found["conversations"] == case["conversations"]
    assert reader(export.partition("/")[0]).recognises(path, head(path))


def zipped(folder: Path, to: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, inside + path.relative_to(folder).as_posix())
    return to


@pytest.mark.parametrize("inside", ["", "workspace Slack export/"])
def test_a_slack_export_reads_the_same_from_its_zip(tmp_path: Path, inside: str):
    path = zipped(EXPORTS / "slack" / "workspace", tmp_path / "export.zip", inside)
    assert [chat.name for chat in CHATS if chat.recognises(path, head(path))] == ["slack"]
    assert outcome("slack/workspace", "미나", path) == outcome("slack/workspace", "미나")


def test_a_chatgpt_export_reads_the_same_from_its_zip(tmp_path: Path):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(EXPORTS / "chatgpt" / "conversations.json", "conversations.json")
        archive.writestr("user.json", "{}")
    assert [chat.name for chat in CHATS if chat.recognises(path, head(path))] == ["chatgpt"]
    assert outcome("chatgpt/conversations.json", "", path) == outcome("chatgpt/conversations.json", "")


@pytest.mark.parametrize(
    ("header", "entry", "value", "text"),
    [(6, 8, 1, "password"), (8, 10, 99, "damaged .zip"), (14, 16, 0, "damaged .zip")],
    ids=["locked", "another compression", "another checksum"],
)
def test_a_chatgpt_zip_that_cannot_be_unpacked_is_explained(
    tmp_path: Path, header: int, entry: int, value: int, text: str
):
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(EXPORTS / "chatgpt" / "conversations.json", "conversations.json")
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[header] = content[directory + entry] = value
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=text):
        outcome("chatgpt/conversations.json", "", path)


def test_a_chatgpt_conversation_that_leads_nowhere_is_a_fault(tmp_path: Path):
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"create_time": 1, "mapping": {"a": {"parent": None}}}]), encoding="utf-8")
    assert outcome("chatgpt/conversations.json", "", path)["faults"] == ["1:missing_field"]


@pytest.mark.parametrize("length", [10, 400, 1500])
def test_a_zip_that_was_cut_off_is_nobodys_and_says_so(tmp_path: Path, length: int):
    path = zipped(EXPORTS / "slack" / "workspace", tmp_path / "export.zip")
    path.write_bytes(path.read_bytes()[:length])
    assert not any(chat.recognises(path, head(path)) for chat in CHATS)
    with pytest.raises(DataError, match=r"damaged \.zip"):
        outcome("slack/workspace", "미나", path)


def test_a_damaged_member_is_a_fault_and_the_rest_is_read(tmp_path: Path):
    path = zipped(EXPORTS / "slack" / "workspace", tmp_path / "export.zip")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("random/2024-03-04.json")
    at = info.header_offset + 30 + len(info.filename)
    content[at : at + 20] = bytes(20)
    path.write_bytes(bytes(content))
    found = outcome("slack/workspace", "미나", path)
    assert found["faults"] == ["1:unreadable_member"]
    assert found["conversations"] == outcome("slack/workspace", "미나")["conversations"]


def test_a_member_that_unpacks_to_more_than_anybody_wrote_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MOST_UNPACKED", 10_000)
    path = zipped(EXPORTS / "slack" / "workspace", tmp_path / "export.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("random/2024-03-05.json", "[" + " " * 10_000 + "]")
    found = outcome("slack/workspace", "미나", path)
    assert found["faults"] == ["1:unreadable_member"]
    assert found["conversations"] == outcome("slack/workspace", "미나")["conversations"]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """With a few bytes changed, lost, doubled or cut off."""
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(content) + 1), rng.randint(0, 30)
        inserted = rng.choice(
            [b"", bytes([rng.randrange(256)]), b'"', b"[", b"}", b"null", b"\n", b"\0", content[at : at + 40]]
        )
        content = content[:at] + inserted + content[at + length :]
    return content[: rng.choice([len(content), len(content), rng.randrange(len(content) + 1)])]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_damaged_copy_is_read_or_explained(tmp_path: Path, case: dict[str, Any]):
    source = EXPORTS / case["export"]
    copy = tmp_path / source.name
    shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file()) or [copy]
    rng = random.Random(case["export"])
    for _ in range(30):
        path = rng.choice(files)
        original = path.read_bytes()
        path.write_bytes(damaged(original, rng))
        for chat in CHATS:
            chat.recognises(copy, head(copy))
        with contextlib.suppress(DataError):  # nothing else may come out
            outcome(case["export"], case["assistant"], copy)
        path.write_bytes(original)


def test_without_an_assistant_everybody_is_listed():
    with pytest.raises(DataError) as error:
        items("kakaotalk/windows_ko.txt", Asked())
    assert "--assistant" in str(error.value)
    assert "한별 (5), 나래 [초보] (2), 보람 (2), 다솜 (2)" in str(error.value)


def test_a_misspelt_assistant_is_told_the_nearest_name():
    with pytest.raises(DataError, match="Nearest: Harbor"):
        items("kakaotalk/ios_en.txt", Asked(assistant="Harbour"))


def test_capitals_of_the_assistant_do_not_matter():
    assert items("kakaotalk/ios_en.txt", Asked(assistant="harbor")) == items(
        "kakaotalk/ios_en.txt", Asked(assistant="Harbor")
    )


def test_a_decomposed_name_means_the_composed_one():
    decomposed = "\u1112\u1161\u11ab\u1107\u1167\u11af"
    assert items("kakaotalk/windows_ko.txt", Asked(assistant=decomposed)) == items(
        "kakaotalk/windows_ko.txt", Asked(assistant="한별")
    )


def test_the_others_are_named_before_the_first_conversation():
    heard: list[str] = []
    found = reader("slack").read(EXPORTS / "slack/workspace", Asked(assistant="미나", on_people=heard.extend))
    next(found)
    assert heard == ["Rae (rae.one)", "Rae (rae.two)", "Guest", "Joel Brandt"]


@pytest.mark.parametrize("program", [chat.name for chat in CHATS])
@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe", b"PK\x03\x04", "제목\n\n그냥 글입니다.\n".encode(), b'[{"a": 1}]', b"{}"]
)
def test_nobody_recognises_something_else(tmp_path: Path, program: str, content: bytes):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    assert not reader(program).recognises(path, content)
