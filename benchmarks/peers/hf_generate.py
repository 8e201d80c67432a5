"""transformers' `generate` on a CPU: decoding and prefill. In: a Hugging Face folder, out: one JSON line."""

import argparse
import json
import os
import statistics
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CHAT = [{"role": "user", "content": "Write a long poem about the sea."}]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model")
    p.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    p.add_argument("--prompt-tokens", type=int, default=900)
    p.add_argument("--new-tokens", type=int, default=100)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    result: dict[str, Any] = {"peer": "transformers", "threads": a.threads}
    for dtype in a.dtype:
        model = AutoModelForCausalLM.from_pretrained(a.model, dtype=getattr(torch, dtype))
        result[dtype] = {
            "decode": decode(model, a.model, a.new_tokens, a.rounds),
            "prefill": prefill(model, a.prompt_tokens, a.rounds),
        }
    print(json.dumps(result))


def decode(model: Any, folder: str, new_tokens: int, rounds: int) -> float:
    """Median tokens a second of one stream, its end token ignored."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    rates = []
    for _ in range(rounds):
        begun = time.perf_counter()
        model.generate(**inputs, min_new_tokens=new_tokens, max_new_tokens=new_tokens, do_sample=False)
        rates.append(new_tokens / (time.perf_counter() - begun))
    return round(statistics.median(rates), 1)


@torch.no_grad()
def prefill(model: Any, length: int, rounds: int) -> float:
    """Median tokens a second of reading a prompt; a first reading, which warms up, does not count."""
    prompt = torch.randint(100, 40_000, (1, length), generator=torch.Generator().manual_seed(0))
    model(prompt, logits_to_keep=1)
    rates = []
    for _ in range(rounds):
        begun = time.perf_counter()
        model(prompt, logits_to_keep=1)
        rates.append(length / (time.perf_counter() - begun))
    return round(statistics.median(rates), 1)


if __name__ == "__main__":
    main()
