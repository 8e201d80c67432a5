"""Adapters on disk, in the layout of Hugging Face PEFT. In and out: adapter_config.json + adapter_model.safetensors.

PEFT itself loads a wrong tensor name silently as nothing; here a missing, extra or misshapen tensor is an error that
names it.   Source: huggingface/peft 0.20, `save_pretrained`.
"""

import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nabot.adapters import peft_lora, peft_virtual, whole
from nabot.adapters.filling import fill
from nabot.adapters.lora import lora_groups
from nabot.adapters.methods import AdapterConfig, detach, refuse_second
from nabot.artifacts import new_folder, write_json
from nabot.errors import CheckpointError, ConfigError
from nabot.models.decoder import Decoder
from nabot.models.linear import linear_groups
from nabot.text import say

CONFIG, WEIGHTS, _PICKLE = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
OWN_TYPE = "NABOT_"  # how the types of layouts begin that PEFT does not have
_LAYOUTS = (peft_lora, peft_virtual, whole)  # what each kind of adapter looks like on disk


def save_adapter(decoder: Decoder, folder: Path, base_name: str = "") -> None:
    """Writes the attached adapter as a whole folder. Raises CheckpointError if there is nothing to write."""
    tensors = adapter_tensors(decoder)
    if not tensors:
        raise CheckpointError(say("adapters.nothing_attached", folder=folder))
    write_adapter(folder, tensors, _layout(decoder).config_json(decoder), base_name)


def write_adapter(folder: Path, tensors: dict[str, Tensor], raw: dict[str, Any], base_name: str) -> None:
    """The two files; `raw` is what adapter_config.json says besides the common fields."""
    common = {
        "auto_mapping": None,
        "base_model_name_or_path": base_name,
        "inference_mode": True,
        "revision": None,
        "task_type": "CAUSAL_LM",
    }
    with new_folder(folder) as aside:
        save_file(tensors, aside / WEIGHTS, metadata={"format": "pt"})
        write_json(aside / CONFIG, common | raw)


def load_adapter(decoder: Decoder, folder: Path) -> AdapterConfig:
    """Attaches the adapter in `folder`. Raises CheckpointError naming file and tensor; then nothing is attached.

    Raises ConfigError if an adapter is attached already.
    """
    refuse_second(decoder)
    raw, tensors = read_adapter(folder)
    layout = next((layout for layout in _LAYOUTS if raw.get("peft_type") in layout.TYPES), None)
    if layout is None:
        known = ", ".join(name for layout in _LAYOUTS for name in layout.TYPES)
        raise CheckpointError(
            say("adapters.unknown_method", path=folder / CONFIG, seen=raw.get("peft_type"), known=known)
        )
    try:
        return layout.load(decoder, raw, tensors, folder)
    except (TypeError, ValueError, AttributeError, re.error) as error:  # a value of another type than PEFT writes
        detach(decoder)
        raise CheckpointError(say("adapters.bad_config", path=folder / CONFIG, reason=error)) from error


def read_adapter(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """adapter_config.json and the tensors. Raises CheckpointError if they cannot be read."""
    raw = _read_config(folder)
    if (folder / _PICKLE).exists() and not (folder / WEIGHTS).exists():
        raise CheckpointError(say("adapters.pickle", path=folder / _PICKLE))
    return raw, read_tensors(folder / WEIGHTS)


def adapter_tensors(decoder: Decoder) -> dict[str, Tensor]:
    """The attached adapter's tensors by PEFT's names: contiguous copies on the CPU."""
    return {
        name: tensor.detach().cpu().clone().contiguous()
        for layout in _LAYOUTS
        for name, tensor in layout.tensors_of(decoder).items()
    }


def set_adapter_tensors(decoder: Decoder, tensors: dict[str, Tensor], origin: Path) -> None:
    """Fills the attached LoRA or weights. Raises CheckpointError for a tensor that is missing, extra or misshapen."""
    fill(_layout(decoder).tensors_of(decoder), tensors, origin)
    for lora in lora_groups(decoder):
        lora.note_change()
    for _, _, group in linear_groups(decoder):
        group.note_change()


def has_learned(decoder: Decoder) -> bool:
    """Whether what is attached changes anything: what a saved adapter must be able to say of itself."""
    return _layout(decoder).has_learned(decoder)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one safetensors file. Raises CheckpointError if it is damaged, cut off or not there."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(say("models.bad_safetensors", path=path, reason=error)) from error


def _layout(decoder: Decoder) -> Any:
    found = next((layout for layout in _LAYOUTS if layout.is_attached(decoder)), None)
    if found is None:
        raise ConfigError(say("adapters.none_attached"))
    return found


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(say("adapters.bad_config", path=path, reason=error)) from error
    if not isinstance(raw, dict):
        raise CheckpointError(say("adapters.bad_config", path=path, reason=f"{raw!r:.40}"))
    return raw
