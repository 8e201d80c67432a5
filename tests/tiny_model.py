"""A whole model folder of a few thousand weights, for tests that walk the road from rows to a bot. In: a seed.

Out: config.json, model.safetensors, tokenizer.json and tokenizer_config.json in Hugging Face's layout. The weights are
random and the tokenizer is trained on the rows below, so that nothing has to be downloaded and all takes a second.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from nabot.models.config import DecoderConfig
from nabot.models.loading import empty_decoder

WIDTH, LAYERS, HEADS, KV_HEADS, MLP_WIDTH, MAX_POSITIONS = 32, 2, 4, 2, 64, 256
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_TOPICS = ("tea", "bread", "rain", "moon", "bicycle", "river", "piano", "winter", "garden", "lamp", "달", "차")


def conversations(count: int = 24) -> list[dict[str, Any]]:
    """Rows of short questions and answers, each another one."""
    rows = []
    for number in range(count):
        topic, times = _TOPICS[number % len(_TOPICS)], number // len(_TOPICS)
        question = f"What about {topic}{'?' * (times + 1)}"
        answer = f"The {topic} is number {number}, said the keeper."
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        rows.append({"messages": messages})
    return rows


def questions(count: int = 3) -> list[dict[str, Any]]:
    """An exam on `conversations`."""
    rows = []
    for number in range(count):
        ask = [{"role": "user", "content": f"Tell me of {_TOPICS[number]}."}]
        rows.append({"messages": ask, "accept": [f"number {number}"], "reject": ["nothing"]})
    return rows


def write_rows(path: Path, rows: Sequence[object]) -> Path:
    """One JSON value a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """Another seed gives other weights with the same tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    eos = tokenizer.token_to_id("<|im_end|>")
    _write(
        folder / "tokenizer_config.json",
        {"eos_token": "<|im_end|>", "chat_template": CHATML, "tokenizer_class": "PreTrainedTokenizerFast"},
    )
    config = DecoderConfig(
        vocab_size=tokenizer.get_vocab_size(),
        width=WIDTH,
        num_layers=LAYERS,
        num_heads=HEADS,
        num_kv_heads=KV_HEADS,
        head_width=WIDTH // HEADS,
        mlp_width=MLP_WIDTH,
        max_positions=MAX_POSITIONS,
        tie_embeddings=True,
    )
    _write(folder / "config.json", _config_json(config, eos))
    save_file(_random_weights(config, seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [message["content"] for row in conversations() for message in row["messages"]]
    tokenizer.train_from_iterator(
        [*texts, "user", "assistant", "system"],
        trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in ("<|im_start|>", "<|im_end|>")])
    return tokenizer


def _config_json(config: DecoderConfig, eos: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_width,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope.theta},
        "eos_token_id": eos,
        "dtype": "float32",
    }


def _random_weights(config: DecoderConfig, seed: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    weights = {}
    for name, place in empty_decoder(config, dtype=torch.float32).slots():
        drawn = torch.randn(place.shape, generator=rng)
        weights[name] = 1 + 0.1 * drawn if "norm" in name else drawn / place.shape[-1] ** 0.5
    return weights


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")
