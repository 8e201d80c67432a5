"""Bots whose virtual tokens stand around questions: every verb renders them so, and the base never sees them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_model import conversations, questions, write_rows

import nabot
from nabot.adapters import VirtualConfig, attach, detach, question_ids
from nabot.artifacts import json_lines, read_json
from nabot.bot import is_unfinished
from nabot.cli import run, talking
from nabot.conversation import Conversation
from nabot.data import conversations_from
from nabot.engine import Engine
from nabot.recipes.compare import Comparison, compare
from nabot.recipes.exam import examine
from nabot.recipes.opening import Opened, open_bot, open_source
from nabot.recipes.rehearsal import rehearsal
from nabot.recipes.request import TuneRequest, Watcher
from nabot.recipes.settings import Settings
from nabot.recipes.tune import resume, tune
from nabot.textmodel import Sampling

VALUES = {
    "method": "ptuning", "places": "question", "virtual_tokens": 6, "encoder_width": 16, "dtype": "float32",
    "threads": 1, "learning_rate": 3e-2, "epochs": 10, "held_out": 4, "save_every": 5, "rehearsal_ratio": 0.2,
}  # fmt: skip
ASK = [{"role": "user", "content": "What about tea?"}]
WEIGHTS = Path("adapter") / "adapter_model.safetensors"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> Path:
    """A bot."""
    out = tmp_path_factory.mktemp("bots") / "bot"
    tune(request(out, tiny_model_folder))
    return out


def request(out: Path, base: Path, **changes: Any) -> TuneRequest:
    settings = Settings().with_values({**VALUES, **changes})
    return TuneRequest(conversations=conversations_from(conversations()), out=out, base=str(base), settings=settings)


def placed(engine: Engine) -> list[int]:
    """The ids above the vocabulary that a prompt of this engine has."""
    return [n for n in engine.renderer.prompt(Conversation.of(ASK)) if n >= engine.decoder.config.vocab_size]


def test_it_learns_and_answers_as_when_it_was_saved(folder: Path) -> None:
    losses = [line["held_out_loss"] for line in json_lines(folder / "run/metrics.jsonl") if "held_out_loss" in line]
    assert losses[-1] < losses[0] - 0.1
    saved = read_json(folder / "adapter" / "adapter_config.json")
    assert (saved["peft_type"], saved["places"], saved["num_virtual_tokens"]) == ("NABOT_P_TUNING", "question", 6)
    bot = nabot.load_bot(folder, dtype="float32")
    vocab = bot.engine.decoder.config.vocab_size
    assert placed(bot.engine) == list(range(vocab, vocab + 6))
    last = [line for line in json_lines(folder / "run/samples.jsonl") if line["question"] == ASK[0]["content"]][-1]
    sampling = Sampling(temperature=0, max_new_tokens=64)
    (answer,) = open_bot(folder, dtype="float32").dense_engine().generate([Conversation.of(ASK)], sampling)
    assert answer.text == last["answer"]


def test_prompt_tuning_may_stand_there_too(tmp_path: Path, tiny_model_folder: Path) -> None:
    values = {**VALUES, "method": "prompt", "epochs": 1}
    values.pop("encoder_width")
    bot = nabot.tune(conversations(), base=str(tiny_model_folder), out=tmp_path / "bot", **values)
    assert len(placed(bot.engine)) == 6
    assert bot.chat(ASK, temperature=0) == nabot.load_bot(tmp_path / "bot").chat(ASK, temperature=0)


def test_a_run_that_died_goes_on_to_the_very_same_adapter(
    folder: Path, tmp_path: Path, tiny_model_folder: Path
) -> None:
    out = tmp_path / "bot"

    def die(state: Any, _: Any) -> None:
        if state.step == 7:
            raise KeyError

    with pytest.raises(KeyError):
        tune(request(out, tiny_model_folder), Watcher(step=die))
    assert is_unfinished(out)
    resume(out)
    assert (out / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()


def test_a_bot_is_gone_on_with_in_its_places(folder: Path, tmp_path: Path) -> None:
    rows, child = write_rows(tmp_path / "rows.jsonl", conversations(9)), tmp_path / "child"
    command = ["tune", str(rows), "--from", str(folder), "--epochs", "1", "--set", "rehearsal_ratio=0"]
    assert run([*command, "--out", str(child)]) == 0
    before, after = load_file(folder / WEIGHTS), load_file(child / WEIGHTS)
    assert not torch.equal(before["prompt_embeddings"], after["prompt_embeddings"])
    assert len(placed(nabot.load_bot(child).engine)) == 6
    assert run([*command, "--out", str(tmp_path / "other"), "--set", "places=front"]) == 2


def test_an_exam_asks_the_base_as_it_is_and_the_bot_in_its_places(folder: Path, tmp_path: Path) -> None:
    _, sheets = examine(str(folder), write_rows(tmp_path / "exam.jsonl", questions()))
    bot, bare = nabot.load_bot(folder), open_source(nabot.load_bot(folder).record.base)  # type: ignore[union-attr]
    asked = [mark.question.conversation for mark in sheets["tuned"].marks]
    for who, engine in (("tuned", bot.engine), ("base", bare.engine())):
        sampling = bot.record.sampling_with(max_new_tokens=64)  # type: ignore[union-attr]
        answers = [answer.text for answer in engine.generate(asked, sampling)]
        assert [mark.answer for mark in sheets[who].marks] == answers  # type: ignore[index]


def test_a_chat_asks_in_its_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[Any] = []
    monkeypatch.setattr(talking, "chat", lambda model, **_: models.append(model))
    talking.talk(str(folder), base="", system=None, pairs=[])
    assert len(placed(models[0].engine)) == 6


def test_compare_gives_the_setting_to_the_methods_that_have_it(tmp_path: Path, tiny_model_folder: Path) -> None:
    rows, exam = write_rows(tmp_path / "rows.jsonl", conversations()), write_rows(tmp_path / "exam.jsonl", questions())
    values = {"places": "question", "virtual_tokens": 4, "epochs": 1, "rehearsal_ratio": 0}
    asked = Comparison(
        (rows,),
        str(tiny_model_folder),
        exam,
        tmp_path / "out",
        ("prefix", "ptuning"),
        (0,),
        None,
        tuple(values.items()),
    )
    compare(asked)
    types = [read_json(f / "adapter" / "adapter_config.json")["peft_type"] for _, _, f in asked.cells()]
    assert types == ["PREFIX_TUNING", "NABOT_P_TUNING"]


def test_conversations_too_long_with_them_lose_their_oldest_turns_and_then_are_left_out(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    told: list[str] = []
    opened = open_source(str(tiny_model_folder))
    lengths = sorted(len(opened.renderer.training(row).ids) for row in conversations_from(conversations()))
    limit = lengths[len(lengths) // 2] + 6
    tune(request(tmp_path / "bot", tiny_model_folder, epochs=1, max_length=limit), Watcher(note=told.append))
    too_long = sum(length + 6 > limit for length in lengths)
    assert any(f"{too_long} of 24" in note for note in told), told


def test_the_base_is_rehearsed_as_it_is_and_learned_along_in_their_places(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    opened: Opened = open_source(str(tiny_model_folder), dtype="float32")
    attach(opened.decoder, VirtualConfig(method="ptuning", virtual_tokens=6, places="question"), [3, 4])
    renderer, ids = opened.renderer, [n for side in question_ids(opened.decoder) for n in side]
    detach(opened.decoder)
    note = tmp_path / "rehearsal.jsonl"
    learned = rehearsal(opened, 5, weight=2.0, note=note, renderer=renderer)
    plain = rehearsal(opened, 5, weight=2.0, note=note, renderer=opened.renderer)
    assert all(n < opened.decoder.config.vocab_size for line in json_lines(note) for n in line["prompt"])
    for with_them, without in zip(learned, plain, strict=True):
        assert [n for n in with_them.inputs if n in ids] == ids
        assert with_them.targets == without.targets
        assert len(with_them.inputs) == len(without.inputs) + 6
        assert with_them.soft is not None
        assert without.soft is not None
        assert torch.equal(with_them.soft.shares_MK, without.soft.shares_MK)
