"""Where answers begin and end in a rendered conversation. In: proved spans and special tokens, out: an Answer a turn.

An answer begins where the model would begin it: where the generation prompt for the turns before it ends. It ends
behind its end token, without which a trained model never stops.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nabot.conversation import Message
from nabot.rendering.template_spans import Span, Spans
from nabot.rendering.token_scan import Mark

Header = Callable[[int], str | None]  # k → the turns before k with a generation prompt; None: the template refuses


@dataclass(frozen=True)
class Answer:
    """An assistant turn: [begin, end) in the text, and the parts of it that the model is to learn."""

    begin: int
    end: int
    learned: tuple[Span, ...] = ()


class NoEndTokenError(Exception):
    """The template writes no special token behind an answer."""


class AnswerNotFoundError(Exception):
    """An answer without a place in the text; `message` is its index."""

    def __init__(self, message: int) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class AnswerFinder:
    """One rendered conversation. `blocks`: the template marks what is learned with `{% generation %}`."""

    spans: Spans
    marks: Sequence[Mark]
    messages: Sequence[Message]
    stop_ids: frozenset[int]
    header: Header
    writes_generation_prompt: bool
    blocks: bool

    def find(self, *, training: bool) -> list[Answer]:
        """In order. Raises AnswerNotFoundError; when `training`, NoEndTokenError for a turn that is to be learned."""
        turns = [k for k, message in enumerate(self.messages) if message.role == "assistant"]
        begins = {k: self._begin(k) for k in turns}
        return [self._answer(k, begins, training and self.messages[k].train) for k in turns]

    def _answer(self, k: int, begins: dict[int, int], train: bool) -> Answer:
        body_end = max([begins[k], *(words.end for words in self.spans.people if words.message == k)])
        end = self._end(k, body_end)
        if not train:
            return Answer(begins[k], body_end if end is None else end)
        if self.blocks:
            learned = self._blocks_of(k, begins, body_end, end)
            return Answer(begins[k], max([body_end, end or 0, *(s.end for s in learned)]), learned)
        if end is None:
            raise NoEndTokenError
        return Answer(begins[k], end, (Span(begins[k], end),))

    def _begin(self, k: int) -> int:
        """Where the generation prompt ends, if the text goes on from it; else where the content begins."""
        text, contents = self.spans.text, self.spans.contents.get(k, [])
        header = self.header(k)
        if header is not None and text.startswith(header):
            content = next((span for span in contents if span.start >= len(header)), None)
            if self.writes_generation_prompt or content is None or not text[len(header) : content.start].strip():
                return len(header)
        if not contents:
            raise AnswerNotFoundError(k)
        left = len(self.messages[k].content) - len(self.messages[k].content.lstrip())
        start = contents[0].start
        return start - left if text[start - left : start] == self.messages[k].content[:left] else start

    def _end(self, k: int, body_end: int) -> int | None:
        """Behind the first stop token after the answer's body, or any special token right behind it."""
        limit = min(
            (w.start for w in self.spans.people if w.start >= body_end and w.message != k), default=len(self.spans.text)
        )
        behind = [mark for mark in self.marks if body_end <= mark.place < limit]
        for mark in behind:
            if mark.token_id in self.stop_ids:
                return mark.end
        if behind and not self.messages[k].tool_calls and not self.spans.text[body_end : behind[0].place].strip():
            return behind[0].end
        return None

    def _blocks_of(self, k: int, begins: dict[int, int], body_end: int, end: int | None) -> tuple[Span, ...]:
        """The generation blocks of turn k; the end token joins them if the last block leaves it out."""
        own = [
            s
            for s in self.spans.generations
            if k == max((t for t, begin in begins.items() if begin <= s.start), default=-1)
        ]
        if not own:
            return ()
        last = own[-1]
        if any(last.start <= m.place and body_end <= m.place and m.place < last.end for m in self.marks):
            return tuple(own)
        if end is None:
            raise NoEndTokenError
        return (*own[:-1], Span(last.start, end))
