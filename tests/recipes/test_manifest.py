"""What lies beside a bot because the licence of its base wants it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nabot.artifacts import read_json
from nabot.bot import BotRecord
from nabot.recipes.manifest import write_manifest
from nabot.recipes.runfiles import RunPlan
from nabot.sources.terms import keep_terms

FIGURES: dict[str, Any] = {"steps": 1, "tokens": 2, "loss": {"first": 1.0, "last": 0.5}}
RECORD = BotRecord(base="gemma3-270m", base_hash="0" * 64, base_licence="gemma")


def manifest(out: Path, record: BotRecord) -> dict[str, Any]:
    plan = RunPlan(base=record.base, settings={"minutes": 0})
    write_manifest(out, record, plan, FIGURES, rows=1, learned=1, held_out=0)
    return dict(read_json(out / "manifest.json"))


def test_terms_and_notice_lie_beside_the_bot_and_stand_in_its_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NABOT_HOME", str(tmp_path / "home"))
    keep_terms("gemma", b"Terms of Use\n")
    ledger = manifest(tmp_path / "bot", RECORD)["licences"]
    assert ledger["base"]["pass_on"] == ["NOTICE.txt", "LICENSE-gemma.txt"]
    assert ledger["commercial"] is None
    assert (tmp_path / "bot" / "LICENSE-gemma.txt").read_text(encoding="utf-8") == "Terms of Use\n"
    assert "ai.google.dev/gemma/terms" in (tmp_path / "bot" / "NOTICE.txt").read_text(encoding="utf-8")


def test_a_licence_that_wants_nothing_gets_nothing(tmp_path: Path) -> None:
    ledger = manifest(tmp_path / "bot", replace(RECORD, base_licence="Apache-2.0"))["licences"]
    assert ledger["base"] == {"name": "gemma3-270m", "licence": "Apache-2.0"}
    assert {file.name for file in (tmp_path / "bot").iterdir()} == {"manifest.json", "README.md"}
