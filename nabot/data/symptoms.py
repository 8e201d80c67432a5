"""What a single row shows that is well-formed. In: its messages as they lie in the file, out: faults and warnings, and what is counted.

These checks read no other row and no model, and run at tens of thousands of rows a second: each looks first, in all texts of
the row at once, for a sign that is cheap to find and without which there is nothing to find.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from nabot.data.answers import (
    PLACEHOLDER,
    cut_off,
    may_have_placeholder,
    placeholder_left,
    refuses,
    repeats_itself,
)
from nabot.data.characters import damages, is_suspect, may_be_lost
from nabot.data.collisions import may_have_mark, template_mark
from nabot.data.faults import Problem, excerpt, problem
from nabot.data.language import language_of
from nabot.data.personal import find, may_be_personal
from nabot.data.toxicity import toxic_word
from nabot.data.turns import Converted
from nabot.data.unwrapping import bare
from nabot.data.validate import nfc
from nabot.text import slug_name, tallied

_PLACEHOLDER_LINE = re.compile(
    rf"^[ \t]*(?:(?:input|입력)\s*:\s*)?[<(\[]\s*(?:{PLACEHOLDER})\s*[>)\]][ \t]*$\n?", re.IGNORECASE | re.MULTILINE
)
# Only a toxic word can be wrong with a text of these: no damage, mark, placeholder or number of a person is without another.
_ORDINARY = re.compile(r"[a-zA-Z가-힣 \t\n.,;!?'\"-]*")
_FIXABLE = ("mojibake", "control_character", "zero_width", "decomposed")
_SPEAKERS = ("user", "assistant")
_OTHER_SCRIPTS = ("ko", "ja", "zh", "other")
_ECHO_CHARACTERS = 12  # "Hello!" answers "Hello!"

_JUDGED_ANSWERS: Mapping[str, Callable[[str], bool]] = {
    "refusal": refuses,
    "cut_off": cut_off,
    "repeats_itself": repeats_itself,
}


@dataclass
class Symptoms:
    """What was found in a row."""

    problems: list[Problem] = field(default_factory=list)
    language: str = ""  # of the last answer
    personal: list[str] = field(default_factory=list)  # the kind of each thing
    is_padded: bool = False  # white space around a text


class _Text(NamedTuple):
    """One text of a row, and how the person calls its field."""

    text: str
    role: str
    row: Converted
    place: tuple[int, str]

    @property
    def name(self) -> str:
        return self.row.name_of(*self.place)


def symptoms(row: Converted) -> Symptoms:
    """Looks at a row that was judged good."""
    found = Symptoms()
    texts = [text for message in row.messages for key in ("content", "context") if (text := message.get(key))]
    whole = "\n".join(texts)
    for find_problems in _looks(whole, found):
        for one in _texts(row):
            found.problems += find_problems(one)
    found.is_padded = [text.strip() for text in texts] != texts
    asked = ("", "")
    for i, message in enumerate(row.messages):
        content = message.get("content") or ""
        if message["role"] == "user":
            asked = content, message.get("context") or ""
        elif content and message["role"] == "assistant":
            found.language = language_of(content)
            if message.get("train") is not False:
                found.problems += _of_answer(_Text(content, "assistant", row, (i, "content")), asked)
    return found


def _texts(row: Converted) -> Iterator[_Text]:
    for i, message in enumerate(row.messages):
        for key in ("content", "context"):
            if text := message.get(key):
                yield _Text(text, message["role"], row, (i, key))


def _looks(whole: str, found: Symptoms) -> Iterator[Callable[[_Text], Iterator[Problem]]]:
    """The looks that are worth their time in a row with these texts."""
    is_ordinary = _ORDINARY.fullmatch(whole) is not None and not may_be_lost(whole)
    if not is_ordinary:
        yield from _rare_looks(whole)
    if toxic_word(whole):
        yield _toxic
    if not is_ordinary and may_be_personal(whole):
        yield partial(_personal, found)


def _rare_looks(whole: str) -> Iterator[Callable[[_Text], Iterator[Problem]]]:
    if is_suspect(whole):
        yield _damages
    if may_have_mark(whole):
        yield _mark
    if may_have_placeholder(whole):
        yield _placeholder


def without_placeholder(text: str) -> str:
    """The text without lines that are nothing but "<noinput>"."""
    return _PLACEHOLDER_LINE.sub("", text) if placeholder_left(text) else text


def _damages(one: _Text) -> Iterator[Problem]:
    for kind, seen in damages(one.text):
        yield problem(kind, one.name, fixable=kind in _FIXABLE, seen=seen)


def _mark(one: _Text) -> Iterator[Problem]:
    is_answer = one.role == "assistant"
    if one.role in _SPEAKERS and (mark := template_mark(one.text, is_answer=is_answer)):
        fixable = not template_mark(bare(one.text), is_answer=is_answer)
        yield problem("template_mark", one.name, fixable=fixable, seen=excerpt(mark))


def _placeholder(one: _Text) -> Iterator[Problem]:
    if one.role in _SPEAKERS and placeholder_left(one.text):
        fixable = one.role == "user" and not placeholder_left(without_placeholder(one.text))
        yield problem("noinput_left", one.name, fixable=fixable, seen=excerpt(one.text))


def _toxic(one: _Text) -> Iterator[Problem]:
    if one.role in _SPEAKERS and (word := toxic_word(one.text)):
        yield problem("toxic_word", one.name, seen=excerpt(word.word), category=slug_name(word.name))


def _personal(found: Symptoms, one: _Text) -> Iterator[Problem]:
    if kinds := [thing.kind for thing in find(nfc(one.text))]:
        found.personal += kinds
        yield problem("personal_data", one.name, seen=tallied(Counter(kinds).items()))


def _of_answer(answer: _Text, asked: tuple[str, str]) -> Iterator[Problem]:
    text = answer.text.strip()
    if len(text) >= _ECHO_CHARACTERS and text in (asked[0].strip(), asked[1].strip()):
        yield problem("same_as_input", answer.name, seen=excerpt(text))
    for kind, is_so in _JUDGED_ANSWERS.items():
        if is_so(text):
            yield problem(kind, answer.name, seen=excerpt(text if kind == "refusal" else text[-24:]))


def main_language(counts: Mapping[str, int]) -> str:
    """The language of four rows in five; "" if there is none, as in a file that is meant to have two.

    Rows in Latin letters that are too short to be told count as what most of the others in these letters are.
    """
    known = Counter({language: count for language, count in counts.items() if language})
    short = known.pop("latin", 0)
    known[next((language for language, _ in known.most_common() if language not in _OTHER_SCRIPTS), "latin")] += short
    most, count = known.most_common(1)[0]
    return most if count and 5 * count >= 4 * known.total() else ""


def is_foreign(language: str, main: str) -> bool:
    """Whether a text in `language` is at home elsewhere; not if that cannot be told."""
    if not main or not language:
        return False
    return language not in ((main,) if main in _OTHER_SCRIPTS else (main, "latin"))
