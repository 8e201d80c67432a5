"""A base with a longer vocabulary: it computes what the base computed, it is a base like any other, and it can be tuned."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_tokenizer_extending import korean
from tiny_model import conversations, write_rows, write_tiny_model
from tiny_models import random_weights, raw_config

from nabot.adapters import load_adapter
from nabot.cli import run
from nabot.conversation import Conversation
from nabot.models.huggingface import config_from
from nabot.models.loading import load_decoder, open_weights
from nabot.models.more_rows import mean_rows
from nabot.recipes.extend import ExtendRequest, extend
from nabot.recipes.opening import open_source
from nabot.sources import base_hash, resolve
from nabot.sources.extension import read_extension
from nabot.textmodel import Sampling
from nabot.tokenizer import load_tokenizer


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "korean.txt"
    path.write_text("\n".join(korean(2)), encoding="utf-8")
    return path


def untied_model(folder: Path, *, padding: int = 0) -> Path:
    """A tiny model whose head is another weight than its embedding; `padding`: rows that no token has."""
    write_tiny_model(folder)
    raw = raw_config("gqa", vocab_size=load_tokenizer(folder).vocab_size + padding)
    (folder / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    save_file(random_weights(config_from(raw, folder)), folder / "model.safetensors")
    return folder


MODELS = {"tied": write_tiny_model, "untied": untied_model, "padded": lambda folder: untied_model(folder, padding=40)}


def logits(model: Path, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return load_decoder(model)(torch.tensor([ids]))


@pytest.mark.parametrize("kind", MODELS)
def test_logits_of_old_tokens_are_unchanged_and_new_ones_are_means(kind: str, tmp_path: Path, corpus: Path) -> None:
    base, out = MODELS[kind](tmp_path / "base"), tmp_path / "longer"
    done = extend(ExtendRequest(str(base), out, [corpus], 100, ["<|note|>"]))
    old, ids = load_tokenizer(base), load_tokenizer(base).encode("What about tea? 달은 차다.")
    before, after = logits(base, ids), logits(out, ids)
    assert torch.equal(load_decoder(out).embedding[: old.vocab_size], load_decoder(base).embedding[: old.vocab_size])
    torch.testing.assert_close(after[..., : old.vocab_size], before[..., : old.vocab_size], rtol=1e-6, atol=1e-6)
    grown = load_tokenizer(out)
    note = grown.added_tokens["<|note|>"]
    expected = before[..., old.encode("<|note|>")].mean(-1)
    torch.testing.assert_close(after[..., note], expected, rtol=1e-4, atol=1e-5)
    assert (done.first_id, done.learned, done.special) == (old.vocab_size, 100, 1)


def test_a_longer_one_can_be_made_longer_again(tmp_path: Path, corpus: Path) -> None:
    base = write_tiny_model(tmp_path / "base")
    extend(ExtendRequest(str(base), tmp_path / "once", [corpus], 50))
    extend(ExtendRequest(str(tmp_path / "once"), tmp_path / "twice", (), 0, ["<|note|>"]))
    ids = load_tokenizer(tmp_path / "once").encode(korean(3)[0])
    first = load_tokenizer(tmp_path / "once").vocab_size
    twice, once = logits(tmp_path / "twice", ids), logits(tmp_path / "once", ids)
    torch.testing.assert_close(twice[..., :first], once, rtol=1e-6, atol=1e-6)


def test_it_is_another_base_with_the_licence_of_the_one_below(tmp_path: Path, corpus: Path) -> None:
    base, out = write_tiny_model(tmp_path / "base"), tmp_path / "longer"
    (base / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    extend(ExtendRequest(str(base), out, [corpus], 20))
    assert resolve(str(out)).licence == "MIT"
    assert base_hash(out) != base_hash(base) == read_extension(out).base_hash


def test_what_the_licence_below_wants_passed_on_lies_beside_the_new_rows(tmp_path: Path, corpus: Path) -> None:
    base, out = write_tiny_model(tmp_path / "base"), tmp_path / "longer"
    (base / "README.md").write_text("---\nlicense: gemma\n---\n", encoding="utf-8")
    extend(ExtendRequest(str(base), out, [corpus], 20))
    assert "Gemma Terms of Use" in (out / "NOTICE.txt").read_text(encoding="utf-8")


def test_other_weights_below_are_refused(tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, out = write_tiny_model(tmp_path / "base"), tmp_path / "longer"
    extend(ExtendRequest(str(base), out, [corpus], 20))
    write_tiny_model(base, seed=1)
    assert run(["chat", str(out)]) == 2
    assert "made for other weights" in capsys.readouterr().err


def test_a_bot_is_tuned_on_it_and_its_new_rows_learn(tmp_path: Path, corpus: Path) -> None:
    base, out, bot = write_tiny_model(tmp_path / "base"), tmp_path / "longer", tmp_path / "bot"
    extend(ExtendRequest(str(base), out, [corpus], 20))
    rows = write_rows(tmp_path / "rows.jsonl", conversations(8))
    assert run(["tune", str(rows), "--base", str(out), "--out", str(bot), "--epochs", "1"]) == 0
    config = json.loads((bot / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    first, size = read_extension(out).first_id, load_tokenizer(out).vocab_size
    assert config["trainable_token_indices"] == {"embed_tokens": [*range(first, size)]}
    assert config["modules_to_save"] is None


def test_the_old_rows_stay_as_they_were(tmp_path: Path, corpus: Path) -> None:
    base, out, bot = write_tiny_model(tmp_path / "base"), tmp_path / "longer", tmp_path / "bot"
    first = extend(ExtendRequest(str(base), out, [corpus], 20)).first_id
    said = [{"messages": [{"role": "user", "content": t}, {"role": "assistant", "content": t}]} for t in korean(8)]
    rows = write_rows(tmp_path / "rows.jsonl", said)
    flags = ["--out", str(bot), "--epochs", "1", "--set", "weight_decay=0.1", "--set", "dtype=float32"]
    assert run(["tune", str(rows), "--base", str(out), *flags]) == 0
    base, tuned = load_decoder(out, dtype=torch.float32), load_decoder(out, dtype=torch.float32)
    load_adapter(tuned, bot / "adapter")
    before, after = (decoder.embed(torch.arange(len(base.embedding))) for decoder in (base, tuned))
    assert torch.equal(after[:first], before[:first])
    assert (after[first:] != before[first:]).any(1).sum() >= 20
    hidden = torch.randn(3, base.config.width)
    torch.testing.assert_close(tuned.head(hidden)[:, :first], base.head(hidden)[:, :first])
    saved = load_file(bot / "adapter" / "adapter_model.safetensors")
    (rows,) = [tensor for name, tensor in saved.items() if "embed_tokens" in name]
    assert len(rows) == len(before) - first


def test_it_answers(tmp_path: Path, corpus: Path) -> None:
    base, out = write_tiny_model(tmp_path / "base"), tmp_path / "longer"
    extend(ExtendRequest(str(base), out, [corpus], 20))
    opened = open_source(str(out))
    question = Conversation.of([{"role": "user", "content": "달은?"}])
    assert next(iter(opened.engine().generate([question], Sampling(max_new_tokens=4)))).num_tokens <= 4


def test_mean_rows_are_the_means_of_the_weights(tmp_path: Path) -> None:
    base = untied_model(tmp_path / "base")
    config, tensors = open_weights(base)
    rows = mean_rows(config, tensors, [[1, 2, 2], [5]])
    weight = load_decoder(base).embedding.data
    torch.testing.assert_close(rows["model.embed_tokens.weight"][0], (weight[1] + 2 * weight[2]) / 3)
    assert torch.equal(rows["model.embed_tokens.weight"][1], weight[5])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "nothing to add"),
        (["--add", "5"], "--corpus"),
        (["--add", "5", "--corpus", "missing.txt"], "missing.txt"),
        (["--special", "<|im_end|>"], "there already"),
        (["--special", "<|new|>", "--out", "base"], "never replaced"),
    ],
)
def test_bad_wishes_are_told_and_nothing_is_written(
    flags: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_model(tmp_path / "base")
    before = sorted(tmp_path.rglob("*"))
    assert run(["tokenizer", "extend", "--base", "base", "--out", "longer", *flags]) == 2
    assert told in capsys.readouterr().err
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


def test_the_command_says_what_was_saved(tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, out = write_tiny_model(tmp_path / "base"), tmp_path / "longer"
    flags = ["tokenizer", "extend", "--base", str(base), "--corpus", str(corpus), "--add", "100", "--out", str(out)]
    assert run([*flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["after"] < 0.6 * told["before"]
    assert told["held_out"] == len(set(korean(2))) // 10
    assert run(flags) == 2
    assert run([*flags, "--force"]) == 0
    assert "100 new tokens" in capsys.readouterr().err
