"""Text that was read in the wrong encoding → the text that was meant. In: text, out: the same, put right where that is certain.

Three accidents are common with English and Korean: UTF-8 read as Latin-1 or CP1252 ("cafÃ©", "ì•ˆë…•"), CP949 read as Latin-1
("ÇÑ±Û"), and UTF-8 read as CP949. What happened to the bytes is undone; it is believed only where the result is text, because
"é »" in French is one valid character of UTF-8, too.
"""

import re
import unicodedata
from functools import cache

_ROUNDS = 3  # files that were spoilt twice exist; thrice is the most that anybody reported
# What CP1252 makes of the bytes 80 to 9F; the five that it has no sign for stay control characters.
_CP1252 = {
    byte: bytes([byte]).decode("cp1252") for byte in range(0x80, 0xA0) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
_BYTE_OF = {ord(sign): byte for byte, sign in _CP1252.items()}
_NEXT = "\x80-\xbf" + "".join(_CP1252.values())
_SEQUENCE = f"[\xc2-\xdf][{_NEXT}]|[\xe0-\xef][{_NEXT}]{{2}}|[\xf0-\xf4][{_NEXT}]{{3}}"
_UTF8_RUN = re.compile(f"(?:{_SEQUENCE})+")
_KOREAN_RUN = re.compile("(?:[\xb0-\xc8][\xa1-\xfe])+")  # the bytes of the syllables of KS X 1001
_FEWEST_SYLLABLES = 2
_SIGN, _LETTER = re.compile("[\xa1-\xbf]"), re.compile("[\xc0-\xfe]")
_ALONE = re.compile("\xc2|\xc3|â€|â\x80|â„|ï¿½|ï»¿|ðŸ|ð\x9f")  # beginnings that one sequence is believed with
_EAST_ASIAN = ("HANGUL", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC", "FULLWIDTH")
_IDEOGRAPH = re.compile("[\u4e00-\u9fff\uf900-\ufaff]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_HANGUL = re.compile("[가-힣]")
_RARE_AT_LEAST, _RARE_SHARE = 3, 0.3


def put_right(text: str) -> str:
    """The text that was meant; the same if nothing is wrong, or nothing certain is known."""
    for _ in range(_ROUNDS):
        better = _utf8_as_cp949(_korean_as_latin(_utf8_as_latin(text)))
        if better == text:
            break
        text = better
    return text


def is_lost(text: str) -> bool:
    """Whether it was spoilt in a way that lost bytes: 占쏙옙 is what CP949 makes of replacement characters, and syllables that
    no Korean word has, with question marks between them, are what it makes of Hangul."""
    if "占쏙옙" in text:
        return True
    rare = len(_rare_syllable().findall(text)) if "?" in text else 0
    return rare >= _RARE_AT_LEAST and rare >= _RARE_SHARE * len(_HANGUL.findall(text))


def _utf8_as_latin(text: str) -> str:
    runs = [match for match in _UTF8_RUN.finditer(text) if _decoded(match.group())]
    if not any(_is_certain(match, text) for match in runs):
        return text
    return _UTF8_RUN.sub(lambda match: _decoded(match.group()) or match.group(), text)


def _is_certain(run: re.Match[str], text: str) -> bool:
    """Several characters of one alphabet in a row, or one behind a beginning that nobody types."""
    decoded = _decoded(run.group())
    if len(decoded) > 1 and len(set(map(_alphabet, decoded))) == 1:
        return True
    return bool(_ALONE.match(run.group())) and not text[max(0, run.start() - 1) : run.start()].isupper()


def _alphabet(character: str) -> str:
    """The first word of its name; those of East Asia are written together."""
    first = unicodedata.name(character, "?").partition(" ")[0]
    return "EAST" if first in _EAST_ASIAN else first


@cache
def _letter_exists(character: str) -> bool:
    return unicodedata.category(character) not in ("Cn", "Co", "Cc")


def _decoded(run: str) -> str:
    """The run's bytes as UTF-8; empty if they are none, or stand for nothing that exists."""
    try:
        decoded = bytes(_BYTE_OF.get(ord(c), ord(c)) for c in run).decode()
    except UnicodeDecodeError:
        return ""
    return decoded if all(map(_letter_exists, decoded)) else ""


def _korean_as_latin(text: str) -> str:
    if not any(map(_is_korean, _KOREAN_RUN.findall(text))):
        return text
    return _KOREAN_RUN.sub(lambda match: match.group().encode("latin-1").decode("euc_kr", errors="ignore"), text)


def _is_korean(run: str) -> bool:
    """Several syllables, with signs and letters mixed as nobody types them: "····", "°±²³" and "ÂÊÂÊ" are what they are."""
    syllables = {run[i : i + 2] for i in range(0, len(run), 2)}
    return len(syllables) >= _FEWEST_SYLLABLES and bool(_SIGN.search(run) and _LETTER.search(run))


def _utf8_as_cp949(text: str) -> str:
    """All or nothing: Korean in CP949 is hardly ever valid UTF-8, and never Hangul again."""
    if not _IDEOGRAPH.search(text):  # the first byte of Hangul in UTF-8 begins an ideograph in CP949
        return text
    try:
        better = _NOT_ASCII.sub(lambda match: match.group().encode("cp949").decode(), text)
    except UnicodeError:
        return text
    return better if _HANGUL.search(better) else text


@cache
def _rare_syllable() -> re.Pattern[str]:
    """The 8,822 syllables that are not in KS X 1001: hardly any word has one."""
    common = {bytes([lead, trail]).decode("euc_kr") for lead in range(0xB0, 0xC9) for trail in range(0xA1, 0xFF)}
    return re.compile("[" + "".join(chr(c) for c in range(ord("가"), ord("힣") + 1) if chr(c) not in common) + "]")
