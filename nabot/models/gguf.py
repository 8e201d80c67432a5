"""GGUF files of architecture `llama`: metadata → DecoderConfig, blocks → named tensors. In: a file, out: what a loader needs.

Traps that are handled here: the rows of q and k are permuted (llama.cpp turns neighbouring features, Hugging Face the
two halves of a head); `rope_freqs.weight` carries the stretching of Llama 3.1; Mixtral calls itself `llama` too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from nabot.errors import CheckpointError
from nabot.ggufio import GgufFile, GgufTensor, open_gguf
from nabot.models.blocks import Blocks
from nabot.models.config import DecoderConfig, RopeConfig
from nabot.models.dequantise import RowOrder, dequantise_into
from nabot.models.stored import StoredTensor
from nabot.text import say

_ROPE_FREQUENCIES = "rope_freqs.weight"
_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def read_config(file: GgufFile) -> DecoderConfig:
    """The decoder that the file's metadata describes. Raises CheckpointError for what nabot would compute wrongly."""
    architecture = file.metadata.get("general.architecture")
    if architecture != "llama":
        raise CheckpointError(say("models.unknown_architecture", path=file.path, seen=architecture, known="llama"))
    heads = _number(file, "attention.head_count")
    width = _number(file, "embedding_length")
    head_width = _number(file, "attention.key_length", width // heads)
    if file.metadata.get("split.count", 1) > 1:
        raise CheckpointError(say("models.split_gguf", path=file.path, count=file.metadata["split.count"]))
    _refuse_unless(file, "expert_count", 0)
    _refuse_unless(file, "rope.dimension_count", head_width)
    _refuse_unless(file, "attention.value_length", head_width)
    return DecoderConfig(
        vocab_size=file.tensors["token_embd.weight"].shape[0] if "token_embd.weight" in file.tensors else 0,
        width=width,
        num_layers=_number(file, "block_count"),
        num_heads=heads,
        num_kv_heads=_number(file, "attention.head_count_kv", heads),
        head_width=head_width,
        mlp_width=_number(file, "feed_forward_length"),
        max_positions=_number(file, "context_length"),
        rope=_rope(file, head_width),
        norm_eps=_real(file, "attention.layer_norm_rms_epsilon"),
        tie_embeddings="output.weight" not in file.tensors,
        attention_bias="blk.0.attn_q.bias" in file.tensors,
        mlp_bias="blk.0.ffn_gate.bias" in file.tensors,
    )


def read_tensors(file: GgufFile, config: DecoderConfig) -> Iterator[StoredTensor]:
    """Every weight under its Hugging Face name; unpacked where it is to stay."""
    for name, info in file.tensors.items():
        if name != _ROPE_FREQUENCIES:
            turned = name.startswith("blk.") and name.split(".")[-2] in ("attn_q", "attn_k")
            order = RowOrder(config.head_width, _halves) if turned else None
            yield StoredTensor(_huggingface_name(name), info.shape, InFile(file.path, info, order))


@dataclass(frozen=True)
class InFile:
    """One tensor of a file that is not held open: mapped pages would count as this process's memory while it is."""

    path: Path
    info: GgufTensor
    order: RowOrder | None

    def __call__(self, place: Tensor) -> None:
        """Writes the weights, as numbers."""
        with self.path.open("rb") as stream:
            stream.seek(self.info.offset)
            rows = place.view(len(place), -1) if self.order else place  # a bias is a matrix of one column
            dequantise_into(rows, partial(_next_bytes, stream), self.info.kind, self.info.num_bytes, self.order)

    def blocks(self) -> Blocks:
        """The bytes as they are. Blocks end where rows end, so that rows can change places unpacked or not."""
        outputs, inputs = self.info.shape
        with self.path.open("rb") as stream:
            stream.seek(self.info.offset)
            data = _next_bytes(stream, self.info.num_bytes).view(outputs, -1)
        if self.order:
            data = self.order.arranged(data.unflatten(0, (-1, self.order.period))).flatten(0, 1)
        return Blocks(self.info.kind, data, inputs)


def _next_bytes(stream: BinaryIO, num_bytes: int) -> Tensor:
    data = torch.empty(num_bytes, dtype=torch.uint8)
    stream.readinto(data.numpy().data)  # type: ignore[attr-defined]  # all of it: `open_gguf` has measured the file
    return data


def _huggingface_name(name: str) -> str:
    if name in _TOP:
        return _TOP[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in _IN_LAYER:
        return f"model.layers.{parts[1]}.{_IN_LAYER[parts[2]]}.{parts[3]}"
    return name  # the loader reports it as a tensor that this architecture does not have


def name_in_gguf(huggingface_name: str) -> str:
    """The file's name of a weight inside a layer: "model.layers.3.mlp.up_proj.weight" → "blk.3.ffn_up.weight"."""
    _, _, layer, *middle, kind = huggingface_name.split(".")
    named = {theirs: ours for ours, theirs in _IN_LAYER.items()}
    return f"blk.{layer}.{named['.'.join(middle)]}.{kind}"


def in_pairs(rows: Tensor, head_width: int) -> Tensor:
    """[heads · E, D] with the halves of each head one after the other → as llama.cpp keeps q and k: `_halves` undone."""
    return rows.unflatten(0, (-1, 2, head_width // 2)).transpose(1, 2).flatten(0, 2)


def _halves(rows: Tensor) -> Tensor:
    """[heads, E, D]: llama.cpp keeps the pair (i, i + E/2) of a head next to each other; this puts the halves back."""
    return rows.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)


def _rope(file: GgufFile, head_width: int) -> RopeConfig:
    kind = file.metadata.get("llama.rope.scaling.type", "linear")  # llama.cpp's own default, with a factor of 1
    if kind not in ("none", "linear"):
        raise CheckpointError(say("models.unknown_rope", path=file.path, seen=kind, known="none, linear, llama3"))
    old_factor = _real(file, "rope.scale_linear", 1.0)  # the key before 2023-12
    factor = _real(file, "rope.scaling.factor", old_factor) if kind == "linear" else 1.0
    divisors: tuple[float, ...] = ()
    if _ROPE_FREQUENCIES in file.tensors:
        divisors = _divisors(file, head_width, factor)
    theta = _real(file, "rope.freq_base", 10_000.0)
    return RopeConfig(theta, kind="llama3" if divisors else kind, factor=factor, divisors=divisors)


def _divisors(file: GgufFile, head_width: int, factor: float) -> tuple[float, ...]:
    info = file.tensors[_ROPE_FREQUENCIES]
    divisors = torch.empty(head_width // 2)
    if info.shape != divisors.shape:
        seen, expected = list(info.shape), list(divisors.shape)
        raise CheckpointError(
            say("models.wrong_shape", origin=file.path, name=_ROPE_FREQUENCIES, seen=seen, expected=expected)
        )
    InFile(file.path, info, None)(divisors)
    return tuple((divisors * factor).tolist())


def _number(file: GgufFile, key: str, default: int | None = None) -> int:
    value: Any = file.metadata.get(f"llama.{key}", default)
    if not isinstance(value, int) or value < 1:
        raise CheckpointError(say("models.config_field_missing", path=file.path, field=f"llama.{key}"))
    return value


def _real(file: GgufFile, key: str, default: float | None = None) -> float:
    value: Any = file.metadata.get(f"llama.{key}", default)
    if not isinstance(value, int | float):
        raise CheckpointError(say("models.config_field_missing", path=file.path, field=f"llama.{key}"))
    return float(value)


def _refuse_unless(file: GgufFile, key: str, expected: int) -> None:
    seen = file.metadata.get(f"llama.{key}", expected)
    if seen != expected:
        raise CheckpointError(
            say("models.unsupported_field", path=file.path, field=f"llama.{key}", seen=seen, expected=expected)
        )


def open_model(path: Path) -> tuple[GgufFile, DecoderConfig]:
    """The file and the decoder it describes."""
    file = open_gguf(path)
    return file, read_config(file)
