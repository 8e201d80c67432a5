"""A tuning run against TRL's SFTTrainer: the same rows, masks, order, start, optimizer and schedule, loss by loss."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny_models import VOCAB, tiny_decoder, tiny_hf
from tokenizers import Tokenizer, models

import nabot
from nabot.adapters import LoraConfig, attach, save_adapter
from nabot.data import read_conversations, row_at
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder
from nabot.rendering import ChatTemplate, Renderer
from nabot.tokenizer import load_tokenizer
from nabot.train.batches import Example
from nabot.train.config import TrainConfig
from nabot.train.loop import Trainer
from nabot.train.schedule import Schedule

pytestmark = pytest.mark.slow

DEMO = Path(nabot.__file__).parent / "demo" / "conversations.jsonl"
PEER = Path(__file__).parents[2] / "benchmarks" / "peers" / "trl_lora.py"
STEPS, BATCH, NUM_ROWS = 20, 4, 56  # one epoch and a half: the second shuffle is compared too
LORA = LoraConfig(rank=8, alpha=16)
Row = tuple[list[int], list[bool]]


def random_rows(vocab: int, seed: int = 0) -> list[Row]:
    """About 40 tokens each, the last third trained."""
    rng = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(NUM_ROWS):
        length = int(torch.randint(30, 51, (), generator=rng))
        ids = torch.randint(0, vocab, (length,), generator=rng).tolist()
        rows.append((ids, [n >= 2 * length // 3 for n in range(length)]))
    return rows


def our_losses(decoder: Decoder, rows: Sequence[Row], rate: float, schedule: Schedule, folder: Path) -> list[float]:
    config = TrainConfig(
        learning_rate=rate,
        schedule=schedule,
        warmup_ratio=0.0,
        batch_size=BATCH,
        epochs=STEPS * BATCH / NUM_ROWS,
        row_tokens=100,
    )
    Trainer(decoder, [Example.of(*row) for row in rows], [], config, folder).run()
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [record["loss"] for record in records if "loss" in record]


def their_losses(
    model: Path, adapter: Path, rows: Sequence[Row], rate: float, schedule: Schedule, folder: Path
) -> list[float]:
    """The rows go there in nabot's order, of which the peer takes the first, the second, …"""
    data = folder / "rows.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for position in range(STEPS * BATCH):
            ids, trained = rows[row_at(position, NUM_ROWS, seed=0)]
            file.write(json.dumps({"input_ids": ids, "completion_mask": [int(t) for t in trained]}) + "\n")
    command = [sys.executable, str(PEER), str(model), str(data), "--ids", "--sequential", "--adapter", str(adapter)]
    command += ["--dtype", "float32", "--steps", str(STEPS), "--batch", str(BATCH), "--learning-rate", str(rate)]
    command += ["--schedule", schedule, "--threads", str(torch.get_num_threads())]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    losses: list[float] = json.loads(done.stdout.splitlines()[-1])["loss"]
    return losses


def compare(
    decoder: Decoder, model: Path, rows: Sequence[Row], rate: float, schedule: Schedule, folder: Path
) -> tuple[list[float], list[float]]:
    torch.manual_seed(0)
    attach(decoder, LORA)
    save_adapter(decoder, folder / "start", str(model))
    theirs = their_losses(model, folder / "start", rows, rate, schedule, folder)
    return our_losses(decoder, rows, rate, schedule, folder / "run"), theirs


def assert_same_curve(ours: list[float], theirs: list[float]) -> None:
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    print(f"largest difference {max(differences):.2e}; loss {ours[0]:.4f} → {ours[-1]:.4f}")
    assert len(ours) == STEPS
    assert max(differences) < 1e-3
    assert ours[-1] < ours[0] - 0.05, "nothing was learned, so nothing was compared"


def save_tiny_tokenizer(folder: Path) -> None:
    """One token a number; the peer wants a tokenizer, though it is given ids."""
    vocab = {f"t{n}": n for n in range(VOCAB - 1)} | {"<end>": VOCAB - 1}
    Tokenizer(models.WordLevel(vocab, unk_token="t0")).save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "pad_token": "t0"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("variant", ["gqa", "tied"])
def test_a_tiny_model_learns_as_in_trl(variant: str, schedule: Schedule, tmp_path: Path) -> None:
    tiny_hf(variant).save_pretrained(tmp_path / "model")
    save_tiny_tokenizer(tmp_path / "model")
    assert_same_curve(*compare(tiny_decoder(variant), tmp_path / "model", random_rows(VOCAB), 5e-3, schedule, tmp_path))


def demo_rows(gguf: Path) -> list[Row]:
    """The first conversations of the demo, rendered with the model's own template: its system prompt stands in all."""
    renderer = Renderer(ChatTemplate.named("model", load_tokenizer(gguf)), load_tokenizer(gguf))
    conversations = read_conversations([DEMO])[:NUM_ROWS]
    rendered = [renderer.training(conversation) for conversation in conversations]
    return [(list(row.ids), list(row.trained)) for row in rendered]


def save_as_folder(gguf: Path, folder: Path) -> None:
    """The GGUF file in Hugging Face layout, as transformers reads it, so that the peer can open it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig.from_dict(config))
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def test_the_real_model_learns_as_in_trl(smollm2_gguf: Path, tmp_path: Path) -> None:
    save_as_folder(smollm2_gguf, tmp_path / "model")
    decoder, rows = load_decoder(smollm2_gguf), demo_rows(smollm2_gguf)
    assert_same_curve(*compare(decoder, tmp_path / "model", rows, 2e-4, "linear", tmp_path))
