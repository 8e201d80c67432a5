"""TRL's SFTTrainer with PEFT's LoRA on a CPU, as a person would run it. In: a model and rows, out: one JSON line.

DATA is JSON Lines of {"messages": […]}, the last message by the assistant. To compare losses step by step, give the
exact rows instead: --ids (rows of {"input_ids": […], "completion_mask": […]}, as `tune_cpu.py --write-ids` writes
them), --sequential, and --adapter (a PEFT folder to start from; --save-start writes the one that a run began with).
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())


def main() -> None:
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    trainer = made(a)
    if a.save_start:
        trainer.model.save_pretrained(a.save_start)
    clock = Clock()
    trainer.add_callback(clock)
    begun = time.perf_counter()
    trainer.train()
    log = [entry for entry in trainer.state.log_history if "num_tokens" in entry]
    ends, seen = [begun, *clock.ends], [0.0, *(float(entry["num_tokens"]) for entry in log)]
    seconds, tokens = ends[-1] - ends[a.warmup], seen[-1] - seen[a.warmup]
    result = {
        "peer": "trl",
        "dtype": a.dtype,
        "packing": a.packing,
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens / seconds, 1),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
        "loss": [float(entry["loss"]) for entry in log],
    }
    print(json.dumps(result))


def made(a: argparse.Namespace) -> SFTTrainer:
    """The trainer with its model, adapter and rows."""
    model: Any = AutoModelForCausalLM.from_pretrained(a.model, dtype=getattr(torch, a.dtype))
    lora = None
    if a.adapter:
        model = PeftModel.from_pretrained(model, a.adapter, is_trainable=True)
    else:
        shape = {"r": a.rank, "lora_alpha": 2 * a.rank, "lora_dropout": 0.0, "target_modules": TARGETS}
        lora = LoraConfig(task_type="CAUSAL_LM", **shape)
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=a.batch,
        max_steps=a.steps,
        learning_rate=a.learning_rate,
        lr_scheduler_type=a.schedule,
        max_length=a.max_length,
        packing=a.packing,
        completion_only_loss=True,
        train_sampling_strategy="sequential" if a.sequential else "random",
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=False,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        seed=0,
    )
    tokenizer = AutoTokenizer.from_pretrained(a.model)
    return SFTTrainer(
        model=model, args=config, train_dataset=dataset(a.data, a.ids), processing_class=tokenizer, peft_config=lora
    )


def dataset(path: Path, ids: bool) -> Dataset:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if ids:
        return Dataset.from_list([{key: row[key] for key in ("input_ids", "completion_mask")} for row in rows])
    return Dataset.from_list([{"prompt": r["messages"][:-1], "completion": r["messages"][-1:]} for r in rows])


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="Hugging Face folder")
    p.add_argument("data", type=Path)
    p.add_argument("--ids", action="store_true", help="rows are token ids with masks")
    p.add_argument("--sequential", action="store_true", help="rows in the order of the file")
    p.add_argument("--adapter", help="PEFT folder to start from")
    p.add_argument("--save-start", metavar="DIR")
    p.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    p.add_argument("--steps", type=int, default=6, help="all of them")
    p.add_argument("--warmup", type=int, default=0, help="the first of them, which are not timed")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--rank", type=int, default=16)
    p.add_argument("--max-length", type=int, default=512)
    p.add_argument("--packing", action="store_true")
    p.add_argument("--learning-rate", type=float, default=2e-4)
    p.add_argument("--schedule", default="linear")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    return p.parse_args()


if __name__ == "__main__":
    main()
