"""How much of one text stands in another, in order: ROUGE-L. In: texts, out: words, F-measures, decisions.

Self-instruct and Alpaca drop an instruction whose F-measure with one that is there already exceeds 0.7, as the library
`rouge_score` computes it. Its tokenizer knows the letters a-z alone, so of a Korean text nothing remains and no Korean
copy is ever found. Here letters and digits of every script count; on ASCII all decisions are that library's.
"""

import re
import unicodedata
from collections.abc import Sequence

from nabot.errors import ConfigError
from nabot.text import say

LIMIT = 0.7  # Wang et al. 2022, "Self-Instruct", section 2.2
_UNSPACED = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Chinese characters
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words that are compared: runs of letters and digits, case folded and composed (NFC).

    Kana and Chinese characters, which are written without spaces, count one by one. Of ASCII text this is what
    rouge_score's tokenizer gives without its stemmer.
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    return _WORD.findall(unicodedata.normalize("NFC", folded))


def f_measure(common: int, length: int, other: int) -> float:
    """ROUGE-L's F of two texts of `length` and `other` words, of which `common` stand in both in the same order.

    In rouge_score's order of operations: an F of exactly 7/10 comes out as 0.7000000000000001 for about half of all
    lengths (7 of 7 and 13 words, not 7 of 10 and 10), and is above the limit there. Elsewhere rounding decides nothing.
    """
    if not common:
        return 0.0
    precision, recall = common / other, common / length
    return 2 * precision * recall / (precision + recall)


def rouge_l(text: str, other: str) -> float:
    """ROUGE-L's F of two texts, 0 to 1; 0 where one of them has no words. Raises ConfigError without rapidfuzz."""
    ours, theirs = words(text), words(other)
    return f_measure(common_words(ours, theirs), len(ours), len(theirs))


def common_words(ours: Sequence[object], theirs: Sequence[object]) -> int:
    """Length of the longest common subsequence. Raises ConfigError without rapidfuzz."""
    require_rapidfuzz()
    from rapidfuzz.distance import LCSseq

    return LCSseq.similarity(ours, theirs)


def require_rapidfuzz() -> None:
    """Raises ConfigError, which says what to install, where the library of common subsequences is missing."""
    try:
        import rapidfuzz  # noqa: F401
    except ImportError as e:
        raise ConfigError(say("synth.no_library", library="rapidfuzz")) from e
