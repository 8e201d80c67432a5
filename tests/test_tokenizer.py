"""Text ↔ ids: against `tokenizers`, against itself, and against people who type special tokens."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import MARKS, WORD_MARKS, byte_level, sentencepiece
from token_strings import ORDINARY, strings
from tokenizers import AddedToken, models, processors
from tokenizers import Tokenizer as Backend

from nabot.errors import CheckpointError, DataError
from nabot.tokenizer import Tokenizer, load_tokenizer
from nabot.tokenizer.parts import TokenizerParts

KINDS = {
    "byte_level": byte_level,
    "prepend": lambda: sentencepiece("prepend"),
    "first": lambda: sentencepiece("first"),
    "always": lambda: sentencepiece("always"),
}
TYPED = st.lists(
    st.sampled_from([*MARKS, *WORD_MARKS, "<", "|", "im_", " ", "a", "한", "\n"]) | st.text(max_size=5), max_size=8
)


def tokenizer_of(kind: str) -> Tokenizer:
    return Tokenizer(TokenizerParts(KINDS[kind]()))


def save(folder: Path, backend: Backend, **files: object) -> Path:
    backend.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_ids_equal_tokenizers_where_no_special_token_is_typed(kind: str, tmp_path: Path) -> None:
    backend = KINDS[kind]()
    loaded = load_tokenizer(save(tmp_path, backend))
    for text in strings(1000, seed=11, kinds=ORDINARY):
        assert loaded.encode(text) == backend.encode(text).ids


@pytest.mark.parametrize("kind", KINDS)
def test_parse_special_equals_tokenizers(kind: str) -> None:
    backend = KINDS[kind]()
    loaded = tokenizer_of(kind)
    for text in strings(500, seed=12):
        assert loaded.encode(text, parse_special=True) == backend.encode(text).ids


@pytest.mark.parametrize("kind", KINDS)
@given(parts=TYPED)
@settings(max_examples=60, deadline=None)
def test_a_typed_special_token_is_never_parsed(kind: str, parts: list[str]) -> None:
    loaded, text = tokenizer_of_cached(kind), "".join(parts)
    marks = {loaded.added_tokens[mark] for mark in (*MARKS, *WORD_MARKS)}
    pieces = [loaded.encode_piece(text, continues=continues) for continues in (True, False)]
    assert all(marks.isdisjoint(ids) for ids in (loaded.encode(text), *pieces))


@given(text=st.text() | st.sampled_from(["\ufffd", "👩‍👩‍👧‍👦 한글", "é \x00 \r\n"]))
@settings(max_examples=200, deadline=None)
def test_byte_level_ids_decode_to_the_same_text(text: str) -> None:
    loaded = tokenizer_of_cached("byte_level")
    assert loaded.decode(loaded.encode(text)) == text


@pytest.mark.parametrize("kind", ["byte_level", "prepend"])
@given(text=st.text())
@settings(max_examples=100, deadline=None)
def test_streamed_text_equals_decoded_text_and_never_holds_half_a_character(kind: str, text: str) -> None:
    loaded = tokenizer_of_cached(kind)
    ids = loaded.encode(text)
    stream = loaded.stream()
    pieces = [*(stream.push(token_id) for token_id in ids), stream.finish()]
    assert "".join(pieces) == loaded.decode(ids)
    assert text.count("\ufffd") == "".join(pieces).count("\ufffd")


@given(ids=st.lists(st.integers(0, 1999), max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_ids_stream_as_they_decode(ids: list[int]) -> None:
    loaded = tokenizer_of_cached("byte_level")
    stream = loaded.stream()
    assert "".join([*map(stream.push, ids), stream.finish()]) == loaded.decode(ids)


def test_an_answer_cut_inside_a_character_ends_before_it() -> None:
    loaded = tokenizer_of("byte_level")
    ids = loaded.encode("a🜁")
    assert len(ids) > 2
    assert loaded.decode(ids[:-1]) == "a"


def test_decode_leaves_special_tokens_out_and_keeps_other_added_ones() -> None:
    loaded = tokenizer_of("byte_level")
    ids = [
        loaded.added_tokens["<s>"],
        *loaded.encode("hi"),
        loaded.added_tokens["<think>"],
        loaded.added_tokens["</s>"],
    ]
    assert loaded.decode(ids) == "hi<think>"


def test_sentencepiece_puts_a_space_before_a_piece_only_where_tokenizers_does() -> None:
    for kind, after_mark in (("prepend", True), ("always", True), ("first", False)):
        loaded = tokenizer_of(kind)
        plain, spaced = loaded.encode_piece("fox", continues=True), loaded.encode_piece(" fox", continues=True)
        assert plain != spaced
        assert loaded.encode_piece("fox", continues=False) == (spaced if after_mark else plain)
        assert loaded.encode_piece("fox", continues=False, at_start=True) == spaced


def test_bos_is_added_where_the_post_processor_adds_it(tmp_path: Path) -> None:
    backend = Backend.from_str(byte_level().to_str())
    bos = backend.token_to_id("<s>")
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    loaded = load_tokenizer(save(tmp_path, backend, tokenizer_config={"bos_token": "<s>"}))
    assert loaded.adds_bos
    assert loaded.encode("the fox") == [bos, *byte_level().encode("the fox").ids]
    assert loaded.encode("") == [bos]


@pytest.mark.parametrize("wanted", [True, False])
def test_add_bos_token_of_the_config_wins(wanted: bool, tmp_path: Path) -> None:
    config = {"bos_token": {"content": "<s>"}, "add_bos_token": wanted}
    loaded = load_tokenizer(save(tmp_path, byte_level(), tokenizer_config=config))
    assert (loaded.encode("a")[0] == loaded.bos_id) is wanted


def test_stop_ids_come_from_every_file_and_from_marks_of_the_template(tmp_path: Path) -> None:
    ids = {mark: byte_level().token_to_id(mark) for mark in MARKS}
    loaded = load_tokenizer(
        save(
            tmp_path,
            byte_level(),
            tokenizer_config={"eos_token": "</s>", "chat_template": "… <|im_end|>"},
            generation_config={"eos_token_id": [ids["<|end_header_id|>"]]},
        )
    )
    assert loaded.eos_id == ids["</s>"]
    assert loaded.stop_ids == {
        ids["</s>"],
        ids["<|end_header_id|>"],
        ids["<|im_end|>"],
    }  # the template has no <|eot_id|>


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"chat_template": "A"}, "A"),
        ({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}, "D"),
        ({}, None),
    ],
)
def test_chat_template_of_the_config(config: dict[str, object], expected: str | None, tmp_path: Path) -> None:
    assert load_tokenizer(save(tmp_path, byte_level(), tokenizer_config=config)).chat_template == expected


def test_chat_template_file_comes_before_the_config(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("파일", encoding="utf-8")
    assert load_tokenizer(save(tmp_path, byte_level(), tokenizer_config={"chat_template": "A"})).chat_template == "파일"


def test_truncation_and_padding_of_the_file_are_ignored(tmp_path: Path) -> None:
    backend = Backend.from_str(byte_level().to_str())
    backend.enable_truncation(3)
    backend.enable_padding(length=50)
    text = "the quick brown fox doesn't jump"
    assert load_tokenizer(save(tmp_path, backend)).encode(text) == byte_level().encode(text).ids


def test_added_white_space_stays_one_token_in_peoples_text(tmp_path: Path) -> None:
    backend = Backend.from_str(byte_level().to_str())
    backend.add_tokens([AddedToken(" " * 9, normalized=False)])
    text = "a" + " " * 9 + "b <s> <think>"
    loaded = load_tokenizer(save(tmp_path, backend))
    assert backend.token_to_id(" " * 9) in loaded.encode(text)
    assert {loaded.added_tokens["<s>"], loaded.added_tokens["<think>"]}.isdisjoint(loaded.encode(text))
    assert loaded.decode(loaded.encode(text)) == text


@pytest.mark.parametrize("ignore_merges", [True, False])
def test_a_mark_that_merges_could_spell_is_not_reached(ignore_merges: bool) -> None:
    letters = {letter: n for n, letter in enumerate("<s>ab")}
    vocabulary = letters | {"<s": 5, "<s>": 6, "ab": 7}
    backend = Backend(models.BPE(vocabulary, [("<", "s"), ("<s", ">"), ("a", "b")], ignore_merges=ignore_merges))
    backend.add_special_tokens(["<s>"])
    loaded = Tokenizer(TokenizerParts(backend))
    assert loaded.encode("<s>", parse_special=True) == [6]
    assert loaded.encode("<s>") == [5, 2]
    assert loaded.encode("ab") == [7]


def test_a_mark_in_a_unigram_vocabulary_is_not_reached() -> None:
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("<", -2.0), ("s", -2.0), (">", -2.0)]
    backend = Backend(models.Unigram(pieces, unk_id=0))
    backend.add_special_tokens(["<unk>", "<s>"])
    assert Tokenizer(TokenizerParts(backend)).encode("<s>") == [2, 3, 4]


def test_half_a_surrogate_pair_is_explained() -> None:
    with pytest.raises(DataError, match=r"character 3 .*\\ud83d"):
        tokenizer_of("byte_level").encode("ab\ud83d")


def test_a_folder_without_tokenizer_json_is_explained(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"neither tokenizer\.json.*seen: config\.json"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    save(tmp_path, byte_level())
    (tmp_path / name).write_text('{"version": "1.0", "mod', encoding="utf-8")
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load_tokenizer(tmp_path)


def tokenizer_of_cached(kind: str, made: dict[str, Tokenizer] = {}) -> Tokenizer:  # noqa: B006 (hypothesis calls it often)
    return made.setdefault(kind, made.get(kind) or tokenizer_of(kind))
