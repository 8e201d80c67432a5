"""A completion → questions with answers and quotes. In: what a teacher wrote, out: pairs, and the pieces that are none, in order.

Asked for are labelled lines, which the smallest models keep to: JSON with a quote in it needs escapes, and they forget those.
Larger ones like to write JSON anyway. Both are read, alone, in a list, in a fence, with other words around.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from nabot.synth.parsing import CUT
from nabot.synth.tasks import Reason, Rejected

_WORDS = {
    "question": ("question", "q", "질문"),
    "answer": ("answer", "a", "답변", "정답", "답"),
    "quote": ("quote", "evidence", "근거", "인용문", "인용"),
}
_FIELD_OF = {word: field for field, words in _WORDS.items() for word in words}
_ANY = "|".join(sorted(_FIELD_OF, key=len, reverse=True))
_BEGINNINGS = "|".join(
    sorted({word[:n] for word in _WORDS["question"] for n in range(1, len(word) + 1)}, key=len, reverse=True)
)

# "Question:", "**Question 1:**", "1. Q:", "## 질문 1:"
# with limits, because a model that loops may write thousands of asterisks
_FRONT = r"[ \t>#*_(\[•-]{0,12}(?:\d{1,3}[.)]?[ \t]{0,4})?[*_]{0,3}"
_BACK = r"[ \t]{0,4}\d{0,3}[ \t]{0,4}[.)\]]?[*_]{0,3}[ \t]{0,4}"
_LABEL_LENGTH = 80  # characters, with empty lines before it
_LABEL = re.compile(rf"^{_FRONT}({_ANY}){_BACK}[:：][*_]{{0,3}}", re.MULTILINE | re.IGNORECASE)
_NEXT_BEGUN = re.compile(rf"(?:\n[ \t]{{0,4}}){{2,8}}{_FRONT}(?:{_BEGINNINGS})?{_BACK}\Z", re.IGNORECASE)
_BEHIND = re.compile(
    r"[ \t]*(?:-{3,}|#{1,6}|\*{3,}|={3,}|\d+[.)])?[ \t]*"
)  # what separates items, or is left of the next
_WRAPS = ("```", "**")
_OBJECT = re.compile(rf'\{{\s*"(?:{_ANY})"\s*:', re.IGNORECASE)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # an escape of JSON that is no character
_decoder = json.JSONDecoder(strict=False)  # with line breaks inside texts


@dataclass(frozen=True)
class Pair:
    """A question, its answer, and the words of the passage that bear it out, as the teacher copied them."""

    question: str
    answer: str
    quote: str = ""


def parse_pairs(completion: str, finish_reason: str = "stop") -> list[Pair | Rejected]:
    """Every whole item of `completion`. An empty line ends a labelled item that a limit of tokens may have cut.

    Reasons: "cut_off" (the last item of a completion that reached its limit), "malformed_item" (a label is missing or doubled).
    """
    cut = finish_reason == CUT
    brace, label = _OBJECT.search(completion), _LABEL.search(completion)
    is_json = brace and not (label and label.start() < brace.start())
    return list(_objects(completion, cut) if is_json else _labelled(completion, cut))


def begins_with_question(text: str) -> bool:
    """Whether its first words are a question's label, in any of the spellings that are read."""
    label = _LABEL.match(text.lstrip())
    return label is not None and _field(label) == "question"


def _objects(text: str, cut: bool) -> Iterator[Pair | Rejected]:
    """JSON objects that begin with one of our keys, wherever they stand."""
    begin = _OBJECT.search(text)
    while begin:
        start = begin.start()
        try:
            value, end = _decoder.raw_decode(text, start)
        except RecursionError:  # and so for each of the objects inside
            yield Rejected(text[start:], Reason("malformed_item"))
            return
        except ValueError:
            begin = _OBJECT.search(text, begin.end())
            piece = text[start : begin.start() if begin else None].strip()
            yield Rejected(piece, Reason("cut_off" if cut and not begin else "malformed_item"))
        else:
            yield _pair(_known(value)) or Rejected(text[start:end], Reason("malformed_item"))
            begin = _OBJECT.search(text, end)


def _known(value: dict[str, object]) -> dict[str, str] | None:
    """The fields of an object that are ours; None if one is doubled or no text."""
    fields: dict[str, str] = {}
    for key, content in value.items():
        field = _FIELD_OF.get(key.strip().lower())
        if field is None:
            continue
        text = "" if content is None else str(content)
        if field in fields or not isinstance(content, str | int | float | None) or _LONE_SURROGATE.search(text):
            return None
        fields[field] = text.strip()
    return fields


def _labelled(text: str, cut: bool) -> Iterator[Pair | Rejected]:
    """Items from one label of a question to the next; what stands before the first is talk."""
    begun = _NEXT_BEGUN.search(text, max(0, len(text) - _LABEL_LENGTH)) if cut else None
    text = text[: begun.start()] if begun else text
    labels = list(_LABEL.finditer(text))
    starts = [label.start() for label in labels if _field(label) == "question"]
    if not starts and text.strip():
        yield Rejected(text, Reason("cut_off" if cut else "malformed_item"))
    for start, end in pairwise([*starts, len(text)]):
        if cut and not begun and end == len(text):
            yield Rejected(text[start:], Reason("cut_off"))
        else:
            yield _pair(_fields(text[start:end])) or Rejected(text[start:end].strip(), Reason("malformed_item"))


def _fields(piece: str) -> dict[str, str] | None:
    """The texts behind the labels of one item; None if a label is doubled."""
    _, *found = _LABEL.split(piece)
    names = [_FIELD_OF[word.lower()] for word in found[::2]]
    texts = [_bare(text) for text in found[1::2]]
    return dict(zip(names, texts, strict=True)) if len(set(names)) == len(names) else None


def _bare(text: str) -> str:
    """`text` without what belongs to the list around it, and without the end of a fence or of bold face that began before it."""
    lines = text.strip().split("\n")
    while len(lines) > 1 and _BEHIND.fullmatch(lines[-1]):
        lines.pop()
    text = "\n".join(lines).rstrip()
    for mark in _WRAPS:
        if text.endswith(mark) and text.count(mark) % 2:
            text = text.removesuffix(mark).rstrip()
    return text


def _field(label: re.Match[str]) -> str:
    return _FIELD_OF[label.group(1).lower()]


def _pair(fields: dict[str, str] | None) -> Pair | None:
    if not fields or not fields.get("question") or not fields.get("answer"):
        return None
    return Pair(" ".join(fields["question"].split()), fields["answer"], fields.get("quote", ""))
