"""Tuning on a tiny model, from rows to a bot that answers: what is there afterwards, and what scripts read."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_model import conversations, questions, write_rows, write_tiny_model

import nabot
from nabot.bot import is_finished, is_unfinished, read_manifest, read_record
from nabot.cli import run
from nabot.data import conversations_from, held_out_places
from nabot.errors import ConfigError, DataError
from nabot.recipes.opening import open_source
from nabot.recipes.request import TuneRequest, Watcher
from nabot.recipes.runfiles import RunPlan
from nabot.recipes.settings import PRESETS, Settings, preset
from nabot.recipes.tune import tune

WEIGHTS = Path("adapter") / "adapter_model.safetensors"
FIGURES = {
    "bot", "method", "steps", "tokens", "trained_tokens", "seconds", "wall_seconds", "tokens_per_second",
    "peak_memory_bytes", "loss", "trainable", "adapter_bytes",
}  # fmt: skip
QUICK = {"epochs": 1, "rehearsal_ratio": 0, "dtype": "float32"}
ASK = [{"role": "user", "content": "What about tea?"}]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))


def request(out: Path, base: Path, rows: list[dict[str, Any]] | None = None, **fields: Any) -> TuneRequest:
    values = {**QUICK, **fields.pop("values", {})}
    settings = Settings().with_values(values)
    own = conversations_from(conversations() if rows is None else rows)
    return TuneRequest(conversations=own, out=out, base=str(base), settings=settings, **fields)


def model_whose_template_begins(words: str, folder: Path) -> Path:
    path = write_tiny_model(folder) / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "chat_template": words + config["chat_template"]}), encoding="utf-8")
    return folder


def written_order(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)]


def test_ten_held_out_rows_are_asked_and_their_answers_are_on_the_page(tiny_model_folder: Path, tmp_path: Path) -> None:
    told: list[str] = []
    watcher = Watcher(probe=lambda step, question, answer: told.append(question))
    rows = conversations(60)
    tune(request(tmp_path / "bot", tiny_model_folder, rows, values={"held_out": 12}), watcher)
    asked = {json.loads(line)["question"] for line in (tmp_path / "bot/run/samples.jsonl").read_text().splitlines()}
    held_out = {
        conversations_from(rows)[place].messages[0].content
        for place in held_out_places(conversations_from(rows), count=12, seed=0)
    }
    assert len(asked) == 10 <= len(held_out)
    assert asked <= held_out
    assert len(set(told)) == 3
    page = (tmp_path / "bot/report/report.html").read_text(encoding="utf-8")
    assert all(question in page for question in asked)
    assert not (tmp_path / "bot/report/report.json").exists()  # nobody has examined it


def test_every_question_that_was_asked_for_is_told(tiny_model_folder: Path, tmp_path: Path) -> None:
    told: list[str] = []
    watcher = Watcher(probe=lambda step, question, answer: told.append(question))
    mine = tuple(f"What about {word}?" for word in ("tea", "sleep", "rain", "stars"))
    tune(request(tmp_path / "bot", tiny_model_folder, probes=mine), watcher)
    assert set(told) == set(mine)


def test_a_bot_has_all_its_files_and_its_record_is_the_last(tmp_path: Path, tiny_model_folder: Path) -> None:
    out = tmp_path / "bot"
    tune(request(out, tiny_model_folder))
    assert {p.name for p in out.iterdir()} >= {"bot.toml", "adapter", "template.jinja", "run", "manifest.json"}
    assert {p.name for p in (out / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    run_files = {p.name for p in (out / "run").iterdir()}
    assert run_files >= {"checkpoints", "metrics.jsonl", "samples.jsonl", "settings.json"}
    assert written_order(out)[-1] == "bot.toml"
    assert read_record(out).base == str(tiny_model_folder)


def test_the_figures_are_those_of_the_contract(tmp_path: Path, tiny_model_folder: Path) -> None:
    figures = tune(request(tmp_path / "bot", tiny_model_folder, values={"held_out": 4}))
    assert set(figures) == FIGURES
    assert set(figures["loss"]) == {"first", "last", "held_out"}
    assert figures["steps"] == 3  # 20 rows in steps of 8
    assert 0 < figures["trained_tokens"] < figures["tokens"]
    assert 0 < figures["seconds"] <= figures["wall_seconds"]
    assert figures["loss"]["held_out"] > 0


def test_every_verb_that_ends_by_itself_prints_one_line_of_json(
    tmp_path: Path, tiny_model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = str(write_rows(tmp_path / "rows.jsonl", conversations()))
    exam = str(write_rows(tmp_path / "exam.jsonl", questions()))
    base, bot, bots = str(tiny_model_folder), str(tmp_path / "bots" / "one"), str(tmp_path / "bots")
    wanted: list[tuple[list[str], set[str]]] = [
        (["models"], {"models", "folder"}),
        (["pull", base], {"source", "path", "licence"}),
        (["init", str(tmp_path / "start")], {"folder", "files"}),
        (["data", "check", rows], {"rows", "faults"}),
        (["data", "show", rows, "--row", "2", "--base", base], {"ids", "trained"}),
        (["tune", rows, "--base", base, "--out", bot, "--epochs", "1", "--set", "rehearsal_ratio=0"], FIGURES),
        (["exam", bot, exam], {"exam", "results", "general"}),
        (["export", bot, "--format", "peft", "--out", str(tmp_path / "peft")], {"bot", "format", "out", "bytes"}),
        (["list", bots], {"bots", "models"}),
        (["show", bot], {"bot", "base", "manifest"}),
        (["rm", bot, "--yes"], {"removed", "bytes"}),
    ]
    for arguments, keys in wanted:
        assert run([*arguments, "--json"]) == 0, capfd.readouterr().err
        lines = capfd.readouterr().out.splitlines()
        assert len(lines) == 1, (arguments, lines)
        assert set(json.loads(lines[0])) >= keys
    assert not Path(bot).exists()


def test_going_on_from_a_bot_begins_with_its_adapter(
    tmp_path: Path, tiny_model_folder: Path, tiny_bot_folder: Path
) -> None:
    out = tmp_path / "next"
    values = {"learning_rate": 1e-12}  # so small that the adapter stays where it began
    tune(dataclasses.replace(request(out, Path(), values=values), base="", start_from=tiny_bot_folder))
    parent, child = load_file(tiny_bot_folder / WEIGHTS), load_file(out / WEIGHTS)
    assert parent.keys() == child.keys()
    assert all(torch.allclose(parent[name], child[name], atol=1e-9) for name in parent)
    assert read_record(out).base == str(tiny_model_folder)


def test_a_bot_names_the_one_that_it_goes_on_from(
    tmp_path: Path, tiny_model_folder: Path, tiny_bot_folder: Path
) -> None:
    out, alone = tmp_path / "next", tmp_path / "alone"
    tune(request(out, tiny_model_folder, start_from=tiny_bot_folder))
    tune(request(alone, tiny_model_folder))
    assert read_manifest(out)["from"] == RunPlan.read(out / "run").parent == str(tiny_bot_folder)
    assert read_manifest(alone)["from"] is None


def test_the_model_card_says_how_to_chat_from_where_the_person_stood(
    tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tune(request(Path("bots") / "shop", tiny_model_folder))
    card = Path("bots", "shop", "README.md").read_text(encoding="utf-8")
    assert f"    nabot chat {Path('bots', 'shop')}\n" in card


def test_keeping_the_best_saves_the_weights_of_the_lowest_held_out_loss(
    tmp_path: Path, tiny_model_folder: Path
) -> None:
    values = {"epochs": 6, "held_out": 6, "keep": "best", "learning_rate": 0.3, "schedule": "constant"}
    out = tmp_path / "bot"
    tune(request(out, tiny_model_folder, values=values))
    records = [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = {r["step"]: r["held_out_loss"] for r in records if "held_out_loss" in r and r["step"]}
    best = min(losses, key=lambda step: losses[step])
    kept = list((out / "run" / "best").iterdir())
    assert [folder.name for folder in kept] == [f"step-{best:06d}"]
    saved, best_weights = load_file(out / WEIGHTS), load_file(kept[0] / "weights.safetensors")
    totals = [sum(t.double().square().sum() for t in side.values()) for side in (saved, best_weights)]
    assert torch.isclose(totals[0], totals[1], rtol=1e-12)


def test_minutes_end_the_run_in_time(tmp_path: Path, tiny_model_folder: Path) -> None:
    figures = tune(request(tmp_path / "bot", tiny_model_folder, values={"minutes": 0.05}))
    assert figures["steps"] > 4
    settings = json.loads((tmp_path / "bot" / "manifest.json").read_text(encoding="utf-8"))["settings"]
    assert (settings["minutes"], settings["epochs"]) == (0.05, None)
    assert figures["seconds"] < 2 * 0.05 * 60


def test_rows_that_are_too_long_are_left_out_and_counted(tmp_path: Path, tiny_model_folder: Path) -> None:
    long = {"messages": [*ASK, {"role": "assistant", "content": "long " * 300}]}
    notes: list[str] = []
    rows = [*conversations(), long, long]
    tune(request(tmp_path / "bot", tiny_model_folder, rows, values={"held_out": 0}), Watcher(note=notes.append))
    assert [note for note in notes if note.startswith("2 of 26 rows left out")]
    manifest = json.loads((tmp_path / "bot" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"]["learned"] == 24


def test_nothing_to_learn_is_an_error_and_writes_nothing(tmp_path: Path, tiny_model_folder: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 24 rows.*4 tokens"):
        tune(request(tmp_path / "bot", tiny_model_folder, values={"max_length": 4, "held_out": 0}))
    assert not (tmp_path / "bot").exists()


def test_rows_that_the_template_refuses_are_named(tmp_path: Path) -> None:
    refusal = "{% if 'moon' in messages[0]['content'] %}{{ raise_exception('no moons here') }}{% endif %}"
    base = model_whose_template_begins(refusal, tmp_path / "base")
    with pytest.raises(DataError, match=r"(?s)2 of 24 rows.*row 4 .*moon.*no moons here"):
        tune(request(tmp_path / "bot", base))
    assert not (tmp_path / "bot").exists()


def test_more_rows_held_out_than_there_are_is_said(tmp_path: Path, tiny_model_folder: Path) -> None:
    notes: list[str] = []
    tune(request(tmp_path / "bot", tiny_model_folder, values={"held_out": 100}), Watcher(note=notes.append))
    assert [note for note in notes if note.startswith("12 of 24 rows are held out, not 100")]


@pytest.mark.parametrize(("rank", "other"), [(3, 16), (16, 8)])
def test_a_bot_that_is_gone_on_from_keeps_its_shape(
    rank: int, other: int, tmp_path: Path, tiny_model_folder: Path
) -> None:
    parent = tmp_path / "parent"
    tune(request(parent, tiny_model_folder, values={"rank": other}))
    with pytest.raises(ConfigError, match=rf"rank={rank} \({other}\)"):
        tune(request(tmp_path / "next", tiny_model_folder, values={"rank": rank}, start_from=parent))
    assert not (tmp_path / "next").exists()


def test_a_bot_that_is_gone_on_from_takes_its_own_shape_in_other_words_and_another_dropout(
    tmp_path: Path, tiny_model_folder: Path, tiny_bot_folder: Path
) -> None:
    values = {"targets": "all-linear", "rank": 16, "alpha": 32, "dropout": 0.2}
    out = tmp_path / "next"
    tune(request(out, tiny_model_folder, values=values, start_from=tiny_bot_folder))
    assert RunPlan.read(out / "run").settings["dropout"] == 0.2
    assert json.loads((out / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))["lora_dropout"] == 0.2


def test_a_last_step_that_blows_up_is_called_that(tmp_path: Path, tiny_model_folder: Path) -> None:
    values = {"learning_rate": 1e38, "schedule": "constant", "batch_size": 32, "held_out": 0}  # one step
    with pytest.raises(ConfigError, match=r"(?s)step 1: the loss is nan.*learning_rate"):
        tune(request(tmp_path / "bot", tiny_model_folder, values=values))
    assert not is_finished(tmp_path / "bot")


def test_a_run_keeps_the_day_on_which_it_began(tmp_path: Path) -> None:
    base = model_whose_template_begins("{{ strftime_now('%d %b %Y') }}", tmp_path / "base")
    opened = open_source(str(base), clock=lambda: datetime(2001, 2, 3))
    assert opened.renderer.training(conversations_from(conversations())[0]).text.startswith("03 Feb 2001")
    tune(request(tmp_path / "bot", base))
    began = RunPlan.read(tmp_path / "bot" / "run").began
    assert abs(datetime.now() - datetime.fromisoformat(began)) < timedelta(minutes=5)


def test_presets_have_the_numbers_of_the_recipes_that_they_are_named_after() -> None:
    table = {"alpaca-7b": (2e-5, 3), "alpaca-13b": (1e-5, 5)}
    for name, (rate, epochs) in table.items():
        config = Settings().with_values(preset(name)).train
        assert (config.batch_size, config.max_length, config.weight_decay) == (128, 512, 0.0)
        assert (config.learning_rate, config.epochs, config.warmup_ratio, config.schedule) == (
            rate, epochs, 0.03, "cosine",
        )  # fmt: skip
    lora = Settings().with_values(preset("alpaca-lora"))
    assert (lora.lora.rank, lora.lora.alpha, lora.lora.dropout, lora.lora.targets) == (8, 16, 0.05, "q_proj,v_proj")
    assert (lora.train.batch_size, lora.train.learning_rate, lora.train.max_length) == (128, 3e-4, 256)
    assert set(PRESETS) == {"alpaca-7b", "alpaca-13b", "alpaca-lora"}


# ---- signals


def _start(out: Path, base: Path, rows: Path) -> "subprocess.Popen[str]":
    values = ["rehearsal_ratio=0", "dtype=float32", "probe_every=1000", "held_out=0", "dropout=0.1", "threads=1"]
    command = [sys.executable, "-m", "nabot", "tune", str(rows), "--base", str(base), "--out", str(out)]
    command += ["--epochs", "40", *(part for value in values for part in ("--set", value))]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_a_signal_saves_and_resuming_gives_the_very_same_adapter(tmp_path: Path, tiny_model_folder: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", conversations())
    whole = _start(tmp_path / "whole", tiny_model_folder, rows)
    assert (whole.communicate(), whole.returncode)[1] == 0
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = tmp_path / number.name
        process = _start(out, tiny_model_folder, rows)
        metrics = out / "run" / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.005)
        process.send_signal(number)
        _, told = process.communicate()
        assert process.returncode == status, told
        assert "everything is saved. Go on with: nabot tune --resume" in told
        assert "Traceback" not in told
        assert is_unfinished(out)
        before = torch.get_num_threads()
        assert run(["tune", "--resume", str(out)]) == 0
        torch.set_num_threads(before)
        assert is_finished(out)
        assert (out / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


# ---- from Python


def test_tuning_from_python_gives_a_bot_that_answers(tmp_path: Path, tiny_model_folder: Path) -> None:
    bot = nabot.tune(conversations(), base=str(tiny_model_folder), out=tmp_path / "bot", **QUICK)
    answer = bot.chat(ASK, max_new_tokens=8)
    assert answer == "".join(bot.stream(ASK, max_new_tokens=8))
    assert nabot.load_bot(tmp_path / "bot").chat(ASK, max_new_tokens=8) == answer
    assert len(bot.chat(ASK, max_new_tokens=1)) < len(answer)


def test_an_adapter_is_loaded_by_peft_with_equal_logits(tiny_bot_folder: Path, tiny_model_folder: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    decoder, tokenizer = nabot.load_model(str(tiny_model_folder), dtype="float32")
    tokens_BT = torch.tensor([tokenizer.encode("What about tea, the keeper said?")])
    plain = decoder(tokens_BT)
    ours = nabot.load_adapter(decoder, tiny_bot_folder / "adapter")(tokens_BT)
    base = AutoModelForCausalLM.from_pretrained(tiny_model_folder, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(base, tiny_bot_folder / "adapter").eval()(tokens_BT).logits
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(ours, plain, atol=1e-4)


def test_an_adapter_saved_from_python_is_loaded_again(
    tiny_bot_folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    decoder, _ = nabot.load_model(str(tiny_model_folder), dtype="float32")
    nabot.save_adapter(nabot.load_adapter(decoder, tiny_bot_folder / "adapter"), tmp_path / "copy")
    saved, copied = load_file(tiny_bot_folder / WEIGHTS), load_file(tmp_path / "copy" / "adapter_model.safetensors")
    assert saved.keys() == copied.keys()
    assert all(torch.equal(saved[name], copied[name]) for name in saved)
