"""The rebuilt GGUF vocabulary against llama.cpp: the real model, every pre-tokenizer, SentencePiece scores."""

import json
import time
from pathlib import Path

import pytest
from llama_cpp_reference import LlamaCpp, write_model
from small_tokenizers import byte_level, sentencepiece
from token_strings import COMBINED, CONTROL, EMOJI, EVERYTHING, ORDINARY, strings

from nabot.errors import CheckpointError
from nabot.ggufio import open_gguf
from nabot.tokenizer import Tokenizer, load_tokenizer
from nabot.tokenizer.pretokenizers import PRE_TOKENIZERS

NORMAL, UNKNOWN, CONTROL_KIND, BYTE = 1, 2, 3, 6
CASED = ("tekken", "gpt-4o")  # llama.cpp knows no combining marks and only A-Z's case; nabot has the models' own
DISTINCT = {pre: name for name, pre in reversed(PRE_TOKENIZERS.items())}.values()


@pytest.fixture(scope="module")
def real(smollm2_gguf: Path) -> tuple[Tokenizer, LlamaCpp]:
    return load_tokenizer(smollm2_gguf), LlamaCpp(smollm2_gguf)


def test_ids_of_the_real_model_equal_llama_cpp(real: tuple[Tokenizer, LlamaCpp]) -> None:
    ours, theirs = real
    for text in strings(1500, seed=1):
        assert ours.encode(text) == theirs.encode(text)


def test_special_tokens_of_the_real_model_parse_as_in_llama_cpp(real: tuple[Tokenizer, LlamaCpp]) -> None:
    ours, theirs = real
    text = "<|im_start|>user\n한글 <|im_end|>\n<|im_start|>"
    assert ours.encode(text, parse_special=True) == theirs.encode(text, parse_special=True)
    assert ours.stop_ids == {ours.added_tokens["<|im_end|>"]}


def test_rebuilding_the_real_vocabulary_is_quick(smollm2_gguf: Path) -> None:
    open_gguf(smollm2_gguf)  # the file comes into memory
    start = time.process_time()
    load_tokenizer(smollm2_gguf)
    assert time.process_time() - start < 1.0  # 0.3 s on two cores of a laptop


@pytest.mark.parametrize("pre", DISTINCT)
def test_every_pre_tokenizer_equals_llama_cpp(pre: str, tmp_path: Path) -> None:
    path = byte_level_model(tmp_path, pre=pre)
    ours, theirs = load_tokenizer(path), LlamaCpp(path)
    everything = (*ORDINARY, CONTROL, COMBINED)
    kinds = [kind for kind in everything if kind not in (EMOJI, COMBINED)] if pre in CASED else everything
    for text in strings(150, seed=2, kinds=kinds):
        assert ours.encode(text) == theirs.encode(text)


def test_bytes_without_a_token_are_left_out_as_in_llama_cpp(tmp_path: Path) -> None:
    path = byte_level_model(tmp_path, pre="gpt-2", without="ĔĀb")
    ours, theirs = load_tokenizer(path), LlamaCpp(path)
    for text in ("a \x14#  b", "\x14\x14", "the\x14 brown", *strings(200, seed=3)):
        assert ours.encode(text) == theirs.encode(text)


@pytest.mark.parametrize("add_space_prefix", [True, False])
def test_sentencepiece_scores_equal_llama_cpp(add_space_prefix: bool, tmp_path: Path) -> None:
    path = sentencepiece_model(tmp_path, add_space_prefix=add_space_prefix)
    ours, theirs = load_tokenizer(path), LlamaCpp(path)
    for text in strings(1000, seed=4, kinds=EVERYTHING):
        assert ours.encode(text) == theirs.encode(text)


def test_a_typed_byte_token_is_text_in_a_sentencepiece_vocabulary(tmp_path: Path) -> None:
    ours = load_tokenizer(sentencepiece_model(tmp_path))
    assert ours.decode(ours.encode("<0x0A>")) == "<0x0A>"


def test_bos_follows_the_key_and_else_the_pre_tokenizer(tmp_path: Path) -> None:
    for pre, key, adds in (("llama-bpe", {}, True), ("gpt-2", {}, False), ("gpt-2", {"add_bos_token": True}, True)):
        path = byte_level_model(tmp_path, pre=pre, **key)
        assert load_tokenizer(path).adds_bos is adds
        assert load_tokenizer(path).encode("a") == LlamaCpp(path).encode("a")


def test_an_unknown_pre_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"'smolm'.*nearest: smollm") as error:
        load_tokenizer(byte_level_model(tmp_path, pre="smolm"))
    assert "Hugging Face folder" in str(error.value)
    assert len(str(error.value).splitlines()) <= 4


def test_another_kind_of_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'bert'"):
        load_tokenizer(write_model(tmp_path / "model.gguf", "bert", ["a"], [1]))


def test_a_merge_of_what_is_no_token_is_damage(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.gguf", "gpt2", ["a", "b"], [1, 1], merges=["a b"], pre="gpt-2")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_tokenizer(path)


def byte_level_model(folder: Path, without: str = "", **keys: object) -> Path:
    recipe = json.loads(byte_level("none").to_str())["model"]
    gone = {token for token in recipe["vocab"] if set(token) & set(without)}
    merges = [pair for pair in recipe["merges"] if "".join(pair) not in gone]
    tokens = ["<|im_start|>", "<|im_end|>", *(token for token in recipe["vocab"] if token not in gone)]
    kinds = [CONTROL_KIND] * 2 + [NORMAL] * (len(tokens) - 2)
    ids = {"bos_token_id": 0, "eos_token_id": 1}
    return write_model(
        folder / "model.gguf", "gpt2", tokens, kinds, merges=[" ".join(m) for m in merges], **ids, **keys
    )


def sentencepiece_model(folder: Path, **keys: object) -> Path:
    recipe = json.loads(sentencepiece().to_str())["model"]
    tokens = ["<unk>", "<s>", "</s>", *(token for token in recipe["vocab"] if token != "<unk>")]
    kinds = [UNKNOWN, CONTROL_KIND, CONTROL_KIND] + [BYTE] * 256 + [NORMAL] * (len(tokens) - 259)
    rank = {"".join(pair): float(-n) for n, pair in enumerate(recipe["merges"])}
    scores = [rank.get(token, -1e6) for token in tokens]
    ids = {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}
    return write_model(folder / "model.gguf", "llama", tokens, kinds, scores=scores, **ids, **keys)
