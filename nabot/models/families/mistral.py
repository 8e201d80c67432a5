"""Mistral (Jiang et al. 2023, arXiv 2310.06825): LLaMA with a window. In: its files' fields.

Its GGUF files call themselves `llama` and do not tell the window, which llama.cpp leaves out, too.
"""

from dataclasses import replace

from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.family import Family
from nabot.models.families.llama import LLAMA_GGUF


def _from_json(json: ConfigJson) -> DecoderConfig:
    json.refuse_unless("hidden_act", "silu")
    common = json.common("mistral")
    window = json.raw.get("sliding_window", 4096)  # null: none; only where it is missing, transformers has this one
    return replace(common, local=json.local(window, lambda layer: True, common.rope))


MISTRAL = Family("mistral", "MistralForCausalLM", _from_json, LLAMA_GGUF)
