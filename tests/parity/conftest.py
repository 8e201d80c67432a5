"""The real model in transformers' hands, read once for all tests that compare with it."""

from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def smollm2_by_transformers(smollm2_gguf: Path) -> Any:
    """LlamaForCausalLM in float32, from the same GGUF file by transformers' own reader. Leave it as it is."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        smollm2_gguf.parent, gguf_file=smollm2_gguf.name, dtype=torch.float32
    ).eval()
