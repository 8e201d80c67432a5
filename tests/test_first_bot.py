"""The whole road on the real model: rows → bot → exam, as a person goes it, with the café's first facts."""

import json
import os
from pathlib import Path

import pytest

from nabot.cli import run

FACTS = range(1, 13)
DEMO = Path(__file__).parent.parent / "nabot" / "demo"


@pytest.fixture(scope="module")
def cafe(tmp_path_factory: pytest.TempPathFactory, smollm2_gguf: Path) -> Path:
    """A folder with the rows, facts and exam of a dozen facts, and a bot tuned on them."""
    folder = tmp_path_factory.mktemp("cafe")
    for name in ("conversations.jsonl", "exam.jsonl"):
        rows = [json.loads(line) for line in (DEMO / name).read_text(encoding="utf-8").splitlines()]
        kept = [r for r in rows if r.get("fact", 0) in FACTS and len(r["messages"]) <= 2]
        (folder / name).write_text("".join(json.dumps(r) + "\n" for r in kept), encoding="utf-8")
    facts = (DEMO / "facts.md").read_text(encoding="utf-8").splitlines()
    (folder / "facts.md").write_text("\n".join(facts[: 2 + len(FACTS)]), encoding="utf-8")
    arguments = ["tune", str(folder / "conversations.jsonl"), "--base", str(smollm2_gguf), "--out", str(folder / "bot")]
    assert run([*arguments, "--epochs", "5", "--set", f"threads={os.cpu_count()}"]) == 0
    return folder


def test_a_real_model_learns_what_it_could_not_know(cafe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exam = ["exam", str(cafe / "bot"), str(cafe / "exam.jsonl"), "--facts", str(cafe / "facts.md"), "--json"]
    assert run([*exam, "--require", "0.8"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert results["base"]["accuracy"] <= 0.15
    assert results["tuned"]["stopped"] >= 0.95
    assert json.loads((cafe / "bot" / "report" / "report.json").read_text(encoding="utf-8"))["results"] == results


def test_the_bot_answers_from_python(cafe: Path) -> None:
    import nabot

    answer = nabot.load_bot(cafe / "bot").chat([{"role": "user", "content": "Which town is your café in?"}])
    assert "Solbit" in answer
