"""PEFT's prefix, prompt and P-tuning in a plain loop, as PEFT's own comparison runs them. In: rows, out: one JSON line.

The best settings that PEFT has published (its method_comparison on MetaMathQA): prompt tuning with 200 tokens out of
the vocabulary at 1e-3; a prefix of 50 tokens begun as a real text's keys and values at 5e-3; AdamW, weight decay 0.1,
cosine, gradients clipped to 1. DATA holds rows of {"input_ids": […], "completion_mask": […]}, as `beside_peft.py` writes
them. What was learned is saved in PEFT's layout.
"""

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from peft.tuners.cartridge.utils import initialize_kv_prefix_from_text
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

BEST = {
    "prompt": {"tokens": 200, "learning_rate": 1e-3},
    "prefix": {"tokens": 50, "learning_rate": 5e-3},
    "ptuning": {"tokens": 20, "learning_rate": 1e-3},  # its MLP encoder; the rate of that row
}


def main() -> None:
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    model = made(a)
    rows = [json.loads(line) for line in a.data.read_text(encoding="utf-8").splitlines()]
    learning = [p for p in model.parameters() if p.requires_grad]
    rate = a.learning_rate or BEST[a.method]["learning_rate"]
    optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=0.1)
    begun, losses, tokens = time.perf_counter(), [], 0
    for number, batch in zip(range(a.steps), batches(rows, a.batch, random.Random(a.seed)), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 + math.cos(math.pi * number / a.steps)) / 2
        losses.append(step(model, batch))
        tokens += sum(len(row["input_ids"]) for row in batch)
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - begun
    model.save_pretrained(a.out)
    result = {
        "peer": "peft",
        "method": a.method,
        "steps": len(losses),
        "trainable": sum(p.numel() for p in learning),
        "loss": [losses[0], losses[-1]],
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens / seconds, 1),
    }
    print(json.dumps(result))


def batches(rows: list[dict[str, Any]], size: int, dice: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Without an end; every epoch in another order."""
    while True:
        dice.shuffle(rows)
        yield from (rows[start : start + size] for start in range(0, len(rows), size))


def step(model: Any, rows: list[dict[str, Any]]) -> float:
    """Backward of the mean loss over what is learned in these rows, padded on the right."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, row in enumerate(rows):
        own, learned = torch.tensor(row["input_ids"]), torch.tensor(row["completion_mask"]).bool()
        ids[place, : len(own)], mask[place, : len(own)] = own, 1
        labels[place, : len(own)] = torch.where(learned, own, -100)
    loss: Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    loss.backward()
    return loss.item()


def made(a: argparse.Namespace) -> Any:
    """The model with a fresh adapter, at PEFT's best published start."""
    base: Any = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32)
    tokens = {"task_type": "CAUSAL_LM", "num_virtual_tokens": a.tokens or BEST[a.method]["tokens"]}
    if a.method == "prompt":
        start = {"prompt_tuning_init": "SAMPLE_VOCAB"}
        return get_peft_model(base, PromptTuningConfig(**tokens, **start))
    if a.method == "ptuning":
        return get_peft_model(base, PromptEncoderConfig(**tokens, encoder_hidden_size=base.config.hidden_size))
    model = get_peft_model(base, PrefixTuningConfig(**tokens))
    initialize_kv_prefix_from_text(
        model,
        AutoTokenizer.from_pretrained(a.model),
        text=a.start_text.read_text(encoding="utf-8"),
        num_virtual_tokens=tokens["num_virtual_tokens"],
        use_chat_template=False,
    )
    return model


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="Hugging Face folder")
    p.add_argument("data", type=Path)
    p.add_argument("method", choices=sorted(BEST))
    p.add_argument("--out", type=Path, required=True, help="the adapter's folder")
    p.add_argument("--start-text", type=Path, help="what a prefix begins as; at least as many tokens")
    p.add_argument("--tokens", type=int, default=0, help="virtual tokens; 0: as published")
    p.add_argument("--learning-rate", type=float, default=0, help="0: as published")
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    return p.parse_args()


if __name__ == "__main__":
    main()
