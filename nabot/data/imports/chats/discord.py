"""Discord, as DiscordChatExporter saves it → messages. In: its JSON or its CSV.

    {"guild": …, "channel": …, "messages": [{"type": "Default", "timestamp": …, "author": {"name", "nickname", "isBot"}, "content"}]}
    AuthorID,Author,Date,Content,Attachments,Reactions

Source: github.com/Tyrrrz/DiscordChatExporter, JsonMessageWriter and CsvMessageWriter.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nabot.data.faults import Problem, excerpt, problem
from nabot.data.imports.chats.archives import opened
from nabot.data.imports.chats.messages import ChatMessage, ChatReader, Piece
from nabot.data.imports.chats.times import stamp
from nabot.data.imports.chats.transcripts import head_lines, records
from nabot.data.imports.types import Dropped
from nabot.data.jsonlists import elements, pieces_of

Row = Mapping[str, Any]
_COLUMNS = ("AuthorID", "Author", "Date", "Content")
_BY_PEOPLE = ("Default", "Reply")
_MENTION = re.compile(r"<@!?(\d+)>")
_EMOJI = re.compile(r"<a?(:\w+:)\d+>")
_JSON = re.compile(rb'\s*(?:\xef\xbb\xbf)?\s*\{\s*"guild"\s*:')


def _messages(path: Path) -> Iterator[Piece]:
    with path.open("rb") as file:
        is_table = _is_table(head_lines(file.read(1 << 10)))
    return records(path, _COLUMNS, _record) if is_table else _of_json(path)


def _of_json(path: Path) -> Iterator[Piece]:
    with opened(path) as file:
        for element in elements(pieces_of(file), "messages"):
            if isinstance(element.value, Problem):
                yield element.value.at(str(path), element.number)
            elif isinstance(element.value, dict):
                yield _piece(element.value, element.number)
            else:
                yield problem("not_object", seen=excerpt(element.value)).at(str(path), element.number)


def _piece(row: Row, number: int) -> Piece:
    author = row.get("author")
    author = author if isinstance(author, dict) else {}
    if author.get("isBot"):
        return Dropped("bot", str(number))
    name = author.get("nickname") or author.get("name")
    if row.get("type", "Default") not in _BY_PEOPLE or not isinstance(name, str):
        return Dropped("system_message", str(number))
    text = row.get("content")
    if not isinstance(text, str) or not text.strip():
        reasons = {"attachments": "file", "stickers": "sticker", "embeds": "embed"}
        return Dropped(next((reason for key, reason in reasons.items() if row.get(key)), "empty"), str(number))
    return ChatMessage(name, _plain(text, row.get("mentions")), number, stamp(row.get("timestamp")))


def _plain(text: str, mentions: Any) -> str:
    """Mentions and emojis by name, where the export was told to leave them as they are."""
    people = [person for person in mentions if isinstance(person, dict)] if isinstance(mentions, list) else []
    names = {str(person.get("id")): person.get("nickname") or person.get("name") for person in people}
    return _EMOJI.sub(r"\1", _MENTION.sub(lambda match: f"@{names.get(match[1]) or match[1]}", text))


def _record(cells: dict[str, str], row: int) -> Piece:
    if cells["Content"].strip():
        return ChatMessage(cells["Author"], cells["Content"], row, stamp(cells["Date"]))
    return Dropped("file" if cells.get("Attachments") else "empty", str(row))


def _is_table(lines: list[str]) -> bool:
    return bool(lines) and {cell.strip('" ') for cell in lines[0].split(",")}.issuperset(_COLUMNS)


def _recognises(_path: Path, head: bytes) -> bool:
    return bool(_JSON.match(head)) or _is_table(head_lines(head[: 1 << 10]))


DISCORD = ChatReader("discord", _recognises, _messages)
