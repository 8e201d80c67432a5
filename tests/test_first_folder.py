"""The other road on the real model: a folder of documents → rows that the model itself writes → bot → exam."""

import json
from pathlib import Path

import pytest

from nabot.cli import run

DEMO = Path(__file__).parent.parent / "nabot" / "demo"
SENTENCES = 24


@pytest.mark.slow
def test_a_small_model_writes_rows_about_documents_and_learns_them(
    tmp_path: Path, smollm2_gguf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("papers").mkdir()
    facts = (DEMO / "facts.md").read_text(encoding="utf-8").splitlines()
    Path("papers/cafe.md").write_text("\n".join(["# Dal Café", "", *facts[2 : 2 + SENTENCES]]), encoding="utf-8")
    assert run(["make", "papers", "--base", str(smollm2_gguf), "--minutes", "1", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["generate"]["rows"] >= SENTENCES // 2
    assert figures["check"]["faults"] == 0
    rows = [json.loads(line) for line in Path("bots/papers.making/generated.jsonl").read_text().splitlines()]
    assert {row["provenance"]["mode"] for row in rows} == {"sentences"}
    if figures["questions"]["questions"]:
        results = figures["exam"]["results"]
        assert results["tuned"]["accuracy"] > results["base"]["accuracy"]
