"""Can these rows work at all? In: good rows and what the base speaks, out: notes, which are advice and no faults."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from nabot.conversation import Conversation
from nabot.text import counted, say

FEW_ROWS = 100  # a dozen facts in eight phrasings; fewer hardly leave a trace in a model
MANY_TOKENS = 1.0  # English needs a quarter, Korean a half with a vocabulary that has its syllables
LITTLE_TRAINED = 0.05  # then nearly all of the time goes into reading questions
_HANGUL, _LETTER = re.compile("[가-힣ㄱ-ㆎ]"), re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Note:
    """Advice about the rows as a whole. `kind` is a stable slug."""

    kind: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """The object that `nabot data check --json` prints."""
        return asdict(self)


def file_notes(*, padded: int, rows: int, near_searched: bool) -> Iterator[Note]:
    """What the doctor saw in many rows and does not list one by one, and what it could not look for."""
    if padded:
        yield Note("padded", say("data.note.padded", count=padded, rows=counted("count.rows", rows)))
    if not near_searched:
        yield Note("near_not_searched", say("data.note.near_not_searched"))


def token_notes(*, per_character: float, trained: float) -> Iterator[Note]:
    """`per_character`: tokens that the base needs for one; `trained`: the share of tokens that are learned."""
    if per_character > MANY_TOKENS:
        yield Note("many_tokens", say("data.note.many_tokens", seen=per_character))
    if trained < LITTLE_TRAINED:
        yield Note("little_trained", say("data.note.little_trained", percent=100 * trained))


def notes(conversations: Sequence[Conversation], language: str = "") -> tuple[Note, ...]:
    """What speaks against tuning on these rows; `language` (ISO 639-1) is the base's, empty if it is not known."""
    return (*_few(len(conversations)), *_foreign(conversations, language))


def _few(num_rows: int) -> Iterator[Note]:
    if num_rows < FEW_ROWS:
        yield Note("few_rows", say("data.note.few_rows", rows=counted("count.rows", num_rows)))


def _foreign(conversations: Sequence[Conversation], language: str) -> Iterator[Note]:
    num_korean = sum(map(_is_korean, conversations))
    if num_korean and language not in ("", "ko"):
        rows, percent = counted("count.rows", len(conversations)), 100 * num_korean / len(conversations)
        fields = {"count": num_korean, "rows": rows, "percent": percent, "language": language}
        yield Note("hangul", say("data.note.hangul", **fields))


def _is_korean(conversation: Conversation) -> bool:
    """A third of the letters are Hangul: one of them stands for two or three Latin ones."""
    text = " ".join(message.content for message in conversation.messages)
    return 3 * len(_HANGUL.findall(text)) > len(_LETTER.findall(text))
