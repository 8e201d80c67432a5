"""A conversation → token ids and what of them is learned: the one place for training, chat and serving.

Ids are cut only at special tokens that the template writes and where an answer begins and ends; between the cuts the
template's words and people's are encoded as one string, as the model's own tokenizer would. Special tokens are looked
for in the template's words alone (`template_spans`, `token_scan`), so that nobody can type a role.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from nabot.conversation import Conversation, Message, nfc
from nabot.errors import ConfigError, DataError
from nabot.rendering.answer_spans import Answer, AnswerFinder, AnswerNotFoundError, NoEndTokenError
from nabot.rendering.chat_template import BUILTIN, OWN, ChatTemplate
from nabot.rendering.template_run import TemplateRun
from nabot.rendering.template_spans import Span, Spans
from nabot.rendering.token_scan import Mark, Scanner, outside
from nabot.text import say
from nabot.tokenizer import Tokenizer

__all__ = ["BUILTIN", "OWN", "ChatTemplate", "Rendered", "Renderer", "render_coloured"]

Encoded = TypeVar("Encoded")

_NOWHERE = -1  # where what stands in no text is written: never inside of what is learned

_PROBE = Conversation((Message("user", "a"), Message("assistant", "b")))


@dataclass(frozen=True)
class Rendered:
    """One training row: `trained[n]` says whether token n counts in the loss; `text` is what was encoded."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    text: str


class Renderer:
    """Renders conversations for one template, tokenizer and default system prompt."""

    def __init__(
        self,
        template: ChatTemplate,
        tokenizer: Tokenizer,
        system: str = "",
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.template, self.tokenizer, self.system = template, tokenizer, nfc(system)
        self._clock = clock
        self._scanner = Scanner(tokenizer)
        self._around: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        self._named_tokens = dict(tokenizer.named_tokens)
        if template.is_builtin and not tokenizer.adds_bos:  # a model that never saw BOS gets none from us either
            self._named_tokens["bos_token"] = ""

    def around_questions(self, before: Sequence[int], behind: Sequence[int]) -> "Renderer":
        """The same, but these ids stand right before and right behind the words of every user turn.

        The text is cut there as at special tokens, and they are never learned. A turn without words gets none.
        """
        around = tuple(before), tuple(behind)
        if around == self._around:
            return self
        other = copy(self)
        other._around = around
        return other

    def training(self, conversation: Conversation) -> Rendered:
        """Every id, and which of them are learned: answers with their end token, unless `train=False`.

        Raises ConfigError if the template has no end token that this model knows, DataError if it cannot be rendered.
        """
        try:
            return self._row(conversation, self.stop_ids)
        except NoEndTokenError:
            raise self._no_end_token() from None

    def prompt(self, conversation: Conversation) -> tuple[int, ...]:
        """Every id up to where the answer to the last turn begins; an answer that has begun is gone on with. Raises DataError."""
        turns, begun = conversation.begun
        run = self._run(turns)
        spans = run.proved(self._scanner, generation_prompt=True)
        if not self.template.writes_generation_prompt:
            spans = replace(spans, text=spans.text + run.unwritten_prompt())
        marks = self._marks(spans)
        answers = self._answers(run, spans, marks, self.stop_ids, training=False)
        if not begun:
            return self._encoded(run, spans, marks, answers)[0]
        # behind what was looked through for special tokens
        whole = replace(spans, text=spans.text + run.before_answer(spans.text) + begun)
        return self._encoded(run, whole, marks, answers, cut=len(spans.text))[0]

    def fitted(self, conversation: Conversation, max_tokens: int) -> Rendered | None:
        """As `training`, without the oldest turns that do not fit; None if the last turn alone is too long."""
        found = _first_fitting(_shorter(conversation), self.training, lambda row: len(row.ids) <= max_tokens)
        return found[0] if found else None

    def fitting(self, conversation: Conversation, max_tokens: int) -> Conversation | None:
        """The conversation that `fitted` renders."""
        shorter = _shorter(conversation)
        found = _first_fitting(shorter, self.training, lambda row: len(row.ids) <= max_tokens)
        return shorter[found[1]] if found else None

    def fitted_prompt(self, conversation: Conversation, max_tokens: int) -> tuple[tuple[int, ...], int]:
        """As `prompt`, and how many of the oldest turns had to go. Raises DataError if the last alone is too long."""
        shorter = _shorter(conversation)
        found = _first_fitting(shorter, self.prompt, lambda ids: len(ids) <= max_tokens)
        if found is None:
            seen = len(self.prompt(shorter[-1]))
            raise DataError(say("render.prompt_too_long", seen=seen, limit=max_tokens))
        return found

    def shortened(self, conversation: Conversation, max_tokens: int) -> tuple[Conversation, int]:
        """The conversation whose `prompt` fits, and how many of the oldest turns had to go. Raises DataError."""
        number = self.fitted_prompt(conversation, max_tokens)[1]
        return _shorter(conversation)[number], number

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """What ends an answer: the tokenizer's stop ids, and the end token that this template writes."""
        try:
            row = self._row(_PROBE, self.tokenizer.stop_ids)
        except (NoEndTokenError, DataError):  # this template needs other turns; `training` tells the reason
            return self.tokenizer.stop_ids
        learned = [n for n, trained in zip(row.ids, row.trained, strict=True) if trained]
        marks = set(self.tokenizer.added_tokens.values())
        return self.tokenizer.stop_ids | ({learned[-1]} & marks if learned else set())

    def _row(self, conversation: Conversation, stop_ids: frozenset[int]) -> Rendered:
        """Raises NoEndTokenError, DataError."""
        run = self._run(conversation)
        spans = run.proved(self._scanner, generation_prompt=False)
        marks = self._marks(spans)
        answers = self._answers(run, spans, marks, stop_ids, training=True)
        return Rendered(*self._encoded(run, spans, marks, answers), text=spans.text)

    def _run(self, conversation: Conversation) -> TemplateRun:
        return TemplateRun(self.template, self._prepared(conversation), self._named_tokens, self._clock())

    def _prepared(self, conversation: Conversation) -> Conversation:
        """With the bot's system prompt; a context goes behind the content where the template has no place for it."""
        conversation = conversation.with_system(self.system)
        if self.template.uses_context or not any(m.context for m in conversation.messages):
            return conversation
        turns = conversation.messages
        merged = (replace(m, content=f"{m.content}\n\n{m.context}", context="") if m.context else m for m in turns)
        return Conversation(tuple(merged), conversation.tools)

    def _marks(self, spans: Spans) -> list[Mark]:
        return self._scanner.marks(spans.text, outside(spans.people, Span(0, len(spans.text))))

    def _answers(
        self, run: TemplateRun, spans: Spans, marks: list[Mark], stop_ids: frozenset[int], *, training: bool
    ) -> list[Answer]:
        finder = AnswerFinder(
            spans=spans,
            marks=marks,
            messages=run.conversation.messages,
            stop_ids=stop_ids,
            header=run.header,
            writes_generation_prompt=self.template.writes_generation_prompt,
            blocks=self.template.has_generation_blocks,
        )
        try:
            return finder.find(training=training)
        except AnswerNotFoundError as error:
            raise DataError(say("render.unplaced", template=self.template.name, turn=error.message + 1)) from None

    def _marks_around_questions(self, run: TemplateRun, spans: Spans) -> list[Mark]:
        """As wide as nothing, in order."""
        turns = run.conversation.messages
        words = sorted(span for k, found in spans.contents.items() if turns[k].role == "user" for span in found)
        sides = [side for span in words for side in zip(span, self._around, strict=True)]
        return [Mark(place, place, _NOWHERE, token_id) for place, ids in sides for token_id in ids]

    def _encoded(
        self, run: TemplateRun, spans: Spans, marks: Sequence[Mark], answers: Sequence[Answer], cut: int = 0
    ) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """Ids between special tokens and cuts, and for each whether its piece lies in what is learned; `cut` is one more."""
        text = spans.text
        marks = sorted([*marks, *self._marks_around_questions(run, spans)], key=lambda mark: mark[:2])
        learned = [span for answer in answers for span in answer.learned]
        edges = {edge for a in answers for edge in (a.begin, a.end)} | {edge for span in learned for edge in span}
        cuts = sorted(edges | {cut, len(text)})
        ids: list[int] = []
        trained: list[bool] = []

        def put(new: Sequence[int], place: int) -> None:
            ids.extend(new)
            trained.extend([any(span.start <= place < span.end for span in learned)] * len(new))

        place = 0
        for mark in (*marks, None):
            stop, fresh = (mark.start if mark else len(text)), True
            while place < stop:
                end = min(stop, next(cut for cut in cuts if cut > place))
                at_start = place == 0 and not ids
                put(self.tokenizer.encode_piece(text[place:end], continues=not fresh, at_start=at_start), place)
                place, fresh = end, False
            if mark:
                put([mark.token_id], mark.place)
                place = mark.end
        return tuple(ids), tuple(trained)

    def _no_end_token(self) -> ConfigError:
        known = [ChatTemplate.builtin(name) for name in BUILTIN]
        known += [ChatTemplate.own(self.tokenizer)] if self.tokenizer.chat_template else []
        fitting = [t.name for t in known if t != self.template and Renderer(t, self.tokenizer)._ends()]
        return ConfigError(say("template.no_end", template=self.template.name, fitting=", ".join(fitting) or "-"))

    def _ends(self) -> bool:
        """True if an answer ends with a special token of this model."""
        try:
            self._row(_PROBE, self.tokenizer.stop_ids)
        except (DataError, NoEndTokenError):
            return False
        return True


def render_coloured(rendered: Rendered, tokenizer: Tokenizer) -> list[tuple[str, bool]]:
    """Token by token, (text, trained); the tokens of one character stand together, special tokens by their names."""
    names = {token_id: text for text, token_id in tokenizer.added_tokens.items()}
    pieces: list[tuple[str, bool]] = []
    held, held_trained = b"", False
    for token_id, trained in zip(rendered.ids, rendered.trained, strict=True):
        if not held:
            held_trained = trained
        held += names[token_id].encode() if token_id in names else tokenizer.token_bytes(token_id)
        if _is_whole(held):
            pieces.append((held.decode(), held_trained))
            held = b""
    return [*pieces, (held.decode(errors="replace"), held_trained)] if held else pieces


def _is_whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shorter(conversation: Conversation) -> list[Conversation]:
    """The conversation, then without its oldest turn, …, then its last turn alone; the system prompt stays."""
    turns = conversation.messages
    head = next((n for n, message in enumerate(turns) if message.role != "system"), len(turns))
    starts = [n for n in range(head + 1, len(turns)) if turns[n].role == "user" and turns[n - 1].role != "user"]
    return [Conversation((*turns[:head], *turns[start:]), conversation.tools) for start in (head, *starts)]


def _first_fitting(
    shorter: Sequence[Conversation], encode: Callable[[Conversation], Encoded], fits: Callable[[Encoded], bool]
) -> tuple[Encoded, int] | None:
    """The longest of the ever shorter conversations that fits, and its number; None if none does."""
    whole = encode(shorter[0])
    if fits(whole):
        return whole, 0
    number = bisect_left(range(len(shorter)), True, lo=1, key=lambda n: fits(encode(shorter[n])))
    return (encode(shorter[number]), number) if number < len(shorter) else None
