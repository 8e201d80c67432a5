"""Characters that do not belong into a text. In: one text as it lies in the file, out: what is wrong with it, and the text without it.

Kinds: "mojibake", "replacement_character", "control_character", "zero_width", "decomposed". All looks but one at a class of
characters are taken only at the few texts that have one of them.
"""

import re
from collections.abc import Iterator

from nabot.data.faults import excerpt
from nabot.data.mojibake import is_lost, put_right
from nabot.data.validate import nfc

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # all but tab and line ends
_INVISIBLE = "\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164\ufeff"
_JAMO = "\u0300-\u036f\u1100-\u11ff\u3099\u309a\ua960-\ua97f\ud7b0-\ud7ff"
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SUSPECT = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_JAMO}\ufffd\xb0-\xf4\u4e00-\u9fff\uf900-\ufaff]")
_LOST = re.compile("[?][가-힣]")
_CONTROL = re.compile(rf"\x1b\[[0-9;?]*[A-Za-z]|[{_CONTROLS}]")  # the first: colours of a terminal
_LINE_ENDS = "\x0b\x0c\x85"  # of other systems
_HIDDEN = re.compile(f"[{_INVISIBLE}]")
_COMBINING = re.compile(f"[{_JAMO}]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_WRITTEN_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai, Lao, Burmese, Khmer
_JOINED = re.compile("[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]")


def damages(text: str) -> Iterator[tuple[str, str]]:
    """(kind, excerpt around it) of each kind of damage in `text`, once."""
    if text.isascii():
        if match := _ASCII_CONTROL.search(text):
            yield "control_character", _around(text, match.start())
        return
    if not is_suspect(text):
        return
    meant = put_right(text)
    if meant != text or is_lost(text):
        yield "mojibake", _around(text, next((i for i, (a, b) in enumerate(zip(text, meant)) if a != b), 0))  # noqa: B905
    if "\ufffd" in meant:
        yield "replacement_character", _around(meant, meant.index("\ufffd"))
    if match := _CONTROL.search(meant):
        yield "control_character", _around(meant, match.start())
    if hidden := next((match for match in _HIDDEN.finditer(meant) if not _is_needed(match)), None):
        yield "zero_width", _around(meant, hidden.start())
    if (match := _COMBINING.search(meant)) and nfc(meant) != meant:
        yield "decomposed", _around(meant, match.start())


def is_suspect(text: str) -> bool:
    """A quick look: False only if there is no damage."""
    if text.isascii():
        return _ASCII_CONTROL.search(text) is not None
    return _SUSPECT.search(text) is not None or may_be_lost(text)


def may_be_lost(text: str) -> bool:
    """Whether a question mark stands where a letter may have been."""
    return "?" in text and _LOST.search(text) is not None


def cleaned(text: str) -> str:
    """`text` without the damage that can be undone; cleaning it again changes nothing."""
    if not is_suspect(text):
        return text
    while (better := _cleaned_once(text)) != text:  # each round takes something away or puts it right
        text = better
    return text


def _cleaned_once(text: str) -> str:
    text = put_right(text)
    text = _CONTROL.sub(lambda match: "\n" if match.group() in _LINE_ENDS else "", text)
    return nfc(_HIDDEN.sub(lambda match: match.group() if _is_needed(match) else "", text))


def _is_needed(match: re.Match[str]) -> bool:
    """Whether what nobody sees does something here: it joins emoji and Indic letters, divides Thai words, turns Arabic."""
    sign, text = match.group(), match.string
    beside = text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1]
    if sign in "\u200c\u200d":
        return bool(_JOINED.search(beside))
    if sign == "\u200b":
        return bool(_WRITTEN_WITHOUT_SPACES.search(beside))
    return sign in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" and bool(
        _RIGHT_TO_LEFT.search(text)
    )


def _around(text: str, place: int) -> str:
    return excerpt(text[max(0, place - 12) : place + 24])
