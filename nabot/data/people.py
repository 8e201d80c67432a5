"""The people of a chat in what is said there. In: their names, out: where a text names one of them, and whom."""

import re
from collections.abc import Iterable, Iterator

from nabot.data.personal import Found
from nabot.data.validate import nfc

# What stands behind a name without a space, one or several: "지수가", "지수씨는요", "Tom이랑".
_BEHIND = (
    "은|는|이|가|을|를|의|에|에게|한테|께|께서|와|과|랑|하고|도|만|야|아|여|네|요|지|고|로|부터|까지|보다|처럼|라고|라는|"
    "입니다|에요|예요|인데|씨|님|군|양|형|누나|언니|오빠|선배|쌤|선생님|팀장님|대리님|과장님|부장님|대표님|사장님"
)
# Relatives are saved under these names, and then every mother would be a person to hide.
_KIN = re.compile(
    "엄마|아빠|어머니|아버지|언니|오빠|누나|동생|할머니|할아버지|이모|삼촌|고모|여보|자기|mom|mum|dad|me|you",
    re.IGNORECASE,
)
# Names that are words, too, and stand in most sentences as such: only those, because a name that is not found is not hidden.
_NAMES_AND_WORDS = (
    "will may mark grace hope rose bill art frank pat rob sue drew chase grant guy dawn joy faith rich young sunny angel "
    "honey penny april june august summer autumn "
    "하늘 사랑 은혜 지혜 슬기 보람 나라 바다 이슬 여름 가을 겨울 소리 우리 하나 미래 기쁨 소망 믿음 희망 행복 보라 유리 우주 "
    "미소 노을 태양 승리 현재 지원 수정 지연 유지 미정 수영 영화"
)
_WORDS = frozenset(_NAMES_AND_WORDS.split())
# 하늘 씨는, 하늘아, 하늘이에요; 하늘이가, where the word would have 하늘이; 하늘 언니가 and 하늘한테, unless it is 우리 (our, us)
_CALLED = re.compile(
    rf" ?(?:씨|님)(?:{_BEHIND})*(?!\w)|(?:[아야]|이에요|예요|입니다|이(?:가|는|를|도|의|와|한테|에게|께|께서))(?!\w)"
    rf"|(?<!우리)(?: ?(?:형|누나|언니|오빠|선배|쌤|선생님)|한테|에게|께서?)(?:{_BEHIND})*(?!\w)"
)
_SENTENCE_ENDS = ("", *".!?…:;\n*•-")
_OPENS = " \t\"'“”‘’(["
_HANGUL_NAME = re.compile(r"[가-힣]{3}")


class People:
    """Names, and the ways in which a text spells them."""

    def __init__(self) -> None:
        self._name_of: dict[str, str] = {}  # spelling → the person's whole name
        self._pattern: re.Pattern[str] | None = None

    def learn(self, names: Iterable[str]) -> None:
        """From now on these are found, too. Whom a spelling meant first it goes on to mean."""
        for name in map(nfc, names):
            for spelling in _spellings(name):
                self._name_of.setdefault(spelling, name)
        longest_first = sorted(self._name_of, key=len, reverse=True)
        alternatives = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?=(?:{_BEHIND})*(?!\w))") if self._name_of else None

    def find(self, text: str) -> Iterator[Found]:
        """Every mention, in order."""
        for match in self._pattern.finditer(text) if self._pattern else ():
            if match[0].casefold() in _WORDS and not _stands_as_name(text, match.start(), match.end()):
                continue
            yield Found(match.start(), match.end(), "name", certain=True)

    def name_of(self, spelling: str) -> str:
        """Whom a mention means."""
        return self._name_of[spelling]


def _stands_as_name(text: str, start: int, end: int) -> bool:
    """Whether a word that is a name, too, is one here: after an @; in Korean where somebody is called by it, or can only be meant;
    otherwise with a capital letter within a sentence, before a comma at its beginning, or with a Korean particle."""
    if text[:start].endswith("@"):
        return True
    if _is_hangul(text[start]):
        return _CALLED.match(text, end) is not None
    within = text[:start].rstrip(_OPENS)[-1:] not in _SENTENCE_ENDS
    return text[start].isupper() and (within or text[end : end + 1] == "," or _is_hangul(text[end : end + 1]))


def _is_hangul(letter: str) -> bool:
    return "가" <= letter <= "힣"


def _spellings(name: str) -> list[str]:
    """The name itself, a Korean one without its surname, and of several words the first. Nothing of one letter."""
    parts = [name, *([name[1:]] if _HANGUL_NAME.fullmatch(name) else []), *name.split()[:1]]
    return [part for part in parts if len(part) > 1 and not _KIN.fullmatch(part) and re.search(r"[^\W\d]", part)]
