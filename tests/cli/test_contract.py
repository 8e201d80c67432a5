"""What scripts and quick fingers rely on: a start without heavy imports, help with examples, texts that all exist."""

import ast
import json
import os
import re
import statistics
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from nabot import text
from nabot.cli import run
from nabot.cli.app import app

PACKAGE = Path(text.__file__).parent
HEAVY = {"torch", "pydantic", "transformers", "numpy", "tokenizers", "huggingface_hub", "rich"}
VERBS = [
    ("models",), ("pull",), ("init",), ("data",), ("data", "check"), ("data", "generate"), ("data", "import"), ("data", "show"), ("tune",), ("exam",), ("chat",),
    ("compare",), ("export",), ("make",), ("data", "split"), ("data", "mix"), ("data", "stats"), ("demo",), ("list",), ("show",), ("rm",),
    ("tokenizer",), ("tokenizer", "extend"),
]  # fmt: skip
# ids that code puts together: say(f"sampling.field.{name}")
BUILT = (
    "compare.column.", "compare.table.", "check.", "count.", "data.fault.", "data.note.", "evals.contestant.", "evals.row.", "evals.verdict.", "exam.sitting_", "generate.ended.", "generate.example.", "import.done.", "make.kind.", "make.stage.", "mix.column.", "parser.", "report.licences.",
    "report.role.", "sampling.field.", "stats.column.", "stats.language.", "stats.length.", "stats.picture.",
)  # fmt: skip


def _loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after `code`."""
    code += "\nimport sys, json\nsys.stderr.write(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["tune", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    loaded = _loaded_after(f"from nabot.cli import run\nassert run({arguments!r}) == 0")
    of_the_parser = set() if arguments == ["--help"] else {"pydantic"}  # typer checks a verb's numbers with it
    assert not loaded & (HEAVY - of_the_parser)


@pytest.mark.parametrize(
    "room", ["nabot", "nabot.data", "nabot.sources", "nabot.evals", "nabot.rendering", "nabot.bot"]
)
def test_a_room_without_weights_imports_no_torch(room: str) -> None:
    assert not _loaded_after(f"import {room}") & {"torch", "transformers", "pydantic"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no children's times")
def test_help_takes_less_than_three_tenths_of_a_second() -> None:
    """Processor time of the child (own and system's), not the clock's: this machine may be busy with other things,
    and what the program does costs the same then. Warm: a first run fills the caches."""
    seconds = []
    for _ in range(6):
        before = os.times()
        subprocess.run([sys.executable, "-m", "nabot", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        seconds.append(after.children_user - before.children_user + after.children_system - before.children_system)
    assert statistics.median(seconds[1:]) < 0.3, seconds


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_the_help_of_every_verb_has_an_example(verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"Example:\s+nabot {' '.join(verb)}\b", told), told


def test_these_are_all_verbs() -> None:
    command = typer.main.get_command(app)
    names = {(name,) for name in command.commands}  # type: ignore[attr-defined]
    for group in ("data", "tokenizer"):
        names |= {(group, name) for name in command.commands[group].commands}  # type: ignore[attr-defined]
    assert names == set(VERBS)


# ---- texts


def _calls_of_say() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say" and node.args:
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def _quoted_ids() -> set[str]:
    """Every string of the package that looks like an id, wherever it stands: tables, conditions, templates.

    In the tables, which hold them all, only those that its own functions say.
    """
    found = {node.args[0].value for _, node in _calls_of_say() if isinstance(node.args[0], ast.Constant)}
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.jinja")]:
        if path.name not in ("text.py", "text_ko.py"):
            found |= set(re.findall(r"[\"']([a-z]+(?:\.[a-z0-9_]+)+)[\"']", path.read_text(encoding="utf-8")))
    return found


def _fields_of(text_id: str) -> set[str]:
    names = {name for _, name, _, _ in string.Formatter().parse(text.ENGLISH[text_id]) if name is not None}
    return {re.split(r"[.\[]", name)[0] for name in names}


def test_every_text_that_is_said_exists() -> None:
    said = {node.args[0].value: place for place, node in _calls_of_say() if isinstance(node.args[0], ast.Constant)}
    assert {text_id: place for text_id, place in said.items() if text_id not in text.ENGLISH} == {}


def test_every_text_is_said_somewhere() -> None:
    known = {text_id for text_id in text.ENGLISH if not text_id.startswith(BUILT)}
    assert sorted(known - _quoted_ids()) == []


def test_every_prefix_of_built_ids_is_in_use() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    sources += "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.jinja"))
    assert [p for p in BUILT if f'"{p}' not in sources and f"'{p}" not in sources] == []


def test_every_text_gets_the_fields_that_it_names() -> None:
    wrong = []
    for place, node in _calls_of_say():
        if not isinstance(node.args[0], ast.Constant) or any(k.arg is None for k in node.keywords):
            continue  # which id, or which fields, shows only when it runs
        given = {k.arg for k in node.keywords}
        if missing := _fields_of(node.args[0].value) - given:
            wrong.append(f"{place}: {node.args[0].value} needs {sorted(missing)}")
    assert wrong == []


@pytest.mark.parametrize("text_id", sorted(text.ENGLISH))
def test_no_text_has_a_nameless_field_or_a_stray_brace(text_id: str) -> None:
    assert "" not in _fields_of(text_id)
    assert all(name.isidentifier() for name in _fields_of(text_id))


def test_a_text_without_its_field_is_a_bug() -> None:
    with pytest.raises(KeyError):
        text.say("bot.none")
    with pytest.raises(KeyError):
        text.say("no.such.text")
