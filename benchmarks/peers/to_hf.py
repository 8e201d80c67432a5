"""GGUF file → Hugging Face folder, so that peers that read only that layout start from the same weights.

In: a .gguf file, out: a folder with float32 safetensors and the tokenizer.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("gguf", type=Path)
    p.add_argument("out", type=Path)
    a = p.parse_args()
    source = {"pretrained_model_name_or_path": a.gguf.resolve().parent, "gguf_file": a.gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    model.hf_quantizer, model.is_quantized = None, False  # dequantised on load; without this it refuses to save
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(a.out)
    AutoTokenizer.from_pretrained(**source).save_pretrained(a.out)
    print(a.out)


if __name__ == "__main__":
    main()
