"""LLaMA models of a few thousand weights, random but of sensible size, in nabot's form and in transformers'.

The same name, variant and seed give the same weights everywhere, so that two implementations can be held side by side.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nabot.adapters import AdapterConfig, LoraConfig, attach, lora_groups
from nabot.adapters.ends import learned_ends
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Decoder
from nabot.models.huggingface import config_from
from nabot.models.loading import empty_decoder, fill
from nabot.models.stored import StoredTensor
from nabot.train.batches import Example
from nabot.train.step import trainable

VOCAB = 97
_PLAIN: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    "dtype": "float32",
}
_LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 60.0,  # small, so that every band of frequencies has some
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_DIFFERENCES: dict[str, dict[str, Any]] = {
    "mha": {},
    "gqa": {"num_key_value_heads": 2},
    "mqa": {"num_key_value_heads": 1},
    "tied": {"tie_word_embeddings": True, "num_key_value_heads": 2},
    "attention_bias": {"attention_bias": True, "num_key_value_heads": 2},
    "mlp_bias": {"mlp_bias": True},
    "both_biases": {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1},
    "wide_heads": {"head_dim": 24, "num_key_value_heads": 2},
    "other_theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}},
    "rope_linear": {"rope_parameters": _LINEAR},
    "rope_llama3": {"rope_parameters": _LLAMA3, "num_key_value_heads": 2},
}
VARIANTS = tuple(_DIFFERENCES)


def raw_config(variant: str, **changes: Any) -> dict[str, Any]:
    """config.json as transformers 5 writes it."""
    return {**_PLAIN, **_DIFFERENCES[variant], **changes}


def older_dialect(raw: dict[str, Any]) -> dict[str, Any]:
    """The same config.json as transformers 4 wrote it."""
    old = {key: value for key, value in raw.items() if key not in ("rope_parameters", "dtype", "head_dim")}
    parameters = dict(raw["rope_parameters"])
    old["rope_theta"] = parameters.pop("rope_theta")
    if parameters["rope_type"] == "linear":  # the oldest name of the field
        parameters = {"type": "linear", "factor": parameters["factor"]}
    old["rope_scaling"] = None if parameters.get("rope_type") == "default" else parameters
    old["torch_dtype"] = raw["dtype"]
    return old


def random_weights(config: DecoderConfig, dtype: torch.dtype = torch.float32, seed: int = 0) -> dict[str, Tensor]:
    """By Hugging Face name. Norm weights around 1, biases around 0, the others so that numbers keep their size.

    Drawn in float32 and then converted, so that every dtype has the same model.
    """
    rng = torch.Generator().manual_seed(seed)
    weights = {}
    for name, place in empty_decoder(config, dtype=torch.float32).slots():
        drawn = torch.randn(place.shape, generator=rng)
        if "norm" in name:
            drawn = 1 + 0.2 * drawn
        elif name.endswith("bias"):
            drawn = 0.2 * drawn
        elif "embed_tokens" not in name or config.tie_embeddings:
            drawn = drawn / place.shape[-1] ** 0.5
        weights[name] = drawn.to(dtype)
    return weights


def tiny_decoder(variant: str = "gqa", dtype: torch.dtype = torch.float32, seed: int = 0, **changes: Any) -> Decoder:
    """A decoder with `random_weights`; `changes` go into config.json."""
    config = config_from(raw_config(variant, **changes), Path("config.json"))
    decoder = empty_decoder(config, dtype=dtype)
    weights = random_weights(config, dtype, seed).items()
    fill(decoder, [StoredTensor(n, tuple(w.shape), partial(Tensor.copy_, other=w)) for n, w in weights], Path("random"))
    return decoder.eval()


def tiny_hf(variant: str = "gqa", seed: int = 0, **changes: Any) -> Any:
    """The same model as a LlamaForCausalLM of transformers, in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    raw = raw_config(variant, **changes)
    model = LlamaForCausalLM(
        LlamaConfig(**{key: raw[key] for key in raw if key not in ("architectures", "model_type")})
    )
    weights = random_weights(config_from(raw, Path("config.json")), seed=seed)
    if raw["tie_word_embeddings"]:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights)
    return model.eval()


def random_tokens(*shape: int, seed: int = 0, vocab: int = VOCAB) -> Tensor:
    """Token ids of this shape."""
    return torch.randint(0, vocab, shape, generator=torch.Generator().manual_seed(seed))


def longer(decoder: Decoder, first: int = 90) -> Decoder:
    """As if the tokens from `first` on had been added."""
    decoder.config = replace(decoder.config, first_new_token=first)
    return decoder


def with_lora(decoder: Decoder, config: LoraConfig = LoraConfig(rank=4, alpha=8), seed: int = 0) -> Decoder:
    """An adapter that has learned something: neither A nor B is zero, and what learns wholly is off its start."""
    attach(decoder, config)
    rng = torch.Generator().manual_seed(seed)
    for group in lora_groups(decoder):
        for _, a, b in group.tensors():
            a.copy_(torch.randn(a.shape, generator=rng) / a.shape[1] ** 0.5)
            b.copy_(torch.randn(b.shape, generator=rng) * 0.3)
    for weight in learned_ends(decoder).values():
        weight.add_(torch.randn(weight.shape, generator=rng) * 0.1)
    return decoder


def with_adapter(decoder: Decoder, config: AdapterConfig, seed: int = 0) -> Decoder:
    """Any adapter that has learned something: all that learns is a little off from where it began."""
    if isinstance(config, LoraConfig):
        return with_lora(decoder, config, seed)
    torch.manual_seed(seed)
    attach(decoder, config, [5, 7, 11])
    with torch.no_grad():
        for parameter in trainable(decoder).values():
            parameter.add_(torch.randn(parameter.shape).to(parameter) * 0.1)
    return decoder


def random_examples(lengths: Sequence[int], seed: int = 0, beginning: int = 0) -> list[Example]:
    """Rows of these many tokens, of which about a half, and always the last, is trained.

    Before them stand `beginning` tokens that all rows have in common and none learns.
    """
    rng = torch.Generator().manual_seed(seed)
    head = torch.randint(0, VOCAB, (beginning,), generator=rng).tolist()
    rows = []
    for length in lengths:
        ids = torch.randint(0, VOCAB, (length,), generator=rng).tolist()
        trained = (torch.rand(length, generator=rng) < 0.5).tolist()
        rows.append(Example.of(head + ids, [*[False] * beginning, *trained[:-1], True]))
    return rows


def gradients(decoder: Decoder) -> dict[str, Tensor]:
    """What has reached the adapter."""
    return {name: p.grad.clone() for name, p in decoder.named_parameters() if p.grad is not None}
