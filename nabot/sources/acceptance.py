"""Licences that a person accepts before the weights come. In: a licence and its terms, out: nothing, or LicenceNotAccepted.

What was agreed to is remembered with the hash of the text, so terms that have changed are asked about again.
"""

import contextlib
import datetime
import os
from pathlib import Path
from typing import Any

from nabot.artifacts import file_sha256, read_json, write_json
from nabot.errors import ConfigError, LicenceNotAccepted
from nabot.sources.registry import registry
from nabot.sources.terms import keep_terms, licence_folder, terms_path
from nabot.text import near_names, say

ENVIRONMENT = "NABOT_ACCEPT_LICENSE"  # names, with commas between them


def require_accepted(source: str, licence: str, page: bytes) -> None:
    """Keeps the terms where they can be read; raises LicenceNotAccepted unless they were accepted, or are just now."""
    path = keep_terms(licence, page)
    if _accepted().get(licence, {}).get("sha256") == file_sha256(path):
        return
    if licence not in os.environ.get(ENVIRONMENT, "").replace(",", " ").split():
        raise LicenceNotAccepted(say("sources.not_accepted", source=source, licence=licence, path=path), licence, path)
    accept(licence)


def accept(licence: str) -> None:
    """From now on the terms as they are kept here count as accepted."""
    record = {"sha256": file_sha256(terms_path(licence)), "date": datetime.datetime.now(datetime.UTC).isoformat()}
    write_json(_record(), {**_accepted(), licence: record})


def check_known(licence: str) -> None:
    """Raises ConfigError for the name of a licence that no short name asks for."""
    known = [short.licence for short in registry() if short.terms]
    if licence not in known:
        near = near_names(licence, known)
        raise ConfigError(say("sources.unknown_licence", licence=licence, near=near, known=", ".join(known)))


def _accepted() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, TypeError):  # nothing was accepted, or the file is damaged: ask again
        return {name: record for name, record in dict(read_json(_record())).items() if isinstance(record, dict)}
    return {}


def _record() -> Path:
    return licence_folder() / "accepted.json"
