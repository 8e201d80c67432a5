"""What readers of other programs' files give, and what they are told. In: nothing, out: the types that they share.

A reader is one file format, or one program's export. It looks at a file to see whether it is its own, and then gives what is
in it piece by piece, so that a file of any size takes little memory. What it leaves out it says, with a reason that is counted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nabot.conversation import Conversation, Message
from nabot.data.faults import Fault


@dataclass(frozen=True)
class Preference:
    """The turns before, and two answers to them: the one that people liked and the one that they did not."""

    before: Conversation
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]

    def as_dict(self) -> dict[str, Any]:
        """One line of a preference file: the conversation so far, and both answers."""
        answers = {"chosen": self.chosen, "rejected": self.rejected}
        return self.before.as_dict() | {key: [m.as_dict() for m in answer] for key, answer in answers.items()}


@dataclass(frozen=True)
class Passage:
    """A piece of a document, a few hundred words in one run: what a teacher asks questions about."""

    text: str
    source: str  # the file's name
    place: str = ""  # "page 3", "Opening hours": where in it, in the document's own words if it has headings

    def as_dict(self) -> dict[str, Any]:
        """One line of a passage file."""
        return asdict(self)


@dataclass(frozen=True)
class Dropped:
    """Something that was left out on purpose: `reason` is a stable slug ("photo", "deleted", "system_message")."""

    reason: str
    place: str = ""  # line, page or message


@dataclass(frozen=True)
class Format:
    """What the file is, where the reader knows it more exactly than by its own name: "alpaca", "json, utf-8". Comes first."""

    name: str
    details: str = ""


@dataclass(frozen=True)
class Changed:
    """Something that was done to the item that follows, and is counted: `kind` is that of a note (`data.note.…`)."""

    kind: str
    name: str = ""


Item = Conversation | Preference | Passage | Dropped | Fault | Format | Changed


def _nobody(_names: Sequence[str]) -> None:
    """For those who do not ask who is in a chat."""


@dataclass(frozen=True)
class Asked:
    """What a person said about the files: `columns` maps our names to theirs (--map question=Q), `assistant` is the name of
    the one in a chat whom the bot learns to be. `on_people` hears the names of all others in a chat before its first
    conversation: `Mask.learn_names`, where personal data is masked."""

    columns: Mapping[str, str] = field(default_factory=dict)
    assistant: str = ""
    on_people: Callable[[Sequence[str]], None] = _nobody


class Reader(Protocol):
    """One format."""

    @property
    def name(self) -> str:
        """What it is called in messages and in --format."""
        ...

    def recognises(self, path: Path, head: bytes) -> bool:
        """Whether `path`, which begins with `head` (up to 64 KiB), is a file of this format. Never raises for odd bytes."""
        ...

    def read(self, path: Path, asked: Asked) -> Iterator[Item]:
        """Everything in it, in order. Raises DataError if the file as a whole cannot be read: what, seen, next step."""
        ...
