"""Korean particles that depend on the word before them. In: a template and its fields, out: 은 or 는, 이 or 가, 을 or 를 …

A template of `text_ko.py` names the form after a consonant as the format of a field: "{name:을}" is "모델을", "토크나이저를".
Hangul is decided by its final consonant, a number by how its last digit is read, a Latin word by how it is usually
written in Hangul (spec: 표준국어대사전, 조사; 외래어 표기법 제3장 제1절).
"""

import re
from typing import Any

from nabot.quoting import QuotingFormatter

# After a consonant, and after a vowel.
PARTICLES = {"은": "는", "이": "가", "을": "를", "과": "와", "이라": "라", "으로": "로"}
_FIRST, _LAST, _FINALS, _RIEUL = "가", "힣", 28, 8  # U+AC00 + 28 · (initial, vowel) + final
_SPOKEN_SIGNS = dict(zip("0123456789%", (21, 8, 0, 16, 0, 0, 1, 8, 8, 0, 0), strict=True))  # 영 일 이 … 구, 퍼센트
_LETTERS = {"l": _RIEUL, "m": 16, "n": 4, "r": _RIEUL}  # 엘, 엠, 엔, 알; the names of all others end in a vowel
_CONSONANT = re.compile(r"(?:[aeiouy][bckpt]|[aeiouy]ng|[mn])$")  # 북, 셋, 링, 폼; but 랭크, 테스트, 태그
_SPOKEN = re.compile(r"[가-힣A-Za-z0-9%]+(?=[^가-힣A-Za-z0-9%]*$)")  # what quotes and brackets stand around


def particle(word: str, after_consonant: str) -> str:
    """The form of a particle, named by the one after a consonant, that follows `word`. Raises KeyError on an unknown one."""
    after_vowel = PARTICLES[after_consonant]
    final = _final(word)
    is_vowel = final == 0 or (after_consonant == "으로" and final == _RIEUL)
    return after_vowel if is_vowel else after_consonant


def _final(word: str) -> int:
    """The number of the final consonant in Unicode's order; 0 where a vowel ends the word."""
    found = _SPOKEN.search(word)
    if not found:
        return 0
    spoken = found.group()
    last = spoken[-1]
    if _FIRST <= last <= _LAST:
        return (ord(last) - ord(_FIRST)) % _FINALS
    if last in _SPOKEN_SIGNS:
        return _SPOKEN_SIGNS[last]
    letters = re.findall("[A-Za-z]+", spoken)[-1]
    if len(letters) == 1 or letters.isupper():
        return _LETTERS.get(last.lower(), 0)
    if last.lower() == "l":
        return _RIEUL
    return 1 if _CONSONANT.search(letters.lower()) else 0


class KoreanFormatter(QuotingFormatter):
    """As its parent, and a field's format may be a particle that follows it."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        """The value as it is written, and the particle behind it."""
        if format_spec in PARTICLES:
            return f"{value}{particle(str(value), format_spec)}"
        return super().format_field(value, format_spec)
