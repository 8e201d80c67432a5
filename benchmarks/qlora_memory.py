"""How much memory LoRA on a large base takes, with its linears dense and packed. In: a shape, out: one JSON line.

Writes a .gguf of random blocks in the shape of LLaMA-3.2-1B or LLaMA-7B, then loads it and runs whole steps (forward,
backward, AdamW) on one row of random tokens, of which every second is learned, once for each form of the linears, each
in a process of its own. The peak is that process's as the operating system counts it, loading included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
from machine import describe
from memory_runs import SHAPES, Shape, child, run_steps

RANK = 16


def main() -> None:
    a = arguments()
    if a.write:
        write(a.write, SHAPES[a.shape], GGMLQuantizationType[a.kind])
    elif a.run:
        print(json.dumps(run(a)))
    else:
        print(json.dumps(measured(a)))


def measured(a: argparse.Namespace) -> dict[str, Any]:
    """Every form in turn. The file, too, is written in another process: a child's peak begins at its parent's size."""
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        path = Path(folder) / "random.gguf"
        subprocess.run([sys.executable, __file__, "--shape", a.shape, "--kind", a.kind, "--write", path], check=True)
        forms = [measured_form(path, form, a) for form in a.forms]
        size = round(path.stat().st_size / 1e9, 2)
    settings = {"shape": a.shape, "kind": a.kind, "length": a.length, "rank": RANK, "checkpoint": a.checkpoint}
    return {**settings, "file_gb": size, "forms": forms, "machine": describe()}


def measured_form(path: Path, form: str, a: argparse.Namespace) -> dict[str, Any]:
    bits, dtype = form.split(":")
    command = [__file__, "--run", str(path), "--bits", bits, "--dtype", dtype]
    command += ["--length", str(a.length), "--steps", str(a.steps), *(["--checkpoint"] if a.checkpoint else [])]
    return {"bits": bits, "dtype": dtype, **child(command)}


def run(a: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own: loads, learns, and says how long a step took."""
    import torch

    from nabot.adapters import LoraConfig, attach
    from nabot.memory import peak_memory_bytes
    from nabot.models.loading import load_decoder
    from nabot.train.step import trainable

    torch.manual_seed(0)
    begun = time.perf_counter()
    decoder = load_decoder(a.run, dtype=getattr(torch, a.dtype), base_bits=a.bits)
    loading, loaded = time.perf_counter() - begun, peak_memory_bytes()
    attach(decoder, LoraConfig(rank=RANK))
    decoder.checkpoint = "blocks" if a.checkpoint else "none"
    optimizer = torch.optim.AdamW(trainable(decoder).values(), lr=1e-4, fused=True)
    learned = run_steps(decoder, optimizer, length=a.length, steps=a.steps)
    weights = (*decoder.buffers(), *(p for p in decoder.parameters() if not p.requires_grad))
    return {
        "weights_gb": round(sum(t.numel() * t.element_size() for t in weights) / 1e9, 2),
        "loading_seconds": round(loading, 1),
        "loaded_peak_gb": round(loaded / 1e9, 2),
        **learned,
    }


def write(path: Path, shape: Shape, kind: GGMLQuantizationType) -> None:
    """Random blocks; their scales are small and finite."""
    writer = GGUFWriter(path, "llama", use_temp_file=False)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.mlp)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_context_length(2048)
    writer.add_layer_norm_rms_eps(1e-5)
    size, num_bytes = GGML_QUANT_SIZES[kind]
    sizes = dict(tensors(shape))
    for name, (rows, columns) in sizes.items():
        if rows == 1:
            writer.add_tensor_info(name, (columns,), np.dtype(np.float32), 4 * columns)
        else:
            stored = (rows, columns // size * num_bytes)
            writer.add_tensor_info(name, stored, np.dtype(np.uint8), stored[0] * stored[1], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(0)
    for rows, columns in sizes.values():
        writer.write_tensor_data(np.ones(columns, np.float32) if rows == 1 else blocks(rng, rows * columns, kind))
    writer.close()


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, int]]]:
    """Rows and columns of every tensor; norms have one row."""
    width, kv_width = shape.width, shape.width // shape.heads * shape.kv_heads
    yield "token_embd.weight", (shape.vocab, width)
    yield "output_norm.weight", (1, width)
    if not shape.tied:
        yield "output.weight", (shape.vocab, width)
    for n in range(shape.layers):
        yield f"blk.{n}.attn_norm.weight", (1, width)
        yield f"blk.{n}.ffn_norm.weight", (1, width)
        for name, rows in {"q": width, "k": kv_width, "v": kv_width, "output": width}.items():
            yield f"blk.{n}.attn_{name}.weight", (rows, width)
        for name in ("gate", "up"):
            yield f"blk.{n}.ffn_{name}.weight", (shape.mlp, width)
        yield f"blk.{n}.ffn_down.weight", (width, shape.mlp)


def blocks(rng: np.random.Generator, weights: int, kind: GGMLQuantizationType) -> np.ndarray:
    size, num_bytes = GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (weights // size, num_bytes), dtype=np.uint8)
    scales = 4 if kind == GGMLQuantizationType.Q4_K else 2  # bytes: its scale of scales, and of minima; Q4_0's scale
    data[:, :scales] = np.full(scales // 2, 1e-4 if scales == 4 else 3e-3, np.float16).view(np.uint8)
    return data


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shape", choices=SHAPES, default="1b")
    p.add_argument("--kind", choices=["Q4_0", "Q4_K"], default="Q4_0", help="of the blocks in the file")
    default = ["dense:bfloat16", "int8:bfloat16", "nf4:bfloat16", "file:bfloat16", "file:float32"]
    p.add_argument("--forms", nargs="+", default=default, metavar="BITS:DTYPE")
    p.add_argument("--length", type=int, default=512, help="tokens of a step")
    p.add_argument("--steps", type=int, default=2)
    p.add_argument("--checkpoint", action="store_true", help="recompute each block in the backward pass")
    p.add_argument("--folder", help="where the file is written; default: the temporary folder")
    p.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    p.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    p.add_argument("--bits", help=argparse.SUPPRESS)
    p.add_argument("--dtype", help=argparse.SUPPRESS)
    return p.parse_args()


if __name__ == "__main__":
    main()
