"""tokenizer.model files: ids and text equal to what SentencePiece itself gave for them."""

import base64
import contextlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.errors import CheckpointError
from nabot.tokenizer import Tokenizer, load_tokenizer
from nabot.tokenizer.spm_file import _fields, read_spm

GOLDEN = json.loads(Path(__file__).with_name("sentencepiece_golden.json").read_text(encoding="utf-8"))


@cache
def model_bytes(name: str) -> bytes:
    return base64.b64decode(GOLDEN["models"][name]["model"])


def folder_of(name: str, folder: Path, **files: Any) -> Path:
    (folder / "tokenizer.model").write_bytes(model_bytes(name))
    for file, content in files.items():
        (folder / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def without_bos(tokenizer: Tokenizer, text: str) -> list[int]:
    ids = tokenizer.encode(text)
    assert ids[0] == tokenizer.bos_id
    return ids[1:]


@pytest.mark.parametrize("name", GOLDEN["models"])
def test_ids_and_text_equal_sentencepieces(name: str, tmp_path: Path) -> None:
    """LLaMA's kind has a dummy prefix, Gemma's none but tokens for runs of spaces; the third is a Unigram."""
    tokenizer = load_tokenizer(folder_of(name, tmp_path))
    golden = GOLDEN["models"][name]
    for text, ids, decoded in zip(GOLDEN["texts"], golden["ids"], golden["decoded"], strict=True):
        assert without_bos(tokenizer, text) == ids, text
        assert tokenizer.decode(ids) == decoded


@pytest.mark.parametrize("name", GOLDEN["models"])
def test_begin_and_end_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(folder_of(name, tmp_path))
    assert (tokenizer.bos_id, tokenizer.eos_id) == (1, 2)
    assert tokenizer.stop_ids == {2}
    assert tokenizer.named_tokens["bos_token"] == "<s>"


def test_tokens_that_were_added_later_have_the_ids_of_the_config(tmp_path: Path) -> None:
    size = load_tokenizer(folder_of("llama", tmp_path)).vocab_size
    folder_of(
        "llama",
        tmp_path,
        added_tokens={"<pad>": size},
        tokenizer_config={
            "add_bos_token": False,
            "eos_token": {"content": "<|im_end|>"},
            "added_tokens_decoder": {str(size + 1): {"content": "<|im_end|>", "special": True}},
        },
    )
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.added_tokens["<pad>"], tokenizer.eos_id) == (size, size + 1)
    assert tokenizer.encode("달<|im_end|>", parse_special=True)[-1] == size + 1
    assert size + 1 not in tokenizer.encode("달<|im_end|>")
    assert not tokenizer.adds_bos


def test_an_added_token_with_an_impossible_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="<pad>"):
        load_tokenizer(folder_of("llama", tmp_path, added_tokens={"<pad>": 9999}))


@pytest.mark.parametrize(
    ("part", "setting", "told"),
    [(2, b"\xc0\x01\x01", "treat_whitespace_as_suffix is 1"), (3, b"\x28\x00", "escape_whitespaces is 0")],
)
def test_another_way_with_spaces_is_refused(part: int, setting: bytes, told: str, tmp_path: Path) -> None:
    """The last of two such messages in a file counts; numbers are those of sentencepiece_model.proto."""
    own = dict(_fields(model_bytes("llama")))[part]
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model_bytes("llama") + bytes([part << 3 | 2]) + _varint_of(len(own + setting)) + own + setting)
    with pytest.raises(CheckpointError, match=told):
        read_spm(path)


def _varint_of(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])


@given(place=st.integers(0, 2000), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_refused_or_read_but_never_a_bug(
    place: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(model_bytes("llama"))
    damaged[place % len(damaged)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.model"
    for data in (bytes(damaged), bytes(damaged[: place + 1])):
        path.write_bytes(data)
        with contextlib.suppress(CheckpointError):
            read_spm(path)
