"""What a text speaks about: its words and numbers in the form in which two texts are compared. In: a text, out: sets.

Words that only hold a sentence together are left out. Two words are the same if they begin alike: of an English one a short
ending is taken off (opens, opened, opening), of a Korean one two syllables count, or one where particles follow it (책은, 책을).
That takes a few words for the same which are not, and no list of forms has to be kept.
"""

import re
import unicodedata
from functools import lru_cache

from nabot.data.language import scripts, written_in
from nabot.data.words import particles
from nabot.synth.seeds import Language

_WORD = re.compile(r"[가-힣]+|[^\W\d_가-힣]+")
_ENDING = re.compile(r"(?<=...)(?:ies|ied|ying|ing|ed|es|ly|e|y|(?<!s)s)$")
_ENGLISH = """a an the and or but if of to in on at by for from with without as is are was were be been being am do does did
done doing has have had having can could will would shall should may might must not no nor so than then that this these those
it its he she they we you him her them us me his their our your my what which who whom whose when where why how there here
about into over under up down out off all any both each few more most other some such only own same too very also just yes
please don doesn didn isn aren wasn weren won couldn shouldn wouldn ll re ve"""
_KOREAN = """이것 그것 저것 무엇 무슨 언제 어디 얼마 어떤 어떻 어느 누구 누가 왜 몇 있습 있나 있는 있어 있을 있다 있고 있으 합니 하나 하는 하면 하려
해요 해야 한다 하고 하며 하여 했습 할 한 됩니 되나 되는 된다 되어 되며 돼요 입니 인가 이다 이며 그리 그러 또는 또한 및 등 것 거 수 때 더 그 이
저 제 저희 위해 대해 대한 따라 통해 경우 네 예 아니"""  # as `_key` gives them
_FILLERS = frozenset(_ENGLISH.split())
_KOREAN_FILLERS = frozenset(_KOREAN.split())
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"\d+\.\d+")
_NUMERALS = "two three four five six seven eight nine ten eleven twelve"
_SPELLED = {word: str(value) for value, word in enumerate(_NUMERALS.split(), 2)}
_SPELLED |= {"다섯": "5", "여섯": "6", "일곱": "7", "여덟": "8", "아홉": "9"}
# mostly something else: "one does not", 네 (yes), 세 (rent), 한 (who did)
_PERHAPS_SPELLED = {"one": "1", "한": "1", "두": "2", "세": "3", "네": "4", "열": "10"}


def prompt_language(text: str) -> Language:
    """The language in which a teacher is asked about `text`: Korean where there is enough Hangul, else English."""
    return "ko" if scripts(text)["hangul"] and written_in(text, "ko") else "en"


def answers_in(text: str, language: Language) -> bool:
    """Whether a teacher that was asked in `language` wrote `text` in it; words that it quotes may be in another one."""
    return prompt_language(text) == language or written_in(text, language)


def content(text: str) -> set[str]:
    """The words of `text` that carry meaning, by their beginnings."""
    words = _WORD.findall(unicodedata.normalize("NFC", text).casefold())
    return {key for word in words if (key := _key(word))}


def numbers(text: str, *, perhaps: bool = False) -> set[str]:
    """The numbers of `text` in one spelling: 1,000 and 1000, 3.50 and 3.5, 09 and 9, "three" and 3; the 00 of 9:00 is none.

    With `perhaps` also what may or may not be one, as "one" in English.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = {plain for number in _NUMBER.findall(folded) for plain in _plain(number)}
    spelled = _SPELLED | _PERHAPS_SPELLED if perhaps else _SPELLED
    return found | {spelled[word] for word in _WORD.findall(folded) if word in spelled}


@lru_cache(maxsize=50_000)
def _key(word: str) -> str:
    """The beginning by which a word is known; "" for a filler."""
    if not "가" <= word[0] <= "힣":
        return "" if len(word) == 1 or word in _FILLERS else _ENDING.sub("", word)
    alone = re.fullmatch(particles(word[0]), word[1:])
    key = word[0] if alone else word[:2]
    return "" if key in _KOREAN_FILLERS else key


def _plain(number: str) -> list[str]:
    if _THOUSANDS.fullmatch(number):
        number = number.replace(",", "")
    if _DECIMAL.fullmatch(number):
        whole, _, part = number.partition(".")
        return [".".join(filter(None, (whole.lstrip("0") or "0", part.rstrip("0"))))]
    return [piece.lstrip("0") or "0" for piece in re.split("[.,]", number) if piece != "00"]
