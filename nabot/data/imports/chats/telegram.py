"""Telegram Desktop's export → messages. In: result.json of one chat or of all; out: messages, each chat a room.

    {"name": "지수", "type": "personal_chat", "messages": [{"type": "message", "date": …, "from": "지수", "text": … or a list of pieces}]}

Source: core.telegram.org/import-export.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nabot.data.faults import Problem, excerpt, problem
from nabot.data.imports.chats.archives import opened
from nabot.data.imports.chats.messages import ChatMessage, ChatReader, Piece
from nabot.data.imports.chats.times import stamp
from nabot.data.imports.types import Dropped
from nabot.data.jsonlists import elements, pieces_of

Row = Mapping[str, Any]
_ONE_CHAT = re.compile(
    rb'"type"\s*:\s*"(?:personal_chat|private_(?:super)?group|public_(?:super)?group|private_channel|public_channel|saved_messages|bot_chat)"'
)
_MEDIA = {
    "sticker": "sticker",
    "voice_message": "voice",
    "video_message": "video",
    "video_file": "video",
    "animation": "video",
    "audio_file": "file",
}
_OTHER = {
    "photo": "photo",
    "file": "file",
    "location_information": "location",
    "contact_information": "contact",
    "poll": "poll",
}


def _messages(path: Path) -> Iterator[Piece]:
    with opened(path) as file:
        for number, element in enumerate(elements(pieces_of(file), "messages"), start=1):
            if isinstance(element.value, Problem):
                yield element.value.at(str(path), number)
            elif isinstance(element.value, dict):
                yield _piece(element.value, number, str(element.list_number))
            else:
                yield problem("not_object", seen=excerpt(element.value)).at(str(path), number)


def _piece(row: Row, number: int, room: str) -> Piece:
    if row.get("type") != "message":
        return Dropped("system_message", str(number))
    if row.get("forwarded_from") or row.get("via_bot"):  # somebody else's words
        return Dropped("forwarded", str(number))
    name = row.get("from") or row.get("from_id")  # an account that was deleted has no name
    text = _plain(row.get("text"))
    if not text.strip() or not isinstance(name, str):
        media = _MEDIA.get(str(row.get("media_type"))) or next((_OTHER[key] for key in _OTHER if row.get(key)), "empty")
        return Dropped(media, str(number))
    return ChatMessage(name, text, number, stamp(row.get("date_unixtime") or row.get("date")), room=room)


def _plain(text: Any) -> str:
    """A text with links or bold words in it comes in pieces."""
    pieces = text if isinstance(text, list) else [text]
    words = (piece.get("text") if isinstance(piece, dict) else piece for piece in pieces)
    return "".join(word for word in words if isinstance(word, str))


def _recognises(_path: Path, head: bytes) -> bool:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and bool(_ONE_CHAT.search(start)) and b'"messages"' in start


TELEGRAM = ChatReader("telegram", _recognises, _messages)
