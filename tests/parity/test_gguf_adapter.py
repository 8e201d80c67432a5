"""A LoRA that was learned on a GGUF file runs in llama.cpp over the same, unchanged file."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from llama_cpp_reference import LlamaCpp
from tiny_families import write_tiny_gguf
from tiny_models import random_tokens, tiny_decoder, with_lora

from nabot.adapters import LoraConfig, adapter_tensors, attach, lora_groups
from nabot.conversation import Conversation
from nabot.errors import CheckpointError, ConfigError
from nabot.export.gguf_adapter import write_gguf_adapter
from nabot.models.decoder import Decoder
from nabot.models.loading import load_decoder
from nabot.rendering import OWN, ChatTemplate, Renderer
from nabot.tokenizer import load_tokenizer
from nabot.train.batches import Example, collate
from nabot.train.step import train_step, trainable

QUESTIONS = (
    "Who are you?", "Tell me about the sea.", "What is two plus two?", "Name a colour.", "Write a line about rain.",
    "Where is Paris?", "How do I boil an egg?", "Say something kind.", "What is a book?", "Describe a winter morning.",
)  # fmt: skip
ANSWER_TOKENS, NEARLY = 64, 0.05  # nats
RETYPE = Path(__file__).parents[2] / "benchmarks" / "peers" / "retype.py"


def learned(decoder: Decoder, renderer: Renderer) -> None:
    """A few steps towards an answer that the base would not give, so that the adapter matters."""
    row = {
        "messages": [
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "A small boat on a blue river, my friend, and I sail slowly."},
        ]
    }
    rendered = renderer.fitted(Conversation.of(row["messages"]), 200)
    assert rendered is not None
    part = collate([Example.of(rendered.ids, rendered.trained)])
    optimizer = torch.optim.AdamW(trainable(decoder).values(), lr=1e-3)
    for _ in range(4):
        train_step(decoder, [part], optimizer, max_norm=1.0)


@pytest.fixture(scope="module")
def tuned(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Decoder, Renderer, Path]:
    """The model with a LoRA on it, and the same LoRA as a file."""
    torch.manual_seed(0)
    decoder, tokenizer = load_decoder(smollm2_gguf), load_tokenizer(smollm2_gguf)
    renderer = Renderer(ChatTemplate.named(OWN, tokenizer), tokenizer)
    attach(decoder, LoraConfig(rank=8, alpha=16, alpha_pattern={"v_proj": 40.0}, rank_pattern={"down_proj": 4}))
    learned(decoder, renderer)
    path = tmp_path_factory.mktemp("adapter") / "boat.gguf"
    write_gguf_adapter(decoder, path)
    return decoder.eval(), renderer, path


def behind(decoder: Decoder, renderer: Renderer, theirs: LlamaCpp, questions: Sequence[str]) -> torch.Tensor:
    """How far each token of llama.cpp's answers is behind the one that nabot likes best, in nats."""
    ends = ("<|endoftext|>", "<|im_end|>", "<repo_name>", "<file_sep>")  # llama.cpp was told to go on
    never = [token for name in ends for token in renderer.tokenizer.encode(name, parse_special=True)]
    found = []
    for question in questions:
        prompt = renderer.prompt(Conversation.ask(question))
        answer = theirs.complete(prompt, ANSWER_TOKENS)
        assert len(answer) == ANSWER_TOKENS
        with torch.inference_mode():
            logits = decoder(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
        logits = logits.index_fill(1, torch.tensor(never), -torch.inf).log_softmax(-1)
        found.append(logits.amax(-1) - logits.gather(-1, torch.tensor(answer).unsqueeze(1)).squeeze(1))
    return torch.cat(found)


def test_over_the_unchanged_file_llama_cpp_answers_as_nabot(
    tuned: tuple[Decoder, Renderer, Path], smollm2_gguf: Path
) -> None:
    # llama.cpp rounds activations to 8 bits there: without any adapter 3 % of its tokens are further off than that
    decoder, renderer, adapter = tuned
    theirs = LlamaCpp(smollm2_gguf, adapter)
    distances = behind(decoder, renderer, theirs, QUESTIONS[:2])
    prompt = renderer.prompt(Conversation.ask("Who are you?"))
    tuned_answer = theirs.complete(prompt, 16)
    theirs.close()
    base = LlamaCpp(smollm2_gguf)
    assert tuned_answer != base.complete(prompt, 16)
    base.close()
    assert float((distances > NEARLY).float().mean()) <= 0.05
    assert float(distances.max()) <= 0.5


@pytest.mark.slow
def test_over_the_same_weights_in_float32_every_token_is_nabots(
    tuned: tuple[Decoder, Renderer, Path], smollm2_gguf: Path, tmp_path: Path
) -> None:
    decoder, renderer, adapter = tuned
    subprocess.run([sys.executable, str(RETYPE), str(smollm2_gguf), str(tmp_path / "f32.gguf"), "F32"], check=True)
    theirs = LlamaCpp(tmp_path / "f32.gguf", adapter)
    distances = behind(decoder, renderer, theirs, QUESTIONS)
    theirs.close()
    assert float(distances.max()) <= NEARLY


@pytest.mark.parametrize("variant", ["neox", "mpt"])
@torch.no_grad()
def test_older_families_answer_in_llama_cpp_as_nabot_with_and_without_an_adapter(variant: str, tmp_path: Path) -> None:
    # llama.cpp's GELU is approximated, and looked up in a table of float16.
    base, adapter = write_tiny_gguf(variant, tmp_path / "base.gguf"), tmp_path / "adapter.gguf"
    ours = load_decoder(base)
    prompt = random_tokens(1, 20)[0].tolist()
    answers = []
    for files in ([], [adapter]):
        if files:
            with_lora(ours, LoraConfig(rank=4, alpha=8))
            write_gguf_adapter(ours, adapter)
        theirs = LlamaCpp(base, *files)
        answers.append(theirs.complete(prompt, 40))
        theirs.close()
        logits = ours(torch.tensor([[*prompt, *answers[-1]]]))[0, len(prompt) - 1 : -1].log_softmax(-1)
        behind = logits.amax(-1) - logits.gather(-1, torch.tensor(answers[-1]).unsqueeze(1)).squeeze(1)
        assert float(behind.max()) <= NEARLY
    assert answers[0] != answers[1]


def test_the_file_holds_every_pair_under_llama_cpps_names(tmp_path: Path) -> None:
    decoder = with_lora(tiny_decoder("gqa"), LoraConfig(rank=4, alpha=8))
    write_gguf_adapter(decoder, tmp_path / "a.gguf")
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    found = {t.name: t.data for t in reader.tensors}
    assert len(found) == len(adapter_tensors(decoder))
    for group in lora_groups(decoder):
        for name, a, b in group.tensors():
            if name.endswith("mlp.down_proj"):
                layer = name.split(".")[2]
                assert np.array_equal(found[f"blk.{layer}.ffn_down.weight.lora_a"], a.numpy())
                assert np.array_equal(found[f"blk.{layer}.ffn_down.weight.lora_b"], b.numpy())


@pytest.mark.parametrize(
    ("config", "told"), [(LoraConfig(dora=True), "dora"), (LoraConfig(save_whole="lm_head"), "save_whole")]
)
def test_what_llama_cpp_could_not_compute_is_refused(config: LoraConfig, told: str, tmp_path: Path) -> None:
    decoder = with_lora(tiny_decoder("gqa"), config)
    with pytest.raises(ConfigError, match=told):
        write_gguf_adapter(decoder, tmp_path / "a.gguf")
    assert not list(tmp_path.iterdir())


def test_without_an_adapter_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        write_gguf_adapter(tiny_decoder("gqa"), tmp_path / "a.gguf")
    assert not list(tmp_path.iterdir())
