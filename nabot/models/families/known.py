"""Which architectures there are. In: the name that a file gives, out: its family."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path

from nabot.errors import CheckpointError
from nabot.models.config import DecoderConfig
from nabot.models.families.config_json import ConfigJson
from nabot.models.families.exaone4 import EXAONE4
from nabot.models.families.family import Family, GgufForm
from nabot.models.families.gemma import GEMMA2, GEMMA3, GEMMA3_WITH_PICTURES
from nabot.models.families.llama import LLAMA
from nabot.models.families.mistral import MISTRAL
from nabot.models.families.mpt import MPT
from nabot.models.families.neox import NEOX
from nabot.models.families.olmo2 import OLMO2
from nabot.models.families.phi3 import PHI3
from nabot.models.families.qwen import QWEN2, QWEN3
from nabot.text import say

# Of those that share a GGUF architecture, the first reads it.
FAMILIES: tuple[Family, ...] = (
    LLAMA,
    MISTRAL,
    QWEN2,
    QWEN3,
    PHI3,
    OLMO2,
    EXAONE4,
    GEMMA2,
    GEMMA3,
    GEMMA3_WITH_PICTURES,
    NEOX,
    MPT,
)
_BY_TYPE = {family.model_type: family for family in FAMILIES}


def family_of(config: DecoderConfig) -> Family:
    """The family that a decoder is of."""
    return _BY_TYPE[config.family]


def family_of_json(json: ConfigJson) -> Family:
    """The family that config.json names. Raises CheckpointError listing what is known, nearest first."""
    model_type, classes = json.get("model_type"), json.get("architectures") or [None]
    for family in FAMILIES:
        if family.model_type == model_type or (model_type is None and family.architecture == classes[0]):
            return family
    raise _unknown(json.path, model_type or classes[0], _BY_TYPE)


def form_of_gguf(architecture: object, path: Path) -> GgufForm:
    """How GGUF files of this architecture are to be read. Raises CheckpointError listing what is known, nearest first."""
    forms = [family.gguf for family in FAMILIES if family.gguf is not None]
    for form in forms:
        if form.architecture == architecture:
            return form
    raise _unknown(path, architecture, dict.fromkeys(form.architecture for form in forms))


def _unknown(path: Path, seen: object, known: Iterable[str]) -> CheckpointError:
    nearest_first = sorted(known, key=lambda name: -SequenceMatcher(None, str(seen).lower(), name).ratio())
    return CheckpointError(say("models.unknown_architecture", path=path, seen=seen, known=", ".join(nearest_first)))
