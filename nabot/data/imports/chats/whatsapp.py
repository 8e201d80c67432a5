"""WhatsApp's exports → messages. In: .txt of Android and of iOS, in the date and the words of the phone's country.

    Android   12/29/21, 8:36 PM - Alice: Hi        2021. 12. 29. 오후 8:36 - 지수: 안녕        29.12.21, 20:36 - Anna: Hallo
    iOS       [29/12/2021, 20:36:01] Alice: Hi     [2021. 12. 29. 오후 8:36:01] 지수: 안녕

What the program says itself has no name on Android; on iOS it begins with an invisible mark of direction (U+200E).
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice, pairwise
from pathlib import Path

from nabot.data.encoding import detect_encoding, read_lines
from nabot.data.imports.chats.messages import ChatReader, Piece
from nabot.data.imports.chats.times import CLOCK, at
from nabot.data.imports.chats.transcripts import Beginning, Written, head_lines, transcript

Numbers = tuple[int, int, int]  # a date as it is written

_PROBED_LINES = 200
_MARK = "\u200e"
_INVISIBLE = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_DAY = r"\d{1,4}[./-]\s?\d{1,2}[./-]\s?\d{1,4}"
_MESSAGE = re.compile(
    rf"{_MARK}?(?P<bracket>\[)?(?P<day>{_DAY})\.?,?\s(?:(?:at|um|à|a las)\s)?(?P<clock>{CLOCK})(?: Uhr)?(?(bracket)\]|\s[-–])\s(?P<rest>.*)"
)
# No quotation marks in front of the colon: somebody changed the subject from "A" to "B: C".
_NAMED = re.compile(r"(?P<name>[^:\"“”]{1,80}): (?P<text>.*)")

_THINGS = (
    "image|photo|picture|video|video note|video message|audio|GIF|sticker|document|contact card|"
    "사진|이미지|동영상|비디오|오디오|음성|스티커|문서|연락처|연락처 카드|Bild|Dokument|imagen|vídeo|vidéo|documento|immagine"
)
_LEFT_OUT = r"omitted|생략(?:됨|되었습니다)?|제외됨|weggelassen|omitid[oa]|omess[oa]|absente?|ocult[oa]"
_ATTACHED = (
    "file attached|파일 첨부됨|첨부된 파일|Datei angehängt|archivo adjunto|fichier joint|arquivo anexado|file allegato"
)
_MEDIA = re.compile(
    r"<[^<>\n]*[\s:][^<>\n]*>|null|"  # <Media omitted>, <미디어 생략>, <attached: 0001.jpg>
    rf"(?:[^\n]{{1,120}} )?(?:{_THINGS}) (?:{_LEFT_OUT})|[^\n]{{1,120}}\.\w{{2,5}} \((?:{_ATTACHED})\)",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(r"[^\n]{1,120}\.[A-Za-z0-9]{2,5}")
_EDITED = re.compile(r"\s*<[^<>\n]*(?:edited|수정|bearbeitet|editó|editad[oa]|modifié|modificato)[^<>\n]*>$")
_NOT_WRITTEN = [
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (
            "deleted",
            r"(?:This message was deleted|You deleted this message|.{0,12}메시지[가는] 삭제되었습니다|(?:내가 )?삭제(?:된|한) 메시지입니다|"
            r"Diese Nachricht wurde gelöscht|Du hast diese Nachricht gelöscht|Se eliminó este mensaje|Eliminaste este mensaje|"
            r"Ce message a été supprimé|Vous avez supprimé ce message|Mensagem apagada|Questo messaggio è stato eliminato)\.?",
        ),
        (
            "call",
            r"(?:Missed|Silenced) (?:group )?v(?:oice|ideo) call(?:, .{1,40})?|v(?:oice|ideo) call, .{1,40}|"
            r"부재중 (?:그룹 )?(?:음성|영상|화상) ?(?:통화|전화)(?:, .{1,40})?|(?:음성|영상) 통화, .{1,40}",
        ),
        (
            "location",
            r"(?:location|위치|Standort|ubicación|localisation|localização): https?://\S+|live location shared|실시간 위치.{0,20}",
        ),
        ("poll", r"(?:POLL|투표|UMFRAGE|ENCUESTA):\n(?s:.*)"),
    )
]


def _match(line: str) -> re.Match[str] | None:
    return _MESSAGE.fullmatch(line.rstrip("\r\n").replace("\u202f", " ").replace("\u00a0", " "))


def _messages(path: Path) -> Iterator[Piece]:
    is_month_first = _is_month_first(path)

    def begins(line: str) -> Beginning | None:
        found = _match(line)
        if found is None:
            return None
        time = at(_day(_numbers(found), is_month_first), found["clock"])
        if named := _NAMED.fullmatch(found["rest"]):
            return Beginning(_INVISIBLE.sub("", named["name"]).lstrip("~ ").strip(), named["text"], time)
        return Beginning(text=found["rest"])

    return transcript(path, begins, _written)


def _written(text: str) -> Written:
    """What a person wrote: the words below a picture stay, those of the program go."""
    plain = _EDITED.sub("", _INVISIBLE.sub("", text)).strip()
    first, _, rest = plain.partition("\n")
    if _MEDIA.fullmatch(first.strip()):
        return ("" if _FILE_NAME.fullmatch(rest.strip()) else rest.strip()), "media"
    reason = next((reason for reason, pattern in _NOT_WRITTEN if pattern.fullmatch(plain)), "")
    if not reason and text.startswith(_MARK):
        reason = "system_message"
    return ("", reason) if reason else (plain, "")


def _is_month_first(path: Path) -> bool:
    """Whether 1/2 is in January: the order in which the file has fewer dates that are none, or that go back in time."""
    lines = (_match(line.text or "") for line in read_lines(path, detect_encoding(path)))
    dates: list[Numbers] = []
    for found in filter(None, lines):
        if _numbers(found) not in dates[-1:]:
            dates.append(_numbers(found))
    return _num_odd(dates, is_month_first=True) < _num_odd(dates, is_month_first=False)


def _num_odd(dates: Sequence[Numbers], *, is_month_first: bool) -> int:
    days = [_day(numbers, is_month_first) for numbers in dates]
    good = [day for day in days if day is not None]
    return len(days) - len(good) + sum(after < before for before, after in pairwise(good))


def _numbers(found: re.Match[str]) -> Numbers:
    first, second, third = map(int, re.findall(r"\d+", found["day"]))
    return first, second, third


def _day(numbers: Numbers, is_month_first: bool) -> date | None:
    """A year in front says the order by itself."""
    first, second, third = numbers
    year, month, day = (third, first, second) if is_month_first else (third, second, first)
    if first > 31:
        year, month, day = first, second, third
    try:
        return date(year + 2000 * (year < 100), month, day)
    except ValueError:
        return None


def _recognises(_path: Path, head: bytes) -> bool:
    found = map(_match, islice(head_lines(head), _PROBED_LINES))
    return any(match and _NAMED.fullmatch(match["rest"]) for match in found)


WHATSAPP = ChatReader("whatsapp", _recognises, _messages)
