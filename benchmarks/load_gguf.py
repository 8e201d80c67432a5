"""How long a model file takes to become a decoder. In: a shape, out: one JSON line.

Writes a .gguf of random Q4_K blocks in the shape of LLaMA-7B (4 GB; `--layers` makes it smaller), then loads it in a
process of its own, so that the peak is that process's as the operating system counts it. Needs 14 GB for 7B in bfloat16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
from machine import describe

WIDTH, MLP, HEADS, VOCAB = 4096, 11008, 32, 32000  # Touvron et al. 2023, table 2
Q4_K = GGMLQuantizationType.Q4_K


def main() -> None:
    a = arguments()
    if a.load:
        load(a.load, a.dtype)
        return
    with tempfile.TemporaryDirectory(dir=a.folder) as folder:
        path = Path(folder) / "random-q4_k.gguf"
        write(path, a.layers)
        rounds = []
        for _ in range(a.rounds):
            command = [sys.executable, __file__, "--load", str(path), "--dtype", a.dtype]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
            assert process.stdout is not None
            result = json.loads(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(os.waitstatus_to_exitcode(status))
            kilo = 1 if sys.platform == "darwin" else 1024
            rounds.append({**result, "process_peak_gb": round(usage.ru_maxrss * kilo / 1e9, 2)})
        size = round(path.stat().st_size / 1e9, 2)
    print(json.dumps({"file_gb": size, "layers": a.layers, "dtype": a.dtype, "rounds": rounds, "machine": describe()}))


def load(path: Path, dtype: str) -> None:
    """In a process of its own: loads, and says how long it took and how much memory the weights are."""
    import torch

    from nabot.models.loading import load_decoder

    begun = time.perf_counter()
    decoder = load_decoder(path, dtype=getattr(torch, dtype))
    seconds = time.perf_counter() - begun
    weights = sum(p.numel() * p.element_size() for p in decoder.parameters())
    print(json.dumps({"seconds": round(seconds, 1), "weights_gb": round(weights / 1e9, 2)}))


def write(path: Path, layers: int) -> None:
    """Random blocks; their scales are small and finite."""
    writer = GGUFWriter(path, "llama", use_temp_file=False)
    writer.add_block_count(layers)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_context_length(2048)
    writer.add_layer_norm_rms_eps(1e-6)
    shapes = dict(tensors(layers))
    for name, shape in shapes.items():
        if len(shape) == 1:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0])
        else:
            stored = (shape[0], bytes_of(shape) // shape[0])
            writer.add_tensor_info(name, stored, np.dtype(np.uint8), bytes_of(shape), raw_dtype=Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    rng = np.random.default_rng(0)
    for shape in shapes.values():
        writer.write_tensor_data(np.ones(shape, np.float32) if len(shape) == 1 else blocks(rng, shape))
    writer.close()


def tensors(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (VOCAB, WIDTH)
    yield "output_norm.weight", (WIDTH,)
    yield "output.weight", (VOCAB, WIDTH)
    for n in range(layers):
        yield f"blk.{n}.attn_norm.weight", (WIDTH,)
        yield f"blk.{n}.ffn_norm.weight", (WIDTH,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{n}.{name}.weight", (WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{n}.{name}.weight", (MLP, WIDTH)
        yield f"blk.{n}.ffn_down.weight", (WIDTH, MLP)


def bytes_of(shape: tuple[int, ...]) -> int:
    elements, size = GGML_QUANT_SIZES[Q4_K]
    return shape[0] * shape[1] // elements * size


def blocks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    size = GGML_QUANT_SIZES[Q4_K][1]
    data = rng.integers(0, 256, (bytes_of(shape) // size, size), dtype=np.uint8)
    data[:, :4] = np.full(2, 1e-4, np.float16).view(np.uint8)  # d and dmin
    return data.reshape(shape[0], -1)


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--layers", type=int, default=32)
    p.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--folder", help="where the file is written; default: the temporary folder")
    p.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    return p.parse_args()


if __name__ == "__main__":
    main()
