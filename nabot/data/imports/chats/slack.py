"""Slack's export → messages. In: the .zip or the folder (users.json, a folder a channel, a file a day); out: messages.

A thread is a conversation of its own, however long people took; the rest of a channel is one run of messages. Subtypes and
`<@U123>` are described at docs.slack.dev (message events; formatting message text).
"""

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from nabot.data.faults import Fault, excerpt, problem
from nabot.data.imports.chats.archives import holds, load, root_of
from nabot.data.imports.chats.messages import ChatMessage, ChatReader, Piece
from nabot.data.imports.chats.times import stamp
from nabot.data.imports.types import Dropped
from nabot.errors import DataError
from nabot.text import say

Row = Mapping[str, Any]
_USERS = "users.json"
_DAY_FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_BY_PEOPLE = (None, "me_message", "thread_broadcast", "file_share")
_REASONS = {"bot_message": "bot", "tombstone": "deleted", "file_comment": "file", "file_mention": "file"}
_MARKUP = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
# Until 2018 a file spoke for its sender: "<@U1> uploaded a file: <https://…>".
_UPLOADED = re.compile(r"<@\w+(?:\|[^>]*)?> (?:uploaded|shared) a file: ")


def _messages(path: Path) -> Iterator[Piece]:
    root = root_of(path, _USERS)
    if root is None:
        raise DataError(say("data.chat.not_slack", path=path))
    users = load(path, root.joinpath(_USERS), _USERS)
    if isinstance(users, Fault):
        yield users
    names = _names(users if isinstance(users, list) else [])
    for channel in sorted((entry for entry in root.iterdir() if entry.is_dir()), key=lambda entry: entry.name):
        yield from _channel(path, channel, names)


def _names(users: list[Any]) -> dict[str, str]:
    """User → the name that others see; two people of one name also have their handle, which is unique."""
    known = [user for user in users if isinstance(user, dict) and isinstance(user.get("id"), str)]
    shown = {user["id"]: _shown_name(user.get("profile"), user) for user in known}
    times = Counter(shown.values())
    handles = {user["id"]: str(user.get("name", user["id"])) for user in known}
    return {key: f"{name} ({handles[key]})" if times[name] > 1 else name for key, name in shown.items()}


def _shown_name(profile: Any, user: Row) -> str:
    profile = profile if isinstance(profile, dict) else {}
    names = (
        profile.get("display_name"),
        profile.get("real_name"),
        user.get("real_name"),
        user.get("name"),
        user.get("id"),
    )
    return next((name for name in names if isinstance(name, str) and name), "?")


def _channel(path: Path, channel: Traversable, names: Mapping[str, str]) -> Iterator[Piece]:
    """The run of the channel, then its threads. A channel is held in memory: replies may come months later."""
    rooms: dict[str, list[ChatMessage]] = {channel.name: []}
    for file in sorted(
        (file for file in channel.iterdir() if _DAY_FILE.fullmatch(file.name)), key=lambda file: file.name
    ):
        member = f"{channel.name}/{file.name}"
        rows = load(path, file, member)
        if isinstance(rows, Fault):
            yield rows
            continue
        for number, row in enumerate(rows if isinstance(rows, list) else [rows], start=1):
            piece = _piece(path, row, ChatMessage("", "", number, member=member, room=channel.name), names)
            if isinstance(piece, ChatMessage):
                rooms.setdefault(piece.room, []).append(piece)
            else:
                yield piece
    for messages in rooms.values():
        yield from messages


def _piece(path: Path, row: Any, blank: ChatMessage, names: Mapping[str, str]) -> Piece:
    """One message of a day's file, put where `blank` says."""
    if not isinstance(row, dict):
        return problem("not_object", seen=excerpt(row)).at(f"{path}/{blank.member}", blank.row)
    subtype, text, user = row.get("subtype"), row.get("text"), row.get("user")
    if row.get("bot_id") and subtype in _BY_PEOPLE:
        return Dropped("bot", blank.place)
    if subtype not in _BY_PEOPLE or not isinstance(user, str):
        return Dropped(_REASONS.get(str(subtype), "system_message"), blank.place)
    if not isinstance(text, str) or not text.strip() or _UPLOADED.match(text):
        return Dropped("file" if row.get("files") or row.get("file") else "empty", blank.place)
    profile = row.get("user_profile")  # of people from other workspaces, who are not in users.json
    name = names.get(user) or _shown_name(profile, {"id": user})
    thread = row.get("thread_ts")
    room = f"{blank.room}/{thread}" if thread else blank.room
    return replace(
        blank, name=name, text=_plain(text, names), time=stamp(row.get("ts")), room=room, is_whole=bool(thread)
    )


def _plain(text: str, names: Mapping[str, str]) -> str:
    """Mentions by name, links by their words, & for &amp;."""

    def spelled(match: re.Match[str]) -> str:
        sign, target, label = match.groups()
        if sign == "@":
            return "@" + (names.get(target) or label or target)
        if sign == "!":
            return label or "@" + target.partition("^")[0]
        return sign + (label or target)

    return html.unescape(_MARKUP.sub(spelled, text))


def _recognises(path: Path, _head: bytes) -> bool:
    return holds(path, _USERS)


SLACK = ChatReader("slack", _recognises, _messages)
