"""KakaoTalk's exports → messages. In: .txt of Windows, Android and iOS, .csv of the Mac and of newer PCs; Korean or English.

    Windows   --------------- 2023년 5월 1일 월요일 ---------------
              [지수] [오후 3:21] 안녕
    Android   2021년 12월 29일 오후 8:36, 지수 : 안녕          December 29, 2021 at 8:36 PM, Jisoo : Hi
    iOS       2021. 12. 29. 오후 8:36, 지수 : 안녕             Dec 29, 2021 20:36, Jisoo : Hi
    Mac       2021-12-29 20:36:01,"지수","안녕"

Layouts as read by zeikar/kakaotalk-viewer and uoneway/kakaotalk_msg_preprocessor; there is no description by Kakao.
"""

import re
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path

from nabot.data.imports.chats.messages import ChatMessage, ChatReader, Piece
from nabot.data.imports.chats.times import CLOCK, DAY, at, day, stamp
from nabot.data.imports.chats.transcripts import Beginning, Written, head_lines, records, transcript
from nabot.data.imports.types import Dropped

_COLUMNS = ("Date", "User", "Message")
_PROBED_LINES = 200

_PC_DAY = re.compile(rf"-{{5,}}\s*(?:[A-Z][a-z]+day,\s)?({DAY})(?:\s\w+요일)?\s*-{{5,}}")
_PC_MESSAGE = re.compile(rf"\[(?P<name>.+?)\] \[(?P<clock>{CLOCK})\] ?(?P<text>.*)")
# A day alone may be a line of what somebody wrote; with its weekday or a time it is a heading.
_MOBILE_DAY = re.compile(rf"(?:[A-Z][a-z]+day,\s(?P<english>{DAY})|(?P<other>{DAY})\s(?:\w+요일|(?:at )?{CLOCK}))")
_MOBILE_MESSAGE = re.compile(rf"(?:(?P<day>{DAY}),? (?:at )?)?(?P<clock>{CLOCK})(?P<mark>[,:]) (?P<rest>.*)")

# Windows writes what the program itself says without a time, like a line of the message before.
_PROGRAM_SAYS = re.compile(
    r".{1,60}님이 (?:들어왔습니다|나갔습니다|(?:부방장|방장)이 되었습니다|부방장에서 해제되었습니다|.{1,200}님을 초대(?:했|하였)습니다)\.?.{0,12}|"
    r".{1,60}님을 내보냈습니다\.?|.{1,60} (?:has )?(?:joined|left) this chatroom\.?|"
    r".{1,60} has been removed from this chatroom\.?|.{1,60} invited .{1,200} to th(?:is|e) chatroom\.?"
)
_NOT_WRITTEN = [
    (reason, re.compile(pattern))
    for reason, pattern in (
        ("photo", r"사진(?: \d+장)?|<사진[^>]*>|Photos?(?: \d+)?|\d+ photos|[0-9a-f]{32,}\.(?:jpe?g|png|gif|webp)"),
        ("video", r"동영상|Video|[0-9a-f]{32,}\.(?:mp4|mov)"),
        ("voice", r"음성메시지|Voice (?:Note|Message)|[0-9a-f]{32,}\.(?:m4a|aac)"),
        ("emoticon", r"\(?(?:이모티콘|Emoticons?|Sticker)\)?"),
        ("file", r"(?:파일|File) ?: .+"),
        ("deleted", r"삭제된 메시지입니다\.?|Th(?:is|e) message (?:was|has been) deleted\.?"),
        ("hidden", r"채팅방 관리자가 메시지를 가렸습니다\.?|This message has been hidden by .+"),
        (
            "call",
            r"(?:보이스톡|페이스톡|그룹콜|라이브톡) ?(?:해요|부재중|취소|거절|응답 ?없음|시작|종료|\d).*|V(?:oice|ideo) Call(?: .+)?",
        ),
        ("location", r"(?:지도|Map) ?: .+"),
        ("contact", r"(?:연락처|Contact) ?: .+"),
        ("search", r"샵검색 ?: .+"),
    )
]
_EMOTICON_IN_FRONT = re.compile(r"\((?:이모티콘|Emoticon)\)\s+")


class _Lines:
    """Remembers the day, which Windows and old phones write only once, and which of the two layouts the file has."""

    def __init__(self) -> None:
        self._day: date | None = None
        self._message: re.Pattern[str] | None = None

    def begins(self, line: str) -> Beginning | None:
        """The message, day or notice that this line begins."""
        if found := _PC_DAY.fullmatch(line.strip()) or _MOBILE_DAY.fullmatch(line.strip()):
            self._day = day(next(filter(None, found.groups())))
            return Beginning()
        if self._message is None:
            self._message = next((layout for layout in (_PC_MESSAGE, _MOBILE_MESSAGE) if layout.match(line)), None)
        found = self._message.fullmatch(line) if self._message else None
        if found is None:
            return Beginning(text=line) if _PROGRAM_SAYS.fullmatch(line.strip()) else None
        return self._of_pc(found) if self._message is _PC_MESSAGE else self._of_mobile(found)

    def _of_pc(self, found: re.Match[str]) -> Beginning:
        return Beginning(found["name"], found["text"], at(self._day, found["clock"]))

    def _of_mobile(self, found: re.Match[str]) -> Beginning | None:
        name, mark, text = found["rest"].partition(" : ")
        is_message = bool(mark) and found["mark"] == ","
        if found["day"] is None and not is_message:  # "8:30, 좋아" is what somebody wrote
            return None
        time = at(day(found["day"]) if found["day"] else self._day, found["clock"])
        return Beginning(name, text, time) if is_message else Beginning(text=found["rest"])


def _messages(path: Path) -> Iterator[Piece]:
    with path.open("rb") as file:
        if _is_table(head_lines(file.read(1 << 10))):
            return records(path, _COLUMNS, _record)
    return transcript(path, _Lines().begins, _written)


def _record(cells: dict[str, str], row: int) -> Piece:
    when, name, message = (cells[column] for column in _COLUMNS)
    text, reason = _written(message.strip())
    if not name or _PROGRAM_SAYS.fullmatch(text):
        text, reason = "", reason or "system_message"
    return ChatMessage(name, text, row, stamp(when)) if text else Dropped(reason or "empty", str(row))


def _written(text: str) -> Written:
    """What a person wrote, without the word that stands for an emoticon in front."""
    reason = next((reason for reason, pattern in _NOT_WRITTEN if pattern.fullmatch(text)), "")
    return ("", reason) if reason else (_EMOTICON_IN_FRONT.sub("", text), "")


def _is_table(lines: list[str]) -> bool:
    return bool(lines) and tuple(cell.strip('" ') for cell in lines[0].split(",")) == _COLUMNS


def _recognises(_path: Path, head: bytes) -> bool:
    lines = head_lines(head)
    if _is_table(lines):
        return True
    begins = _Lines().begins
    found = (begins(line) for line in islice(lines, _PROBED_LINES))
    return any(beginning is not None and beginning.name for beginning in found)


KAKAOTALK = ChatReader("kakaotalk", _recognises, _messages)
