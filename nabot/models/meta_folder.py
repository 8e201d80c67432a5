"""Meta's own folder → Hugging Face's layout. In: params.json and consolidated.*.pth, out: config.json and *.safetensors.

Meta cut its models for several cards: linears by their outputs, those that close a block by their inputs, and the embedding
by its width (LLaMA 1 and 2) or by its words (Llama 3). Its rotary embedding turns neighbouring numbers of a head as a pair,
Hugging Face's turns number i with number i + E/2, so the rows of q and k move.

The files are pickles. They are read with `weights_only=True`, which builds tensors and refuses everything else.
Source: meta-llama/llama, llama/model.py; transformers, models/llama/convert_llama_weights_to_hf.py.
"""

import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from nabot.artifacts import read_json, write_json
from nabot.errors import CheckpointError
from nabot.sources.local import META_WEIGHTS
from nabot.text import say

_KNOWN = (
    "dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "multiple_of", "ffn_dim_multiplier", "norm_eps", "rope_theta",
    "use_scaled_rope", "rope_scaling_factor", "max_seq_len", "max_batch_size",
)  # fmt: skip
_LAYER = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_ENDS = {"tok_embeddings": "model.embed_tokens", "norm": "model.norm", "output": "lm_head"}
_DTYPES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}


@dataclass(frozen=True)
class MetaShape:
    """What params.json says, with its defaults filled in."""

    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    norm_eps: float
    rope_theta: float
    rope_factor: float | None  # of Llama 3.1 and later, which stretch their frequencies

    @property
    def head_width(self) -> int:
        return self.width // self.num_heads


def shard_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(META_WEIGHTS))


def convert_meta(folder: Path, out: Path, report: Callable[[int, int], None]) -> None:
    """Writes config.json and one safetensors file for each layer into `out`; `report` hears (files done, files in all).

    The pickles are mapped, and one layer at a time is in memory. Raises CheckpointError for a field, a tensor or a shape
    that is not LLaMA's, or a pickle that holds more than tensors.
    """
    shape = read_params(folder / "params.json")
    shards = [_load(path) for path in shard_files(folder)]
    names = _checked_names(folder, shards, shape)
    groups = [[n for n in names if n.startswith(f"layers.{layer}.")] for layer in range(shape.num_layers)]
    groups.append([name for name in names if not name.startswith("layers.")])
    files: dict[str, str] = {}
    num_bytes = 0
    for number, group in enumerate(groups, start=1):
        tensors = dict(_converted(folder, name, [shard[name] for shard in shards], shape) for name in group)
        file = f"model-{number:05}-of-{len(groups):05}.safetensors"
        save_file(tensors, out / file, metadata={"format": "pt"})
        files |= dict.fromkeys(tensors, file)
        num_bytes += sum(tensor.nbytes for tensor in tensors.values())
        report(number, len(groups))
    write_json(out / "model.safetensors.index.json", {"metadata": {"total_size": num_bytes}, "weight_map": files})
    inner = sum(len(shard["layers.0.feed_forward.w1.weight"]) for shard in shards)
    write_json(
        out / "config.json", _config(shape, tensors["model.embed_tokens.weight"], inner, "lm_head.weight" in tensors)
    )


def read_params(path: Path) -> MetaShape:
    """Raises CheckpointError for a file that is damaged, lacks a field, or has one that nabot would not honour."""
    try:
        raw = dict(read_json(path))
        if unknown := sorted(set(raw) - set(_KNOWN)):
            raise CheckpointError(say("meta.unknown_field", path=path, fields=", ".join(unknown)))
        heads = int(raw["n_heads"])
        return MetaShape(
            width=int(raw["dim"]),
            num_layers=int(raw["n_layers"]),
            num_heads=heads,
            num_kv_heads=int(raw.get("n_kv_heads") or heads),
            norm_eps=float(raw.get("norm_eps", 1e-5)),
            rope_theta=float(raw.get("rope_theta", 10_000.0)),
            rope_factor=_rope_factor(raw),
        )
    except KeyError as error:
        raise CheckpointError(say("models.config_field_missing", path=path, field=error.args[0])) from error
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(say("models.bad_config", path=path, reason=error)) from error


def _rope_factor(raw: Mapping[str, Any]) -> float | None:
    """Older files of Llama 3.1 (8B and larger) and 3.2 (1B, 3B) leave the number out: 8 and 32."""
    if not raw.get("use_scaled_rope"):
        return None
    return float(raw.get("rope_scaling_factor") or (8.0 if raw["dim"] >= 4096 else 32.0))


def _load(path: Path) -> dict[str, Tensor]:
    """Tensors by name, mapped where the file allows it. Raises CheckpointError if it holds anything else."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise CheckpointError(say("meta.bad_pickle", path=path, reason=reason)) from error
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) and t.dtype in _DTYPES for t in found.values()):
        raise CheckpointError(say("meta.bad_pickle", path=path, reason=say("meta.not_tensors")))
    return {name: tensor for name, tensor in found.items() if not name.endswith("rope.freqs")}  # computed, not learned


def _checked_names(folder: Path, shards: Sequence[Mapping[str, Tensor]], shape: MetaShape) -> list[str]:
    """The names that every shard has. Raises CheckpointError if one is missing or is not LLaMA's."""
    expected = [f"layers.{layer}.{name}.weight" for layer in range(shape.num_layers) for name in _LAYER]
    expected += [f"{name}.weight" for name in _ENDS]
    if "output.weight" not in shards[0]:  # the head is the embedding
        expected.remove("output.weight")
    for path, shard in zip(shard_files(folder), shards, strict=True):
        if differing := set(expected) ^ set(shard):
            name = min(differing)
            seen = say("meta.is_there" if name in shard else "meta.is_missing")
            raise CheckpointError(say("meta.other_names", path=path, name=name, seen=seen, layers=shape.num_layers))
    return expected


def _converted(folder: Path, name: str, pieces: Sequence[Tensor], shape: MetaShape) -> tuple[str, Tensor]:
    """(Hugging Face's name, the tensor joined from its pieces, its rows where they are expected)."""
    stem = name.removesuffix(".weight")
    layer, _, kind = stem.removeprefix("layers.").partition(".") if name.startswith("layers.") else ("", "", stem)
    width, queries, keys = shape.width, shape.num_heads * shape.head_width, shape.num_kv_heads * shape.head_width
    expected: dict[str, tuple[int | None, ...]] = {
        "attention.wq": (queries, width),
        "attention.wk": (keys, width),
        "attention.wv": (keys, width),
        "attention.wo": (width, queries),
        "feed_forward.w2": (width, None),
    } | dict.fromkeys(("attention_norm", "ffn_norm", "norm"), (width,))
    joined = _joined(kind, pieces, width)
    wanted = expected.get(kind, (None, width))
    if len(wanted) != joined.dim() or any(n not in (None, seen) for n, seen in zip(wanted, joined.shape, strict=True)):
        shown = " × ".join("?" if n is None else str(n) for n in wanted)
        raise CheckpointError(
            say("meta.wrong_shape", path=folder, name=name, seen=list(joined.shape), expected=shown, files=len(pieces))
        )
    if kind in ("attention.wq", "attention.wk"):
        joined = half_split(joined, shape.head_width)
    path = f"model.layers.{layer}.{_LAYER[kind]}" if layer else _ENDS[kind]
    return f"{path}.weight", joined.contiguous()


def _joined(kind: str, pieces: Sequence[Tensor], width: int) -> Tensor:
    if kind.endswith("norm"):
        return pieces[0].clone()  # every card had the whole of it
    by_inputs = kind in ("attention.wo", "feed_forward.w2")
    by_width = kind == "tok_embeddings" and pieces[0].shape[1] != width
    return torch.cat(list(pieces), 1 if by_inputs or by_width else 0)


def half_split(rows: Tensor, head_width: int) -> Tensor:
    """In each head: rows 0, 2, 4, … and then 1, 3, 5, …, so that pair (2i, 2i + 1) becomes pair (i, i + E/2)."""
    return rows.unflatten(0, (-1, head_width // 2, 2)).transpose(1, 2).flatten(0, 2)


def _config(shape: MetaShape, embedding: Tensor, inner: int, has_head: bool) -> dict[str, Any]:
    """config.json. How long a text may be stands in no file of Meta's; it follows from how the positions are turned."""
    stretched = {
        "rope_type": "llama3",
        "factor": shape.rope_factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    by_theta = {10_000.0: 2048, 500_000.0: 8192, 1_000_000.0: 16_384}  # LLaMA 1 (2 was trained on 4,096), 3, Code Llama
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": len(embedding),
        "hidden_size": shape.width,
        "intermediate_size": inner,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": shape.head_width,
        "max_position_embeddings": 131_072 if shape.rope_factor else by_theta.get(shape.rope_theta, 2048),
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "rope_scaling": stretched if shape.rope_factor else None,
        "tie_word_embeddings": not has_head,
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": _DTYPES[embedding.dtype],
    }
