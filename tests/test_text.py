"""Korean says everything that English says, with the same fields, flags and commands; and which of the two is spoken."""

import ast
import errno
import re
import shlex
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot import text
from nabot.text import ENGLISH, counted, human_seconds, language_of, say, system_reason, tallied
from nabot.text_ko import KOREAN, SLUGS, SYSTEM

# Read by a model, or kept in a manifest: the same in every language, or what is computed would depend on it.
NOT_FOR_PEOPLE = {"evals.facts_prompt", "tune.start_text", "manifest.own_data"}
LOCALES = st.sampled_from(["", "C", "C.UTF-8", "POSIX", "en_US.UTF-8", "en_GB", "de_DE.UTF-8", "kok_IN", "ko", "ko_KR.UTF-8", "ko_KR.eucKR"])  # fmt: skip
PACKAGE = Path(text.__file__).parent
SOURCES = [p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.py") if not p.name.startswith("text")]
WORDS = {"profanity", "slur", "sexual", "threat"}  # categories of a table of words
TRANSLATED = sorted(KOREAN.keys() & ENGLISH.keys())


def fields(template: str) -> set[tuple[str, str]]:
    """Names with their conversions; their formats may differ."""
    return {(name, how or "") for _, name, _, how in string.Formatter().parse(template) if name is not None}


def words(template: str) -> str:
    """What is left without the fields."""
    return "".join(literal for literal, *_ in string.Formatter().parse(template))


@pytest.fixture
def korean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_LANG", "ko")


# ---- the two tables


def test_no_text_lacks_its_korean() -> None:
    plural = {text_id for text_id in ENGLISH if text_id.removesuffix("_one") in ENGLISH.keys() - {text_id}}
    assert sorted(ENGLISH.keys() - KOREAN.keys() - NOT_FOR_PEOPLE - plural) == []


def test_korean_has_no_text_that_is_gone() -> None:
    assert sorted(KOREAN.keys() - ENGLISH.keys()) == []
    assert not KOREAN.keys() & NOT_FOR_PEOPLE


def test_both_languages_have_the_same_fields() -> None:
    assert [i for i in TRANSLATED if fields(ENGLISH[i]) != fields(KOREAN[i])] == []


def test_flags_and_settings_that_are_typed_stay() -> None:
    typed = r"--[a-z][a-z-]*|`[^`]*`|HF_[A-Z_]+|NABOT_[A-Z_]+|[a-z_]+=[a-z0-9]+|pip install \"[^\"]*\""
    lost = {i: set(re.findall(typed, ENGLISH[i])) - set(re.findall(typed, KOREAN[i])) for i in TRANSLATED}
    assert {text_id: those for text_id, those in lost.items() if those} == {}


def test_what_has_words_in_english_has_hangul_in_korean() -> None:
    same = {"error.prefix", "report.language", "tune.longer"}  # a name, a code, a flag
    spoken = [i for i in TRANSLATED if re.search("[A-Za-z]{2}", words(ENGLISH[i])) and i not in same]
    assert [text_id for text_id in spoken if not re.search("[가-힣]", KOREAN[text_id])] == []


def test_no_particle_after_a_field_is_left_to_chance() -> None:
    """은, 이, 을, 과, 으로 after a field depend on its last letter: they are its format, never typed behind it."""
    typed = (
        r"\}['\"`]?(은|는|이|가|을|를|과|와|으로|로|이라|라|여야|이어야|라는|이라는)(?![가-힣])|\((은|는|이|가|을|를)\)"
    )
    assert [text_id for text_id in TRANSLATED if re.search(typed, KOREAN[text_id])] == []


@pytest.mark.usefixtures("korean")
def test_every_korean_text_can_be_said() -> None:
    class Anything(float):
        """A value that every format takes."""

    for text_id in TRANSLATED:
        names = {name for name, _ in fields(KOREAN[text_id])}
        assert "{" not in say(text_id, **dict.fromkeys(names, Anything(3))).replace("{…}", "")


def test_every_slug_that_a_person_reads_has_a_korean_name() -> None:
    kinds = {text_id.removeprefix("data.fault.") for text_id in ENGLISH if text_id.startswith("data.fault.")}
    calls = (node for source in SOURCES for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    named = (call for call in calls if getattr(call.func, "id", "") in ("Reason", "Dropped", "Kind"))
    given = {str(call.args[0].value) for call in named if isinstance(call.args[0], ast.Constant)}
    assert len(given) > 40
    assert sorted((kinds | given) - SLUGS.keys()) == []


def test_every_name_is_of_a_slug() -> None:
    assert (
        sorted(slug for slug in SLUGS if not any(f'"{slug}"' in source for source in SOURCES) and slug not in WORDS)
        == []
    )


def test_slugs_are_named_in_korean_and_stay_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"near_copy": 3, "toxic_slur": 1, "of_tomorrow": 2}
    assert tallied(counts.items()) == "near_copy 3, toxic_slur 1, of_tomorrow 2"
    monkeypatch.setenv("NABOT_LANG", "ko")
    assert tallied(counts.items()) == "거의 같음 3, 비하 1, of_tomorrow 2"


def test_the_systems_reasons_are_told_in_korean(monkeypatch: pytest.MonkeyPatch) -> None:
    denied, rare = OSError(errno.EACCES, "Permission denied"), OSError(errno.EDOM, "Out of domain")
    assert [system_reason(denied), system_reason(rare), system_reason(OSError("x"))] == [
        denied.strerror,
        rare.strerror,
        "x",
    ]
    monkeypatch.setenv("NABOT_LANG", "ko")
    assert [system_reason(denied), system_reason(rare)] == ["권한이 없습니다", rare.strerror]


def test_every_reason_of_the_system_has_a_number() -> None:
    assert sorted(SYSTEM.keys() - errno.errorcode.values()) == []


# ---- numbers


@pytest.mark.usefixtures("korean")
def test_korean_counts_one_and_many_alike() -> None:
    assert [counted("count.rows", n) for n in (0, 1, 2)] == ["행 0개", "행 1개", "행 2개"]


@pytest.mark.usefixtures("korean")
def test_time_is_told_in_korean_units() -> None:
    assert [human_seconds(s) for s in (1.25, 59, 75, 3700)] == ["1.2초", "59초", "1분 15초", "1시간 1분"]


# ---- the choice


@given(st.fixed_dictionaries({}, optional={"LC_ALL": LOCALES, "LC_MESSAGES": LOCALES, "LANG": LOCALES}))
def test_the_first_locale_that_is_set_decides(environ: dict[str, str]) -> None:
    first = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "C")
    assert language_of(environ) == ("ko" if first.partition("_")[0] == "ko" else "en")


@given(LOCALES)
def test_nabot_lang_comes_before_every_locale(name: str) -> None:
    assert language_of({"NABOT_LANG": "ko", "LC_ALL": name}) == "ko"
    assert language_of({"NABOT_LANG": "en", "LC_ALL": name}) == "en"


def test_a_text_without_a_translation_is_said_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NABOT_LANG", "ko")
    monkeypatch.delitem(KOREAN, "word.yes")
    assert say("word.yes") == "yes"


# ---- commands can be copied into a shell as they are


_COMMAND = re.compile(r"nabot (?:tune|data|chat|exam|make|export|show|rm|pull) [^`\n;]*")
_PLACES = {"path", "folder", "bot", "out"}


@given(st.text(min_size=1).filter(lambda name: "\n" not in name))
def test_a_path_in_a_command_is_one_word_for_a_shell(path: str):
    command = say("import.done.conversations", path=path, rows="2 rows").rpartition("them: ")[2]
    assert shlex.split(command) == ["nabot", "data", "check", path]


def test_a_plain_path_stays_as_it_is():
    assert say("bot.unfinished", folder="bots/mine").endswith("nabot tune --resume bots/mine")


def test_every_place_in_a_command_is_quoted():
    said = [sentence for table in (ENGLISH, KOREAN) for i, sentence in table.items() if not i.startswith("help.")]
    for command in (command for sentence in said for command in _COMMAND.findall(sentence)):
        conversions = {conversion for _, name, _, conversion in string.Formatter().parse(command) if name in _PLACES}
        assert conversions <= {"q"}, command
