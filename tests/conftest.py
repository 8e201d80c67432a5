"""What several tests need: the real model, pulled once."""

import os

# Before torch is imported anywhere: tiny models gain nothing from threads, and lose much where the machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NABOT_LANG"] = "en"  # tests read what they are told, whatever the language of this machine
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct as one GGUF file. NABOT_TEST_GGUF names a copy that is already there."""
    given = os.environ.get("NABOT_TEST_GGUF")
    if given:
        return Path(given)
    from nabot.sources import resolve

    return Path(resolve("smollm2").path)


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of a few thousand random weights, with a tokenizer and a chat template. Leave it as it is."""
    from tiny_model import write_tiny_model

    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_bot_folder(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished bot on `tiny_model_folder`. Leave it as it is; tests that change a bot copy it."""
    from tiny_model import conversations

    import nabot

    folder = tmp_path_factory.mktemp("bots") / "tiny"
    nabot.tune(conversations(), base=str(tiny_model_folder), out=folder, epochs=1, held_out=2, rehearsal_ratio=0)
    return folder


@pytest.fixture(params=["compiled", "torch"])
def operators(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled for tuning, and torch's operators, which stand in where nothing can be."""
    if request.param == "torch":
        monkeypatch.setattr("nabot.models.kernels._compiled", lambda dtype: None)
