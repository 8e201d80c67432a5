"""The tables of a comparison: medians, and room on a terminal of 80 columns."""

from typing import Any

import pytest

from nabot.cli import comparing
from nabot.evals.comparison import markdown, tables

BASE = {"accuracy": 0.02, "decode_tokens_per_second": 95.0, "first_token_seconds": 0.18}
WIDEST = {
    "trainable": 8_030_261_248,
    "adapter_bytes": 999_900_000,
    "tokens_per_second": 123_456.0,
    "minutes": 1234.5,
    "minutes_to_70": 1000.1,
    "peak_memory_bytes": 999_900_000,
    "held_out_loss": 10.123,
    "accuracy": 1.0,
    "kept": 1.0,
    "decode_tokens_per_second": 1234.0,
    "first_token_seconds": 123.45,
}


def rows(method: str, **columns: list[Any]) -> list[dict[str, Any]]:
    """One a seed; a column that is not named is as wide as it gets."""
    count = len(next(iter(columns.values())))
    return [
        {"method": method, "seed": seed, **WIDEST, **{key: values[seed] for key, values in columns.items()}}
        for seed in range(count)
    ]


def cell(found: list[dict[str, Any]], heading: str) -> str:
    """Of the first method."""
    return next(t.lines[0][t.headings.index(heading)] for t in tables(found) if heading in t.headings)


def test_figures_are_medians_over_the_seeds() -> None:
    found = rows("lora", accuracy=[0.9, 0.1, 0.8], minutes=[1.0, 30.0, 2.0], kept=[None, 0.5, 0.7])
    assert cell(found, "right answers") == "80% (10%–90%)"
    assert cell(found, "minutes") == "2.0"
    assert cell(found, "kept") == "60%"


def test_the_moment_of_passing_is_told_only_if_every_seed_passed() -> None:
    assert cell(rows("lora", minutes_to_70=[1.0, 3.0, 2.0]), "to 70 %") == "2.0"
    assert cell(rows("lora", minutes_to_70=[1.0, None, 2.0]), "to 70 %") == "-"


def test_one_seed_has_no_spread() -> None:
    assert cell(rows("lora", accuracy=[0.5]), "right answers") == "50%"


def test_80_columns_show_every_figure_whole_and_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = [*rows("ptuning", accuracy=[1.0, 0.98]), *rows("lora", accuracy=[0.5])]
    comparing._print({"rows": found})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for table in tables(found):
        assert any(line.strip() == table.title for line in lines)
        assert any(all(heading in line for heading in table.headings) for line in lines)
        for cells in table.lines:
            assert any(line.split("  ")[0].strip() == cells[0] and all(c in line for c in cells) for line in lines)


def test_markdown_has_both_tables_and_the_base() -> None:
    found = markdown([*rows("lora", accuracy=[1.0]), *rows("prompt", accuracy=[0.5])], BASE)
    assert found.count("\n| lora |") == found.count("\n| prompt |") == found.count("\n| --- |") == 2
    assert found.rstrip().endswith("first token after 0.18 s")
