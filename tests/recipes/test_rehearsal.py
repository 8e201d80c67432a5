"""Everyday questions that a run learns along: honest towards the demo's exam, and no more than asked for."""

import json
from pathlib import Path

import pytest
import torch
from tiny_model import conversations, write_tiny_model
from tiny_models import VOCAB, gradients, random_examples, tiny_decoder, with_lora

import nabot
from nabot.recipes import rehearsal
from nabot.recipes.opening import open_source
from nabot.recipes.rehearsal import everyday_questions
from nabot.train.batches import microbatches
from nabot.train.loss import answer_loss


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))


DEMO = Path(__file__).parents[2] / "nabot" / "demo"


def _words(text: str) -> frozenset[str]:
    return frozenset("".join(c if c.isalnum() else " " for c in text.lower()).split())


def test_questions_are_distinct_and_whole() -> None:
    questions = everyday_questions()
    assert len(set(questions)) == len(questions) >= 60
    assert all(q == q.strip() and q[-1] in '.?!"' for q in questions)


def test_no_general_question_of_the_demo_is_rehearsed() -> None:
    rows = [json.loads(line) for line in (DEMO / "exam.jsonl").read_text(encoding="utf-8").splitlines()]
    general = [_words(r["messages"][-1]["content"]) for r in rows if r["group"] == "general"]
    assert len(general) == 25
    for rehearsed in map(_words, everyday_questions()):
        assert rehearsed not in general
        assert max(len(rehearsed & g) / len(rehearsed | g) for g in general) < 0.8


@pytest.mark.parametrize("variant", ["tied", "gqa"])
def test_a_model_that_says_what_it_said_is_left_alone(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_ALTERNATIVES", VOCAB)
    decoder = with_lora(tiny_decoder(variant, torch.float32))
    examples = rehearsal.softened(decoder, random_examples([9, 14, 5, 9], seed=1, beginning=6))
    parts = microbatches(examples, 2048)
    sum(answer_loss(decoder, part).sum() for part in parts).backward()
    assert sum(part.num_targets for part in parts) == sum(len(e.places) for e in examples) > 0
    assert all(g.abs().max() < 1e-4 for g in gradients(decoder).values())


def test_shares_are_those_of_the_likeliest_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_ALTERNATIVES", 3)
    decoder = tiny_decoder("gqa", torch.float32)
    (plain,) = random_examples([12], seed=2)
    (example,) = rehearsal.softened(decoder, [plain])
    assert example == plain
    assert example.soft is not None
    probabilities_MV = decoder(torch.tensor([plain.inputs]))[0][list(plain.places)].softmax(-1)
    likely = probabilities_MV.sort(-1, descending=True)
    assert torch.equal(example.soft.tokens_MK, likely.indices[:, :3])
    assert torch.allclose(example.soft.shares_MK.sum(-1), torch.ones(len(plain.places)))
    ratios = example.soft.shares_MK / likely.values[:, :3]
    assert torch.allclose(ratios, ratios[:, :1].expand_as(ratios), rtol=1e-4)


@pytest.mark.parametrize(("refused", "kept"), [("messages[0].role != 'system'", 0), ("'a' in messages[0].content", 1)])
def test_questions_that_the_template_refuses_are_left_out(
    refused: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny_model(tmp_path / "model") / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    refusal = "{% if " + refused + " %}{{ raise_exception('not this') }}{% endif %}"
    path.write_text(json.dumps({**config, "chat_template": refusal + config["chat_template"]}), encoding="utf-8")
    monkeypatch.setattr(rehearsal, "everyday_questions", lambda: ["What now?", "Who knows?"])
    opened, note = open_source(str(path.parent), dtype="float32"), tmp_path / "rehearsal.jsonl"
    learned, again = (rehearsal.rehearsal(opened, 2, weight=1.0, note=note, renderer=opened.renderer) for _ in "12")
    assert len(learned) == len(again) == len(note.read_text(encoding="utf-8").splitlines()) == kept


def test_a_base_is_asked_once_for_all_runs(tmp_path: Path) -> None:
    opened = open_source(str(write_tiny_model(tmp_path / "model")), dtype="float32")

    def answers(note: str, most: int = 2, base_bits: str = "dense") -> str:
        path = tmp_path / note
        rehearsal.rehearsal(opened, most, weight=1.0, note=path, renderer=opened.renderer, base_bits=base_bits)
        return path.read_text(encoding="utf-8")

    first = answers("first.jsonl")
    assert answers("again.jsonl") == first
    (known,) = (tmp_path / "home" / "models" / ".answers").iterdir()
    known.write_text(known.read_text().replace('"text": "', '"text": "Known: '))
    assert answers("known.jsonl").count("Known: ") == 2
    assert answers("more.jsonl", most=4).count("\n") == 4  # those that are not known yet are asked
    assert answers("packed.jsonl", base_bits="nf4") == first
    for damaged in ("", "no JSON\n", '{"another": "form"}\n', '{"prompt": "text", "answer": "text"}\n'):
        known.write_text(damaged)
        assert answers(f"damaged-{len(damaged)}.jsonl") == first


def test_no_example_is_longer_than_said(tmp_path: Path) -> None:
    opened = open_source(str(write_tiny_model(tmp_path / "model")), dtype="float32")
    note = tmp_path / "note.jsonl"
    examples = rehearsal.rehearsal(opened, 50, weight=1.0, note=note, renderer=opened.renderer)
    longest = max(len(example.inputs) for example in examples)
    assert longest <= rehearsal.longest_rehearsed(opened.renderer) <= longest + 40


@pytest.mark.parametrize(
    ("is_chat", "asked", "ratio"), [(True, {}, 0.25), (False, {}, 0.0), (False, {"rehearsal_ratio": 0.5}, 0.5)]
)
def test_a_base_without_a_chat_template_is_rehearsed_only_if_asked(
    is_chat: bool, asked: dict[str, float], ratio: float, tmp_path: Path
) -> None:
    path = write_tiny_model(tmp_path / "model") / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if not is_chat:
        del config["chat_template"]
    path.write_text(json.dumps(config), encoding="utf-8")
    nabot.tune(conversations(), base=str(path.parent), out=tmp_path / "bot", epochs=1, held_out=0, **asked)
    manifest = json.loads((tmp_path / "bot" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["rehearsal_ratio"] == ratio
    assert (tmp_path / "bot" / "run" / "rehearsal.jsonl").exists() == bool(ratio)
    assert manifest["template"] == ("model" if is_chat else "chatml")
