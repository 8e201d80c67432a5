"""Bytes that occur in Korean text alone. In: a piece of UTF-8, perhaps cut inside a character, out: yes or no.

A merge of such bytes leaves every text without Hangul as it was, so a vocabulary can grow without English and code
getting other ids.   Source of the ranges: Unicode 16, Blocks.txt.
"""

import codecs

# Jamo · compatibility jamo · extended jamo A · syllables and extended jamo B, up to what UTF-8 never holds (surrogates)
_RANGES = ((0x1100, 0x11FF), (0x3131, 0x318E), (0xA960, 0xA97F), (0xAC00, 0xDFFF))


def is_hangul(letter: str) -> bool:
    return _range_of(ord(letter)) is not None


def only_in_hangul(piece: bytes) -> bool:
    """Whether every text with these bytes in it has a Hangul letter; `piece` is cut out of valid UTF-8."""
    whole = piece.lstrip(bytes(range(0x80, 0xC0)))  # the end of a character that began before
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return any(map(is_hangul, decoder.decode(whole))) or _begins_hangul(decoder.getstate()[0])


def _begins_hangul(start: bytes) -> bool:
    """Whether every character that begins with these bytes is Hangul; False for no bytes."""
    if not 0xE0 <= (start[0] if start else 0) < 0xF0:  # all Hangul has three bytes
        return False
    first, last = (_code((start + fill * 2)[:3]) for fill in (b"\x80", b"\xbf"))
    return _range_of(first) is not None and _range_of(first) == _range_of(last)


def _code(three: bytes) -> int:
    lead, second, third = three
    return (lead & 0x0F) << 12 | (second & 0x3F) << 6 | third & 0x3F


def _range_of(code: int) -> int | None:
    return next((n for n, (first, last) in enumerate(_RANGES) if first <= code <= last), None)
