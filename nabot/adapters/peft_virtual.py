"""Virtual tokens in PEFT's layout: one tensor, `prompt_embeddings`, [P, D] or for a prefix [P, layers · 2 · K · E].

The rows of a prefix are, for each layer, its key and its value; keys go in behind the rotation, as they are. The
network that wrote the rows is not saved, here as there.   Source: huggingface/peft 0.20, `PromptLearningConfig`.

PEFT has no tokens around questions: their type is nabot's own, so that it refuses them instead of putting them in front.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from nabot.adapters.filling import check_finite
from nabot.adapters.virtual import Places, VirtualConfig, VirtualMethod, restore_virtual, table_width, virtual_tokens
from nabot.errors import CheckpointError
from nabot.models.decoder import Decoder
from nabot.text import say

_METHODS: dict[str, VirtualMethod] = {"PROMPT_TUNING": "prompt", "P_TUNING": "ptuning", "PREFIX_TUNING": "prefix"}
_AROUND = "NABOT_"  # before PEFT's type, where the tokens stand around questions
TYPES = (*_METHODS, f"{_AROUND}PROMPT_TUNING", f"{_AROUND}P_TUNING")
_NAME = "prompt_embeddings"


def is_attached(decoder: Decoder) -> bool:
    return virtual_tokens(decoder) is not None


def tensors_of(decoder: Decoder) -> dict[str, Tensor]:
    """The one tensor, if there are virtual tokens."""
    found = virtual_tokens(decoder)
    return {} if found is None else {_NAME: found.table().detach()}


def has_learned(decoder: Decoder) -> bool:
    found = virtual_tokens(decoder)
    return found is not None and found.has_learned()


def config_json(decoder: Decoder) -> dict[str, Any]:
    found, c = virtual_tokens(decoder), decoder.config
    assert found is not None
    # In a prefix PEFT says "token" of what the key and value heads of one token hold.
    heads, width = (
        (c.num_kv_heads, c.num_kv_heads * c.head_width) if found.method == "prefix" else (c.num_heads, c.width)
    )
    kind = next(name for name, method in _METHODS.items() if method == found.method)
    placed = {"peft_type": f"{_AROUND}{kind}", "places": "question"} if found is decoder.reader else {}
    common = {
        "peft_type": kind,
        "num_virtual_tokens": len(found),
        "num_layers": c.num_layers,
        "num_attention_heads": heads,
        "num_transformer_submodules": 1,
        "token_dim": width,
    }
    own: dict[VirtualMethod, dict[str, Any]] = {
        "prompt": {"prompt_tuning_init": "RANDOM", "prompt_tuning_init_text": None, "tokenizer_name_or_path": None},
        "ptuning": {
            "encoder_reparameterization_type": "MLP",
            "encoder_hidden_size": c.width,
            "encoder_num_layers": 2,
            "encoder_dropout": 0.0,
        },
        "prefix": {"encoder_hidden_size": width, "prefix_projection": False},  # of the rows, which are what is saved
    }
    return common | own[found.method] | placed


def load(decoder: Decoder, raw: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> VirtualConfig:
    """Attaches them. Raises CheckpointError naming the tensor; then nothing is attached."""
    kind: str = raw["peft_type"]
    method = _METHODS[kind.removeprefix(_AROUND)]
    places: Places = "question" if kind.startswith(_AROUND) else "front"
    if places != raw.get("places", "front"):
        reason = f"{kind}, places {raw.get('places')!r:.40}"
        raise CheckpointError(say("adapters.bad_config", path=folder, reason=reason))
    for name in sorted(tensors.keys() ^ {_NAME}):
        text_id = "adapters.missing_tensor" if name == _NAME else "adapters.extra_tensor"
        raise CheckpointError(say(text_id, origin=folder, name=name))
    table, expected = tensors[_NAME], [raw.get("num_virtual_tokens", 0), table_width(decoder, method)]
    if list(table.shape) != expected:
        seen = list(table.shape)
        raise CheckpointError(say("adapters.wrong_shape", origin=folder, name=_NAME, seen=seen, expected=expected))
    if len(table) >= decoder.config.max_positions:
        longest = decoder.config.max_positions
        raise CheckpointError(say("adapters.too_long", origin=folder, count=len(table), longest=longest))
    check_finite(tensors, folder)
    restore_virtual(decoder, method, table, places)
    return VirtualConfig(method=method, virtual_tokens=len(table), encoder="none", places=places)
