"""Personal data in a text. In: text, out: where it stands, of which kind, and how certain that is.

Precision comes first: a kind is a shape and a check. A number whose shape says little counts only behind a word that says what
it is ("계좌", "passport"). `KINDS` is the whole list; where two overlap, the one that stands further up there wins.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from nabot.data.addresses import ADDRESS
from nabot.data.checksums import business_number, iban, luhn, resident_number

_LABEL_REACH = (
    40  # characters in which words such as "계좌번호는" or "business registration number" stand before a number
)
_HYPHEN = r"[-‐‑–−]"
_GAP = r"[-‐‑–−. ]"
# A number is never a piece of a longer one, nor of a word or a code.
_FROM = r"(?<![0-9A-Za-z_])(?<![0-9][-.,])"
_TO = r"(?![0-9A-Za-z_])(?![-.,][0-9])"


@dataclass(frozen=True)
class Found:
    """`text[start:end]` is of this kind; `certain` where a checksum or a word before it says so, too."""

    start: int
    end: int
    kind: str
    certain: bool = False


Check = Callable[[str, str], bool | None]  # (match, text before it) → certain, or None: it is not of this kind


@dataclass(frozen=True)
class Kind:
    """One kind of personal data; `name` is a stable slug."""

    name: str
    pattern: re.Pattern[str]
    check: Check = lambda _match, _before: False


def find(text: str) -> list[Found]:
    """Everything personal in `text` in its order; nothing overlaps."""
    if not may_be_personal(text):
        return []
    taken: list[Found] = []
    for kind in KINDS:
        taken += [found for found in _of(kind, text) if not any(_overlap(found, other) for other in taken)]
    return sorted(taken, key=lambda found: found.start)


def may_be_personal(text: str) -> bool:
    """A quick look: False only if `find` finds nothing."""
    return "@" in text or "://" in text or _NUMBER_LIKE.search(text) is not None


def _of(kind: Kind, text: str) -> Iterator[Found]:
    for match in kind.pattern.finditer(text):
        certain = kind.check(match.group(), text[max(0, match.start() - _LABEL_REACH) : match.start()])
        if certain is not None:
            yield Found(match.start(), match.end(), kind.name, certain)


def _overlap(a: Found, b: Found) -> bool:
    return a.start < b.end and b.start < a.end


def digits(text: str) -> str:
    """The digits alone, as 0 to 9."""
    return "".join(str(int(c)) for c in text if c.isdecimal())


# ---- numbers of people and firms


def _resident(match: str, before: str) -> bool | None:
    """YYMMDD, then a digit for century and sex: 1–4 of Koreans, 5–8 of foreigners. Source: 주민등록법 시행규칙 제2조.

    The last digit was a checksum until October 2020; numbers given since then have none, so it only adds certainty. Thirteen
    digits without a hyphen are as likely a barcode (those of Korea begin with 880), so they need one thing more.
    """
    number = digits(match)
    if not _is_birth_date(number):
        return None
    certain = resident_number(number) or bool(_RESIDENT_LABEL.search(before))
    return certain if certain or re.search(_HYPHEN, match) else None


def _is_birth_date(number: str) -> bool:
    century = 1900 if number[6] in "1256" else 2000
    try:
        born = date(century + int(number[:2]), int(number[2:4]), int(number[4:6]))
    except ValueError:
        return False
    return born <= date.today()


def _business(match: str, before: str) -> bool | None:
    """Ten digits with a checksum, and hyphens or a word for it before them."""
    has_hyphens = not match.isdigit()
    return True if business_number(digits(match)) and (has_hyphens or _BUSINESS_LABEL.search(before)) else None


def _labelled(label: re.Pattern[str]) -> Check:
    """It counts only behind one of these words."""
    return lambda _match, before: True if label.search(before) else None


def _card(match: str, _before: str) -> bool | None:
    """The checksum of cards; zeros alone have it, too."""
    number = digits(match)
    return True if luhn(number) and len(set(number)) > 1 else None


def _account_abroad(match: str, _before: str) -> bool | None:
    return True if iban("".join(match.split())) else None


# ---- addresses of people and machines


def _public_ip(match: str, before: str) -> bool | None:
    """Only addresses of the open internet point at somebody; 192.168.0.1 is every router, and "version 1.2.3.4" none."""
    try:
        address = ipaddress.ip_address(match)
    except ValueError:
        return None
    return False if address.is_global and not _VERSION.search(before) else None


def _secret_url(match: str, _before: str) -> bool | None:
    """A link that lets whoever has it in: a password in front of the host, or a key behind a telling name."""
    return True if _URL_SECRET.search(match) else None


def _word(words: str) -> re.Pattern[str]:
    """One of these words near the end, with nothing but particles and signs behind it."""
    return re.compile(rf"(?:{words})[^0-9\n]{{0,12}}$", re.IGNORECASE)


# Everything below has one of these: an @, a link, six digits and signs in a row, or a number behind Hangul.
_NUMBER_LIKE = re.compile(r"\d(?:[\dA-Z.()‐‑–−\- ]{5}|[0-9a-fA-F]{3}:|(?<=[가-힣]\d)|(?<=[가-힣]\s\d))")
_RESIDENT_LABEL = _word(
    r"주민\s?(?:등록)?\s?번호|주민번호|주민등록|외국인\s?등록\s?번호|resident (?:registration )?number|RRN"
)
_BUSINESS_LABEL = _word(r"사업자\s?(?:등록)?\s?번호|사업자|business (?:registration )?number")
_PASSPORT_LABEL = _word(r"여권\s?(?:번호)?|passport(?: (?:number|no\.?))?")
_LICENCE_LABEL = _word(r"면허\s?(?:증)?\s?(?:번호)?|driver'?s licen[cs]e(?: (?:number|no\.?))?")
_ACCOUNT_LABEL = _word(
    r"계좌\s?(?:번호)?|입금|송금|이체|은행|뱅크|농협|수협|신협|새마을금고|우체국|토스|"
    r"account (?:number|no\.?)|acct\.?(?: no\.?)?|account"
)
_VERSION = re.compile(r"(?:version|ver\.?|\bv|release|버전|릴리스|릴리즈)\s*$", re.IGNORECASE)
_URL_SECRET = re.compile(
    r"://[^/\s:@]+:[^/\s@]+@|eyJ[\w-]{8,}\.eyJ[\w-]+|"
    r"[?&#;](?:[\w-]*(?:token|secret|signature|password|passwd|session)|[\w-]*api[_-]?key|auth|sig|pwd|sid|jwt|key)=[^&\s]{8,}",
    re.IGNORECASE,
)

_MOBILE = rf"01[016789]\)?{_GAP}?\d{{3,4}}{_GAP}\d{{4}}|010\d{{8}}"
_AREA = r"(?:02|0(?:3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|80|50\d))"
_LAND_LINE = rf"\(?{_AREA}\)?{_GAP}?\d{{3,4}}{_GAP}\d{{4}}"
_KOREA = rf"\+82{_GAP}?(?:\(?0\)?{_GAP}?)?(?:1[016789]|2|[3-6][1-5]|70|50\d){_GAP}?\d{{3,4}}{_GAP}?\d{{4}}"
_ABROAD = rf"\+(?!82)[1-9]\d{{0,2}}(?:{_GAP}?\(\d{{1,4}}\))?(?:{_GAP}?\d{{2,4}}){{2,4}}(?:{_GAP}\d{{1,4}})?"
_NORTH_AMERICA = rf"(?:1{_GAP})?(?:\([2-9]\d{{2}}\)\s?|[2-9]\d{{2}}{_GAP})[2-9]\d{{2}}{_GAP}\d{{4}}"
_PHONE = rf"(?:(?<![0-9A-Za-z+])(?:{_KOREA}|{_ABROAD})|{_FROM}(?:{_MOBILE}|{_LAND_LINE}|{_NORTH_AMERICA})){_TO}"


def _phone(match: str, _before: str) -> bool | None:
    """Numbers with a country code have up to 15 digits (ITU-T E.164); ungrouped, ten at least, or any sum would be one."""
    fewest = 8 if re.search(_GAP, match) else 10
    return False if not match.startswith("+") or fewest <= len(digits(match)) <= 15 else None


def _grouped(*sizes: int) -> str:
    return _HYPHEN.join(rf"\d{{{size}}}" for size in sizes)


# How the banks of Korea group the digits of an account; 4-3-6 and 4-2-7 only with the beginnings that are in use, because
# years begin numbers of orders and of papers, too.
_GROUPS = ((6, 2, 6), (3, 3, 6), (3, 4, 4, 2), (3, 6, 5), (3, 6, 2, 3), (3, 2, 6))
_ACCOUNTS = "|".join(_grouped(*sizes) for sizes in _GROUPS) + (
    rf"|100[2-6]{_HYPHEN}{_grouped(3, 6)}|(?:3333|3355|3388|7777|7979){_HYPHEN}{_grouped(2, 7)}"
)
_CARD = rf"(?:2[2-7]|[3-69]\d)\d{{2}}(?:{_GAP}?\d{{4}}){{3}}|3[47]\d{{2}}{_GAP}?\d{{6}}{_GAP}?\d{{5}}"  # the last: Amex
_LICENCE = (
    rf"{_FROM}(?:1[1-9]|2[0-8]){_HYPHEN}{_grouped(2, 6, 2)}{_TO}|"  # 11 to 28: where it was given
    rf"(?:서울|부산|경기|강원|충북|충남|전북|전남|경북|경남|제주|대구|인천|광주|대전|울산)\s?{_grouped(2, 6, 2)}{_TO}"
)
_URL = r"\b[a-z][a-z0-9+]{1,9}://[^\s<>\"'`)\]}|\\가-힣]+(?<![.,;:!?])"
_EMAIL = (
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}@"
    r"(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![A-Za-z0-9@])"
)
_IP_4 = r"(?<![0-9A-Za-z_.:-])(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z_-]|\.\d)"
_IP_6 = r"(?<![0-9A-Za-z_.:])[23][0-9a-f]{3}:[0-9a-f:]{2,34}(?![0-9A-Za-z_:])"  # what is given out begins with 2 or 3

KINDS: tuple[Kind, ...] = (
    Kind("url", re.compile(_URL, re.IGNORECASE), _secret_url),
    Kind("email", re.compile(_EMAIL)),
    Kind(
        "iban",
        re.compile(rf"{_FROM}[A-Z]{{2}}\d{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,3}})?{_TO}"),
        _account_abroad,
    ),
    Kind("foreigner_number", re.compile(rf"{_FROM}\d{{6}}\s?{_HYPHEN}?\s?[5-8]\d{{6}}{_TO}"), _resident),
    Kind("resident_number", re.compile(rf"{_FROM}\d{{6}}\s?{_HYPHEN}?\s?[1-4]\d{{6}}{_TO}"), _resident),
    Kind("driver_licence", re.compile(_LICENCE)),
    Kind("driver_licence", re.compile(rf"{_FROM}(?:\d{{12}}|[A-Z]\d{{7,8}}){_TO}"), _labelled(_LICENCE_LABEL)),
    Kind("card", re.compile(rf"{_FROM}(?:{_CARD}){_TO}"), _card),
    Kind("business_number", re.compile(rf"{_FROM}\d{{3}}{_HYPHEN}?\d{{2}}{_HYPHEN}?\d{{5}}{_TO}"), _business),
    Kind("passport", re.compile(rf"{_FROM}[MSROD]\d{{3}}[A-Z]\d{{4}}{_TO}")),  # Korea since December 2021
    Kind("passport", re.compile(rf"{_FROM}[A-Za-z]{{0,2}}\d{{7,9}}{_TO}"), _labelled(_PASSPORT_LABEL)),
    Kind("phone", re.compile(_PHONE), _phone),
    Kind("account", re.compile(rf"{_FROM}(?:{_ACCOUNTS}){_TO}")),
    Kind("account", re.compile(rf"{_FROM}\d(?:{_HYPHEN}?\d){{9,13}}{_TO}"), _labelled(_ACCOUNT_LABEL)),
    Kind("ip", re.compile(_IP_4), _public_ip),
    Kind("ip", re.compile(_IP_6, re.IGNORECASE), _public_ip),
    Kind("address", re.compile(ADDRESS)),
)
