"""llama.cpp's tokenizer as a reference, and tiny GGUF models around a vocabulary for it to load."""

import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import xllamacpp

WIDTH = 32


class LlamaCpp:
    """A llama.cpp server over one GGUF file, asked for ids only; it ends with this object."""

    def __init__(self, path: Path) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 64, 1, False, 0
        self._server = xllamacpp.Server(params)

    def encode(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        body = json.dumps({"content": text, "add_special": add_special, "parse_special": parse_special}).encode()
        url = self._server.listening_address + "/tokenize"
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            ids: list[int] = json.load(reply)["tokens"]
        return ids


def write_model(path: Path, kind: str, tokens: Sequence[str], kinds: Sequence[int], **keys: Any) -> Path:
    """A one-layer LLaMA of zeros with this vocabulary; `keys` are those of `tokenizer.ggml.*`."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(kind)
    writer.add_token_list(list(tokens))
    writer.add_token_types(list(kinds))
    for key, value in keys.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}[
            type(value)
        ]
        add(f"tokenizer.ggml.{key}", value)
    for name, shape in _shapes(len(tokens)).items():
        writer.add_tensor(f"{name}.weight", np.zeros(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(num_tokens: int) -> dict[str, tuple[int, ...]]:
    squares = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    return {
        "token_embd": (num_tokens, WIDTH),
        "output_norm": (WIDTH,),
        "blk.0.attn_norm": (WIDTH,),
        "blk.0.ffn_norm": (WIDTH,),
        **{f"blk.0.{name}": (WIDTH, WIDTH) for name in squares},
    }
