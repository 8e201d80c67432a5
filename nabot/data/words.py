"""Whole words, in English and in Korean. In: named lists of words, out: the first one in a text.

English words end where letters end. Korean ones are followed by particles without a space (그림을, 그림에서는), and are also
the beginning of other words (그림자, a shadow): so a Korean word counts if nothing or particles alone follow it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter

# 조사 and endings of 이다. Which ones may follow a word depends on whether it ends in a consonant: 음악이 has a particle, 음악가
# is a musician. Behind a first particle others may follow (들에게는), and those are not looked at so closely.
_ALWAYS = (
    "에서부터|에게서|에서|에게|부터|까지|처럼|보다|마다|조차|밖에|하고|한테|들|의|에|도|만|인|께|"
    "이라고|이라는|이라도|이었던|이에요|입니다|입니까|인가요|이며|이고|이다"
)
_BEHIND_CONSONANT = f"{_ALWAYS}|으로부터|으로|이나|이란|이랑|이든|을|이|은|과|아"
_BEHIND_VOWEL = f"{_ALWAYS}|로부터|라고|라는|라도|예요|였던|로|나|며|란|랑|든|를|가|는|와|야"
_BEHIND_RIEUL = f"{_BEHIND_CONSONANT}|로부터|로"  # 파일로, where 그림 has 으로
_HANGUL = "가-힣ㄱ-ㅎㅏ-ㅣ"
_LATIN = "a-z0-9_"
# Bytes, because they are translated and split many times faster than a pattern walks through a text.
_APART = bytes(byte if re.match(rb"[a-z0-9_]", bytes([byte])) else ord(" ") for byte in range(256))


@dataclass(frozen=True)
class Found:
    """The word as the text has it, in small letters and with its particles, and the name of its list."""

    word: str
    name: str


class WordLists:
    """Lists of words under names. A word that ends in `*` may go on in any way; one of several words has any space between."""

    def __init__(self, lists: Mapping[str, Iterable[str]]) -> None:
        korean = {name: [w for w in words if re.search(f"[{_HANGUL}]", w)] for name, words in lists.items()}
        latin = {name: [w.lower() for w in words if w not in korean[name]] for name, words in lists.items()}
        self._names = list(lists)
        self._latin = _pattern(latin.values(), f"(?<![{_LATIN}])", lambda word: f"(?![{_LATIN}])")
        self._may_have_latin = _latin_look([w for words in latin.values() for w in words])
        self._may_have_korean = _korean_look([w for words in korean.values() for w in words])
        # next to Hangul an English word is whole, too: in "image를" a particle follows it
        self._korean = _pattern(korean.values(), f"(?<![{_HANGUL}])", particles)

    def first(self, text: str) -> Found | None:
        """The first word of any list in `text`, whatever its case; None if there is none."""
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        text = text.lower()  # and patterns of small letters: many times faster than IGNORECASE
        patterns = [self._latin] if self._may_have_latin(text) else []
        if not text.isascii() and self._may_have_korean(text):
            patterns.append(self._korean)
        matches = [match for pattern in patterns if (match := pattern.search(text))]
        if not matches:
            return None
        match = min(matches, key=re.Match.start)
        return Found(match.group(), self._names[(match.lastindex or 1) - 1])


def particles(word: str) -> str:
    """A pattern of what may stand between `word` and the end of letters: particles, or nothing."""
    final = (
        (ord(word[-1]) - ord("가")) % 28 if "가" <= word[-1] <= "힣" else 0
    )  # 받침, in the order of Unicode; 8 is ㄹ
    first = _BEHIND_RIEUL if final == 8 else _BEHIND_CONSONANT if final else _BEHIND_VOWEL
    following = f"{_BEHIND_CONSONANT}|{_BEHIND_VOWEL}"
    return f"(?:(?:{first})(?:{following}){{0,2}})?(?![{_HANGUL}])"


def _latin_look(listed: Iterable[str]) -> Callable[[str], bool]:
    """A quick look at a text in small letters: False only if none of these words is in it.

    It asks for one whole piece of each word, the longest: of "you deserve to die" for "deserve", which few texts have.
    """
    whole: set[bytes] = set()
    beginnings: set[bytes] = set()
    for word in listed:
        *inner, last = _pieces(word.removesuffix("*"))
        if not word.endswith("*"):
            whole.add(max((last, *reversed(inner)), key=len))
        elif inner:
            whole.add(max(inner, key=len))
        else:
            beginnings.add(last)
    shortest = min(map(len, beginnings), default=0)
    heads, head = {word[:shortest] for word in beginnings}, itemgetter(slice(shortest))

    def may_have(text: str) -> bool:
        pieces = _pieces(text)
        return not (whole.isdisjoint(pieces) and heads.isdisjoint(map(head, pieces)))

    return may_have


def _pieces(text: str) -> list[bytes]:
    """The runs of Latin letters and digits in a text in small letters."""
    return text.encode("ascii", "replace").translate(_APART).split()


def _korean_look(listed: Iterable[str]) -> Callable[[str], bool]:
    """The same for Korean words, by how they begin. A pattern of nothing but words skips what begins none of them, which one
    that looks behind first cannot."""
    beginnings = sorted({re.escape(word.removesuffix("*").split()[0]) for word in listed})
    search = re.compile("|".join(beginnings) or "(?!)").search
    return lambda text: search(text) is not None


def _pattern(lists: Iterable[Iterable[str]], before: str, after: Callable[[str], str]) -> re.Pattern[str]:
    """A group for each list; `before` says what may stand before a word, `after` what may follow one without a star."""
    groups = "|".join(f"({_either(words, after)})" for words in lists)
    return re.compile(f"{before}(?:{groups})")


def _either(words: Iterable[str], after: Callable[[str], str]) -> str:
    """One of `words`. Those that are followed by the same things stand together, which keeps the pattern short."""
    by_end: dict[str, list[str]] = {}
    for word in sorted(words, key=len, reverse=True):
        by_end.setdefault("" if word.endswith("*") else after(word), []).append(_spaced(word.removesuffix("*")))
    return "|".join(f"(?:{'|'.join(same)}){end}" for end, same in by_end.items()) or "(?!)"


def _spaced(word: str) -> str:
    return r"\s+".join(map(re.escape, word.split()))
