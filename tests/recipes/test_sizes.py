"""A tokenizer and an embedding of different sizes: padded embeddings work, a tokenizer without rows is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer

import nabot
from nabot.conversation import Conversation
from nabot.errors import CheckpointError
from nabot.recipes.opening import open_source

EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture
def model(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


def with_rows(model: Path, change: int) -> Path:
    """The same model with so many more rows in its embedding (of zeros), or fewer."""
    tensors = load_file(model / "model.safetensors")
    rows = tensors[EMBEDDING]
    tensors[EMBEDDING] = torch.cat([rows, torch.zeros(max(change, 0), rows.shape[1])])[: len(rows) + change].clone()
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config["vocab_size"] = len(rows) + change
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return model


def with_token(model: Path, content: str, *, special: bool) -> Path:
    """A token that the embedding has no row for."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken(content, special=special)])
    tokenizer.save(str(model / "tokenizer.json"))
    return model


def test_padded_rows_change_no_logit_of_the_others(model: Path, tiny_model_folder: Path) -> None:
    tokens_BT = torch.tensor([[3, 7, 11, 2]])
    plain, _ = nabot.load_model(str(tiny_model_folder), dtype="float32")
    padded, _ = nabot.load_model(str(with_rows(model, 37)), dtype="float32")
    with torch.no_grad():
        expected = plain(tokens_BT)
        torch.testing.assert_close(padded(tokens_BT)[..., : expected.shape[-1]], expected)


def test_a_model_with_padded_rows_answers_even_where_it_takes_one(model: Path) -> None:
    opened = open_source(str(with_rows(model, 500)))
    answer = "".join(
        opened.engine().stream(Conversation.ask("What about tea?"), opened.sampling(temperature=2, seed=1))
    )
    assert "\ufffd" not in opened.tokenizer.decode([opened.tokenizer.vocab_size + 3])
    assert isinstance(answer, str)


def test_fewer_rows_than_tokens_are_two_models(model: Path) -> None:
    with_rows(model, -3)
    for opening in (open_source, nabot.load_model):
        with pytest.raises(CheckpointError, match=r"the tokenizer has \d+ tokens, .* rows for \d+ only") as caught:
            opening(str(model))
        assert caught.value.exit_status == 2


def test_a_special_token_that_nothing_writes_needs_no_row(model: Path) -> None:
    """As in Gemma 3, whose tokenizer has one for pictures and whose text models have no row for it."""
    opened = open_source(str(with_token(model, "<picture>", special=True)))
    assert opened.tokenizer.vocab_size == opened.decoder.config.vocab_size + 1
    assert max(opened.tokenizer.encode("a <picture> of tea")) < opened.decoder.config.vocab_size


def test_an_added_token_that_text_can_become_needs_one(model: Path) -> None:
    with pytest.raises(CheckpointError, match="tokens"):
        open_source(str(with_token(model, "달카페", special=False)))


def test_a_special_token_of_the_template_needs_one(model: Path) -> None:
    path = model / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["chat_template"] += "<new>"
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match="tokens"):
        open_source(str(with_token(model, "<new>", special=True)))
