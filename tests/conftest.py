"""What several tests need: the real model, pulled once."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct as one GGUF file. NABOT_TEST_GGUF names a copy that is already there."""
    given = os.environ.get("NABOT_TEST_GGUF")
    if given:
        return Path(given)
    from nabot.sources import resolve  # noqa: PLC0415 (the network only where the file is not given)

    return Path(resolve("smollm2").path)
