"""Messages of a chat → conversations. In: who said what when, and whom the bot learns to be; out: user and assistant in turn.

Every chat program's reader ends here: it gives its messages in order, and `ChatReader` makes of them what all readers give.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

from nabot.conversation import Conversation, Message
from nabot.data.faults import Fault, excerpt, problem
from nabot.data.imports.types import Asked, Dropped, Item
from nabot.data.validate import has_half_character, nfc
from nabot.errors import DataError
from nabot.text import counted, near_names, say

# Longer than a meeting, a film or a flight within a country, after which people go on with what they said; shorter than a
# night, after which they rarely do.
PAUSE = timedelta(hours=4)
_NAMES_SHOWN = 20


@dataclass(frozen=True)
class ChatMessage:
    """One message as somebody sent it. Times of one chat are all without a zone, in whichever it was exported."""

    name: str
    text: str
    row: int  # line, record or element, from 1
    time: datetime | None = None
    member: str = ""  # the file inside an archive
    room: str = ""  # channel, thread: a conversation never leaves it
    is_whole: bool = False  # all of the room is one conversation, however long people were silent

    @property
    def place(self) -> str:
        """Where it stands: "12", in an archive "general/2016-01-14.json:12"."""
        return f"{self.member}:{self.row}" if self.member else str(self.row)


Piece = ChatMessage | Dropped | Fault


@dataclass(frozen=True)
class ChatReader:
    """A `Reader` for one program's chats; `messages` gives what is in them in order, as often as it is called."""

    name: str
    recognises: Callable[[Path, bytes], bool]
    messages: Callable[[Path], Iterator[Piece]]
    assistant: str = ""  # where the program says itself who the assistant is

    def read(self, path: Path, asked: Asked) -> Iterator[Item]:
        """Reads twice, first only to see who is there. Raises DataError listing them if nobody is called `asked.assistant`."""
        counts = Counter(piece.name for piece in self._pieces(path) if isinstance(piece, ChatMessage))
        assistant = self.assistant or (_chosen(path, self.name, counts, asked.assistant) if counts else "")
        if not self.assistant:
            asked.on_people([name for name in counts if name != assistant])
        yield from conversations(self._pieces(path), assistant)

    def _pieces(self, path: Path) -> Iterator[Piece]:
        for piece in self.messages(path):
            yield _cleaned(piece, path) if isinstance(piece, ChatMessage) else piece


def conversations(pieces: Iterable[Piece], assistant: str) -> Iterator[Item]:
    """The conversations that `assistant` had; a new one begins after a pause, and in another room.

    Messages of one side that follow each other are one turn, a line each. What stands before the first question and behind the
    last answer is dropped, and counted.
    """
    current: list[ChatMessage] = []
    for piece in pieces:
        if not isinstance(piece, ChatMessage):
            yield piece
            continue
        if current and _begins_anew(current[-1], piece):
            yield from _conversation(current, assistant)
            current = []
        current.append(piece)
    yield from _conversation(current, assistant)


def _begins_anew(before: ChatMessage, after: ChatMessage) -> bool:
    if before.room != after.room:
        return True
    if after.is_whole or before.time is None or after.time is None:
        return False
    return after.time - before.time > PAUSE


def _conversation(messages: list[ChatMessage], assistant: str) -> Iterator[Item]:
    is_answer = [message.name == assistant for message in messages]
    first = is_answer.index(False) if False in is_answer else len(messages)
    behind = max((i + 1 for i in range(first, len(messages)) if is_answer[i]), default=first)
    for message in messages[:first]:
        yield Dropped("before_question", message.place)
    for message in messages[behind:]:
        yield Dropped("unanswered", message.place)
    turns = groupby(messages[first:behind], key=lambda message: message.name == assistant)
    if first < behind:
        yield Conversation(
            tuple(Message("assistant" if own else "user", "\n".join(m.text for m in turn)) for own, turn in turns)
        )


def _cleaned(message: ChatMessage, path: Path) -> Piece:
    """Name and text in NFC without white space around them; nothing to say is dropped."""
    if has_half_character(message.name + message.text):
        file = f"{path}/{message.member}" if message.member else str(path)
        return problem("half_character", seen=excerpt(message.text)).at(file, message.row)
    text = nfc(message.text).replace("\r\n", "\n").strip()
    return replace(message, name=nfc(message.name).strip(), text=text) if text else Dropped("empty", message.place)


def _chosen(path: Path, program: str, counts: Counter[str], asked: str) -> str:
    """The name as it is written in the chat, capitals or not. Raises DataError with the names that there are."""
    wanted = nfc(asked).strip()
    same = [name for name in counts if name.casefold() == wanted.casefold()]
    if wanted in counts or len(same) == 1:
        return wanted if wanted in counts else same[0]
    shown = [f"{name} ({count})" for name, count in counts.most_common(_NAMES_SHOWN)]
    more = say("data.chat.more_people", count=len(counts) - len(shown)) if len(counts) > len(shown) else ""
    fields = {"path": path, "program": program, "people": counted("count.people", len(counts))}
    names = ", ".join(shown) + more
    if not wanted:
        raise DataError(say("data.chat.whose", **fields, names=names))
    near = near_names(wanted, list(counts))
    raise DataError(say("data.chat.nobody", **fields, seen=excerpt(wanted), near=near, names=names))
