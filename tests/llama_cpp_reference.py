"""llama.cpp as a reference, for ids and for answers, and tiny GGUF models around a vocabulary for it to load."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH = 32
START_SECONDS, ANSWER_SECONDS, TRIES = 60, 180, 3


class LlamaCpp:
    """A llama.cpp server over one GGUF file, perhaps with a LoRA over it, in a process of its own.

    Several servers in one process, one after another, now and then wait for each other for ever; one that has not
    started in time is given up and started again.
    """

    def __init__(self, path: Path, *adapters: Path) -> None:
        for _ in range(TRIES):
            self._child = subprocess.Popen(
                [sys.executable, __file__, str(path), *map(str, adapters)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._lines: queue.Queue[str] = queue.Queue()
            threading.Thread(target=self._read, args=(self._child, self._lines), daemon=True).start()
            with contextlib.suppress(queue.Empty):
                if self._lines.get(timeout=START_SECONDS).strip() == "ready":
                    return
            self.close()
        raise AssertionError(f"llama.cpp did not start on {path} in {TRIES} tries")

    def encode(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        body = {"content": text, "add_special": add_special, "parse_special": parse_special}
        ids: list[int] = self._ask("/tokenize", body)["tokens"]
        return ids

    def complete(self, ids: Sequence[int], count: int) -> list[int]:
        """The `count` most likely next tokens, one after the other."""
        body = {"prompt": list(ids), "n_predict": count, "temperature": 0, "ignore_eos": True, "return_tokens": True}
        tokens: list[int] = self._ask("/completion", body)["tokens"]
        return tokens

    def _ask(self, place: str, body: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps([place, body]) + "\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._lines.get(timeout=ANSWER_SECONDS))
        return answer

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __del__(self) -> None:
        self.close()

    @staticmethod
    def _read(child: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
        assert child.stdout is not None
        with contextlib.suppress(ValueError):  # closed meanwhile
            for line in child.stdout:
                lines.put(line)


def serve(path: str, *adapters: str) -> None:
    """The child: a line of JSON in, a line of JSON out."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 512, 1, False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # its threads wait for each other by spinning
    loras = []
    for adapter in adapters:
        lora = xllamacpp.CommonAdapterLoraInfo()
        lora.path, lora.scale = adapter, 1.0
        loras.append(lora)
    params.lora_adapters = loras
    server = xllamacpp.Server(params)
    print("ready", flush=True)
    for line in sys.stdin:
        headers = {"Content-Type": "application/json"}
        place, body = json.loads(line)
        data = json.dumps(body).encode()
        request = urllib.request.Request(server.listening_address + place, data=data, headers=headers)
        with urllib.request.urlopen(request) as reply:
            print(json.dumps(json.load(reply)), flush=True)


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


if __name__ == "__main__":
    serve(*sys.argv[1:])
