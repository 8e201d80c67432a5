"""The command line in Korean: pages, the parser's errors, and which language is chosen. Pages are those of a process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len

from nabot.cli import parser_words, run
from nabot.cli.app import app
from nabot.cli.language import take_language
from nabot.errors import ConfigError
from nabot.text import ENGLISH, language

# What the parser refuses, and pages that show the words of its own.
PAGES = [["--help"], ["data", "--help"], ["data", "mix", "--help"]]
REFUSED = [
    ["data", "split", "a"], ["pull"], ["dat"], ["tune", "--rnk", "3"], ["pull", "a", "b"], ["pull", "a", "--json=3"], ["tune", "--rank"],
    ["tune", "--rank", "x"], ["tune", "--minutes", "x"], ["exam", "a", "b", "--require", "3"], ["data", "show", "a", "--row", "0"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_LANG", "en")  # what a test chooses is undone after it


def nabot(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "NABOT_LANG"))}
    environ = {**known, "PYTHONUTF8": "1", "COLUMNS": "80", **environ}
    command = [sys.executable, "-m", "nabot", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environ, check=False)


# ---- the parser's own words


@pytest.fixture(scope="module")
def korean_pages() -> str:
    """The help of every verb, from one process."""
    code = (
        "import typer; from nabot.cli import run; from nabot.cli.app import app\n"
        "def show(command, path):\n"
        "    run([*path, '--help'])\n"
        "    for name, inner in getattr(command, 'commands', {}).items(): show(inner, [*path, name])\n"
        "show(typer.main.get_command(app), [])\n"
    )
    environ = os.environ | {"NABOT_LANG": "ko", "PYTHONUTF8": "1", "COLUMNS": "80"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environ, check=True).stdout


def test_no_page_has_a_sentence_of_the_english_parser(korean_pages: str) -> None:
    left = [i for i, pattern in parser_words._sentences() for line in korean_pages.split("\n") if pattern.search(line)]
    assert left == []
    assert "예: nabot" in korean_pages
    assert "Example:" not in korean_pages


def test_every_verb_has_its_page(korean_pages: str) -> None:
    names = {*typer.main.get_command(app).commands}  # type: ignore[attr-defined]
    assert {name for name in names if f"nabot {name} " in korean_pages or f" {name} [옵션]" in korean_pages} == names


def test_no_line_of_a_page_is_wider_than_a_terminal(korean_pages: str) -> None:
    assert [line for line in korean_pages.split("\n") if cell_len(line) > 80] == []


def test_meanings_stand_in_one_column(korean_pages: str) -> None:
    page = korean_pages[korean_pages.index("data mix [옵션]") :]
    options = page[page.index("옵션:\n") :].split("\n\n")[0].split("\n")[1:]
    starts = {cell_len(found.group()) for line in options if (found := re.match(r"  (-\S+( \S+)?)? {2,}(?=\S)", line))}
    assert len(starts) == 1, options


def test_every_sentence_that_is_translated_is_one_that_the_parser_says(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in [*PAGES, *REFUSED]:
        run(arguments)
    said = capsys.readouterr()
    text = re.sub(r"\n +", " ", said.out) + said.err
    headings = {"parser.usage", "parser.arguments", "parser.options", "parser.commands"}
    unsaid = [i for i, pattern in parser_words._sentences() if i not in headings and not pattern.search(text)]
    assert unsaid == []
    assert all(f"{ENGLISH[text_id].rstrip(':')}:" in text for text_id in headings)


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_what_the_parser_refuses_is_told_in_korean(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NABOT_LANG", "ko")
    assert run(arguments) == 2
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("오류: ")
    assert not re.search(r"[A-Z][a-z]+ |[a-z]+ [a-z]+", last), last


# ---- which language


@pytest.mark.parametrize("typed", [["--lang", "ko", "list"], ["list", "--lang=ko"], ["list", "--lang", "ko_KR.UTF-8"]], ids=" ".join)  # fmt: skip
def test_the_flag_stands_anywhere_and_is_taken_away(typed: list[str]) -> None:
    assert take_language(typed) == ["list"]
    assert language() == "ko"


def test_behind_two_dashes_nothing_is_a_flag() -> None:
    assert take_language(["list", "--", "--lang", "ko"]) == ["list", "--", "--lang", "ko"]
    assert language() == "en"
    take_language(["chat", "--lang", "ko", "--", "--json"])
    assert language() == "ko"


@pytest.mark.parametrize("typed", [["--lang", "fr"], ["--lang="], ["list", "--lang"]], ids=" ".join)
def test_a_language_that_nabot_does_not_speak_is_refused(typed: list[str]) -> None:
    with pytest.raises(ConfigError, match="Type en or ko"):
        take_language(typed)


def test_a_wrong_language_ends_with_status_2() -> None:
    told = nabot("list", NABOT_LANG="kr")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("nabot: NABOT_LANG kr: ")


@pytest.mark.parametrize("environ", [{"NABOT_LANG": "ko"}, {"LC_ALL": "ko_KR.UTF-8"}, {"LANG": "ko_KR.UTF-8"}], ids=str)
def test_an_error_comes_in_the_language_of_the_machine(environ: dict[str, str], tmp_path: Path) -> None:
    missing = str(tmp_path / "없는 파일.jsonl")
    told = nabot("data", "check", missing, **environ)
    assert told.returncode == 2
    assert told.stderr.startswith(f"nabot: {missing}: 그런 파일이 없습니다.")


def test_json_is_the_same_in_every_language(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages": [{"role": "user", "content": "?"}]}\n{"question": 3}\n', encoding="utf-8")
    english, korean = (nabot("data", "check", str(rows), "--json", *flags) for flags in ([], ["--lang", "ko"]))
    assert json.loads(english.stdout)
    assert korean.stdout == english.stdout
    assert nabot("data", "check", str(rows), "--json", LC_ALL="ko_KR.UTF-8").stdout == english.stdout
