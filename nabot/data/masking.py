"""Personal data → placeholders. In: conversations, preferences, passages; out: the same with [전화 1] for a number.

One `Mask` is one file: the same thing has the same placeholder wherever it stands there, so that what was said of it stays
true. Masking what is masked changes nothing: placeholders are left alone, and the text between two of them is looked at by
itself until nothing more is found.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from nabot.conversation import Conversation, Message
from nabot.data.imports.types import Passage, Preference
from nabot.data.people import People
from nabot.data.personal import Found, digits, find
from nabot.data.validate import nfc

# What stands in the text in place of each kind, in the language of the text: (English, Korean).
LABELS: dict[str, tuple[str, str]] = {
    "url": ("LINK", "링크"),
    "email": ("EMAIL", "이메일"),
    "iban": ("ACCOUNT", "계좌"),
    "foreigner_number": ("ID NUMBER", "외국인등록번호"),
    "resident_number": ("ID NUMBER", "주민등록번호"),
    "driver_licence": ("LICENCE", "운전면허"),
    "card": ("CARD", "카드"),
    "business_number": ("BUSINESS NUMBER", "사업자번호"),
    "passport": ("PASSPORT", "여권"),
    "phone": ("PHONE", "전화"),
    "account": ("ACCOUNT", "계좌"),
    "ip": ("IP", "IP"),
    "address": ("ADDRESS", "주소"),
    "name": ("NAME", "이름"),
}
PLACEHOLDER = re.compile(rf"(\[(?:{'|'.join(sorted({label for pair in LABELS.values() for label in pair}))}) \d+\])")
_HANGUL = re.compile(r"[가-힣]")
_AS_WRITTEN = ("url", "email", "ip", "address", "name")  # identity of the rest is their digits and letters alone


@dataclass(frozen=True)
class Sighting:
    """One thing that was masked, for a person to look over: where it stood first, how often it was seen."""

    place: str
    kind: str
    placeholder: str
    seen: str  # shortened: a list of what was hidden must not give it away
    times: int
    certain: bool  # a checksum or a word beside it agreed with its shape


class Mask:
    """Masks one file, and remembers what it masked. Memory grows with the things that differ, not with the file."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()  # kind → how often it was masked
        self._people = People()
        self._number_of: dict[tuple[str, str], int] = {}  # (kind, thing) → the number in its placeholder
        self._last_number: Counter[str] = Counter()  # by label, which several kinds may share
        self._sightings: dict[tuple[str, str], Sighting] = {}

    def learn_names(self, names: Iterable[str]) -> None:
        """The people of a chat, whose names are masked from now on."""
        self._people.learn(names)

    @property
    def review(self) -> list[Sighting]:
        """Everything that was masked, each thing once, in the order in which it was first seen."""
        return list(self._sightings.values())

    def conversation(self, conversation: Conversation, place: str = "") -> Conversation:
        """The same with everything personal in its texts and calls replaced; its tools stay as they are."""
        return replace(conversation, messages=self._messages(conversation.messages, place))

    def preference(self, preference: Preference, place: str = "") -> Preference:
        """Turns and both answers. What stands in several of them has one placeholder."""
        return Preference(
            self.conversation(preference.before, place),
            self._messages(preference.chosen, place),
            self._messages(preference.rejected, place),
        )

    def passage(self, passage: Passage) -> Passage:
        """Its text; name and headings of its document stay."""
        return replace(passage, text=self.text(passage.text, f"{passage.source} {passage.place}".strip()))

    def item(self, item: Conversation | Preference | Passage, place: str) -> Conversation | Preference | Passage:
        """Whichever of the three it is; a passage knows its place itself."""
        if isinstance(item, Conversation):
            return self.conversation(item, place)
        return self.preference(item, place) if isinstance(item, Preference) else self.passage(item)

    def text(self, text: str, place: str = "", *, korean: bool | None = None) -> str:
        """One text, in NFC. `korean` says how to call things; None: as the text itself has Hangul or not."""
        text = nfc(text)
        language = int(bool(_HANGUL.search(text)) if korean is None else korean)
        pieces = PLACEHOLDER.split(text)  # every second one is a placeholder
        return "".join(piece if i % 2 else self._masked(piece, place, language) for i, piece in enumerate(pieces))

    def _messages(self, messages: tuple[Message, ...], place: str) -> tuple[Message, ...]:
        korean = any(_HANGUL.search(f"{message.content}{message.context}") for message in messages)
        return tuple(self._message(message, place, korean) for message in messages)

    def _message(self, message: Message, place: str, korean: bool) -> Message:
        def masked(value: Any) -> Any:
            if isinstance(value, str):
                return self.text(value, place, korean=korean)
            if isinstance(value, dict):
                return {key: masked(inner) for key, inner in value.items()}
            return [masked(inner) for inner in value] if isinstance(value, list) else value

        return replace(
            message,
            content=masked(message.content),
            context=masked(message.context),
            tool_calls=tuple(masked(dict(call)) for call in message.tool_calls),
        )

    def _masked(self, text: str, place: str, language: int) -> str:
        found = self._find(text)
        if not found:
            return text
        out, at = [], 0
        for one in found:
            out.append(self._masked(text[at : one.start], place, language))
            out.append(self._placeholder(text[one.start : one.end], one, place, language))
            at = one.end
        return "".join([*out, self._masked(text[at:], place, language)])

    def _find(self, text: str) -> list[Found]:
        found = find(text)
        for name in self._people.find(text):
            if not any(name.start < other.end and other.start < name.end for other in found):
                found.append(name)
        return sorted(found, key=lambda one: one.start)

    def _placeholder(self, seen: str, found: Found, place: str, language: int) -> str:
        thing = (found.kind, self._identity(found.kind, seen))
        if thing not in self._number_of:
            label = LABELS[found.kind][0]
            self._last_number[label] += 1
            self._number_of[thing] = self._last_number[label]
        placeholder = f"[{LABELS[found.kind][language]} {self._number_of[thing]}]"
        first = self._sightings.get(thing)
        fresh = Sighting(place, found.kind, placeholder, _shortened(seen), 1, found.certain)
        self._sightings[thing] = replace(first, times=first.times + 1) if first else fresh
        self.counts[found.kind] += 1
        return placeholder

    def _identity(self, kind: str, seen: str) -> str:
        """What makes two spellings the same thing: 010-1234-5678 is +82 10 1234 5678."""
        if kind == "name":
            return self._people.name_of(seen)
        if kind in _AS_WRITTEN:
            return " ".join(seen.split()).casefold()
        if kind == "phone" and seen.startswith("+82"):
            return "0" + digits(seen)[2:].lstrip("0")
        return "".join(c for c in seen.casefold() if c.isalnum())


def _shortened(seen: str) -> str:
    """The first letters and the last ones: enough to find it again."""
    return f"{seen[:3]}…{seen[-2:]}" if len(seen) > 8 else f"{seen[0]}…"
