"""What made a bot: inputs, settings, versions, counts, figures, licences. In: a finished run, out: manifest.json, card."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nabot.artifacts import write_file, write_json
from nabot.bot import MANIFEST, BotRecord
from nabot.recipes.runfiles import RunPlan
from nabot.sources import commercial_use, write_licence_files
from nabot.text import say

_LIBRARIES = ("nabot", "torch", "tokenizers", "safetensors", "numpy")


def write_manifest(
    out: Path, record: BotRecord, plan: RunPlan, figures: dict[str, Any], *, rows: int, learned: int, held_out: int
) -> None:
    """BOT/manifest.json, the model card, BOT/README.md, and what the base's licence wants to lie beside them."""
    beside = write_licence_files(out, record.base_licence)
    manifest = {
        "base": {"source": record.base, "hash": record.base_hash},
        "from": plan.parent or None,
        "inputs": plan.inputs,
        "rows": {"read": rows, "learned": learned, "held_out": held_out},
        "settings": _decisive(plan.settings),
        "template": record.template,
        "system": record.system,
        "figures": figures,
        "versions": {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()},
        "licences": licence_ledger(record, beside),
    }
    write_json(out / MANIFEST, manifest)
    write_file(out / "README.md", _card(out, record, figures))


def _decisive(settings: dict[str, Any]) -> dict[str, Any]:
    """Where minutes decide how long a run learns, its epochs say nothing."""
    return {**settings, "epochs": None} if settings["minutes"] else settings


def licence_ledger(record: BotRecord, beside: list[str]) -> dict[str, Any]:
    """Who owns what went in, and whether the bot may be sold; None where a person has to read the terms.

    `beside`: the files with the base's terms, which have to go wherever the bot goes.
    """
    base: dict[str, Any] = {"name": record.base, "licence": record.base_licence}
    return {
        "base": base | ({"pass_on": beside} if beside else {}),
        "data": {"licence": say("manifest.own_data")},
        "commercial": commercial_use(record.base_licence),
    }


def _card(out: Path, record: BotRecord, figures: dict[str, Any]) -> str:
    return say(
        "manifest.card",
        name=out.name,
        out=out,
        base=record.base,
        licence=record.base_licence,
        method=record.method,
        steps=figures["steps"],
        tokens=figures["tokens"],
        loss=figures["loss"]["last"],
    )
