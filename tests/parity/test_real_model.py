"""The real model: its logits against transformers', and the memory that loading takes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder, read_decoder_config
from nabot.tokenizer import load_tokenizer

PROMPTS = (
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    "def fibonacci(n: int) -> int:\n    return n if n < 2 else fibonacci(n - 1) +",
    "달카페는 월요일에 쉽니다. ☕ " * 8,
    "a",
)


@pytest.fixture(scope="module")
def ours(smollm2_gguf: Path) -> Decoder:
    return load_decoder(smollm2_gguf, dtype=torch.float32)


@pytest.fixture(scope="module")
def prompts(smollm2_gguf: Path) -> list[torch.Tensor]:
    tokenizer = load_tokenizer(smollm2_gguf)
    return [torch.tensor(tokenizer.encode(text, parse_special=True)) for text in PROMPTS]


@pytest.fixture(scope="module")
def expected(smollm2_by_transformers: Any, prompts: list[torch.Tensor]) -> list[torch.Tensor]:
    """Logits [T, V] of each prompt by transformers."""
    with torch.no_grad():
        return [smollm2_by_transformers(ids.unsqueeze(0)).logits[0] for ids in prompts]


@torch.no_grad()
def test_logits_equal_those_of_transformers(
    ours: Decoder, prompts: list[torch.Tensor], expected: list[torch.Tensor]
) -> None:
    for ids, logits_TV in zip(prompts, expected, strict=True):
        assert_close(ours(ids.unsqueeze(0))[0], logits_TV, atol=1e-3, rtol=0)


@torch.no_grad()
def test_packed_prompts_give_the_same_logits(
    ours: Decoder, prompts: list[torch.Tensor], expected: list[torch.Tensor]
) -> None:
    batch = TokenBatch.of_documents([len(ids) for ids in prompts])
    logits_NV = ours.head(ours.hidden(ours.embed(torch.cat(prompts)), batch))
    assert_close(logits_NV, torch.cat(expected), atol=1e-3, rtol=0)


_LOAD = """
import resource, sys, pathlib, torch
from nabot.models.loading import load_decoder
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
decoder = load_decoder(pathlib.Path(sys.argv[1]), dtype=torch.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ru_maxrss")
def test_loading_takes_the_weights_one_tensor_and_300_mb(smollm2_gguf: Path) -> None:
    config = read_decoder_config(smollm2_gguf)
    largest_tensor = 4 * config.vocab_size * config.width
    command = [sys.executable, "-c", _LOAD, str(smollm2_gguf)]
    taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert taken <= 4 * config.num_parameters + largest_tensor + 300e6
