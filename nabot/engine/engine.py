"""The inference engine. In: conversations, out: completions; many at once, token by token.

A step either reads prompts that have just arrived or writes one token of every running answer. Scheduler and cache are
simple on purpose; the surface (`add`, `step`, `abort`, `generate`, `stream`) is meant to stay.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nabot.conversation import Conversation
from nabot.engine.cache import SlotCache, common_prefix
from nabot.engine.sequence import Sequence as Answer
from nabot.errors import DataError
from nabot.models.batch import KeysAndValues, TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.quantised import FewRows
from nabot.rendering import Renderer
from nabot.text import say
from nabot.textmodel import Completion, Finish, Sampling

_WORTH_SHARING = 32  # tokens: from here on a prompt waits for another one with the same beginning
_PREFILL_TOKENS = 2048  # new tokens of one pass over prompts


class Event(NamedTuple):
    """What a step did to one sequence: text to show, and the completion once it has ended."""

    number: int
    text: str
    completion: Completion | None


class Engine:
    """Answers with one decoder, whatever is attached to it. Implements `TextModel`."""

    def __init__(
        self, decoder: Decoder, renderer: Renderer, *, max_running: int = 16, few_rows: FewRows | None = None
    ) -> None:
        self.decoder, self.renderer = decoder, renderer
        self._few_rows = few_rows
        self.max_running = max_running
        weight = decoder.embedding
        self._cache = SlotCache(
            decoder.config, dtype=weight.dtype, device=weight.device, beginning=_beginning_of(decoder)
        )
        self._waiting: deque[Answer] = deque()
        self._running: list[Answer] = []  # the sequence at place i owns slot i
        self._next_number = 0
        self._inboxes: dict[int, deque[Event]] = {}  # of answers that `generate` or `stream` follows

    # ---- the surface

    def add(self, conversation: Conversation, sampling: Sampling) -> int:
        """Queues an answer and returns its number. Raises DataError if the prompt leaves no room for one."""
        prompt = self.renderer.prompt(conversation)
        return self.add_tokens(prompt, sampling)

    def add_tokens(self, prompt: Sequence[int], sampling: Sampling) -> int:
        """The same for a prompt of token ids."""
        longest = self.decoder.longest
        room = longest - len(prompt)
        if room < 1:
            raise DataError(say("engine.prompt_too_long", tokens=len(prompt), longest=longest))
        self._next_number += 1
        limit = min(sampling.max_new_tokens, room)
        self._waiting.append(Answer(self._next_number, prompt, sampling, self.renderer, limit))
        return self._next_number

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """One pass through the decoder; nothing to do gives an empty list."""
        answers = self._admit() or self._running
        events = self._advance(answers) if answers else []
        self._deliver(events)
        return events

    @torch.inference_mode()
    def abort(self, number: int) -> None:
        """Ends an answer; numbers that have ended already are ignored."""
        for answer in [a for a in (*self._waiting, *self._running) if a.number == number]:
            answer.abort()
            self._deliver([Event(number, "", answer.completion())])
        self._waiting = deque(a for a in self._waiting if a.finish is None)
        self._retire()

    def generate(self, prompts: Sequence[Conversation], sampling: Sampling) -> Iterator[Completion]:
        """Answers in the order of the prompts."""
        numbers: list[int] = []
        try:
            for prompt in prompts:
                numbers.append(self.add(prompt, sampling))
                self._inboxes[numbers[-1]] = deque()
            for number in numbers:
                yield from (event.completion for event in self._events_of(number) if event.completion)
        finally:
            self._leave(numbers)

    def as_they_come(
        self, prompts: Sequence[Conversation], sampling: Sampling, going_on: Callable[[int], bool] = lambda _: True
    ) -> Iterator[tuple[int, Completion]]:
        """Answers with the places of their prompts, each as soon as it is done.

        After every step `going_on` hears how many tokens the answers under way have; False ends them.
        """
        places: dict[int, int] = {}
        try:
            for place, prompt in enumerate(prompts):
                number = self.add(prompt, sampling)
                places[number], self._inboxes[number] = place, deque()
            while places and going_on(sum(len(a.answer) for a in self._running if a.number in places)):
                self.step()
                for number in list(places):
                    inbox = self._inboxes[number]
                    completions = [event.completion for event in inbox if event.completion]
                    inbox.clear()
                    if completions:
                        place = places.pop(number)
                        self._leave([number])
                        yield place, completions[0]
        finally:
            self._leave(list(places))

    def stream(self, conversation: Conversation, sampling: Sampling) -> Generator[str, None, Finish]:
        """One answer, piece by piece, never half a character; returns how it ended. Closing it ends the answer."""
        number = self.add(conversation, sampling)
        self._inboxes[number] = deque()
        try:
            finish: Finish = "abort"
            for event in self._events_of(number):
                if event.text:
                    yield event.text
                if event.completion:
                    finish = event.completion.finish
            return finish
        finally:
            self._leave([number])

    @torch.inference_mode()
    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """ln p(continuation | context) in nats, summed over the continuation's tokens; text as it is, no template."""
        tokenizer = self.renderer.tokenizer
        results = []
        for context, continuation in pairs:
            before = tokenizer.encode(context) or [self._first_token]
            after = tokenizer.encode_piece(continuation, continues=bool(context), at_start=not context)
            tokens = torch.tensor(before + after, device=self._device)
            batch = TokenBatch.of_documents([len(tokens)], device=self._device)
            hidden_ND = self.decoder.hidden(self.decoder.embed(tokens), batch)
            logits = self.decoder.head(hidden_ND[len(before) - 1 : -1]).float()
            picked = logits.log_softmax(-1).gather(1, tokens[len(before) :].unsqueeze(1))
            results.append(float(picked.sum()))
        return results

    # ---- inside

    @property
    def _device(self) -> torch.device:
        return self.decoder.embedding.device

    @property
    def _first_token(self) -> int:
        """What stands before a text where the tokenizer puts nothing: something has to, to predict its first token."""
        tokenizer = self.renderer.tokenizer
        return next((n for n in (tokenizer.bos_id, tokenizer.eos_id) if n is not None), 0)

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.number in self._inboxes:
                self._inboxes[event.number].append(event)

    def _events_of(self, number: int) -> Iterator[Event]:
        """What happens to one answer, to its end; what happens to others meanwhile waits in their inboxes."""
        inbox = self._inboxes[number]
        while True:
            while not inbox:
                self.step()
            event = inbox.popleft()
            yield event
            if event.completion:
                return

    def _leave(self, numbers: Sequence[int]) -> None:
        """Nobody follows these any more."""
        for number in numbers:
            del self._inboxes[number]
            self.abort(number)

    def _admit(self) -> list[Answer]:
        """Takes waiting prompts into slots, as many as one pass should read."""
        arrived: list[Answer] = []
        budget = _PREFILL_TOKENS
        while self._waiting and len(self._running) < self.max_running:
            answer = self._waiting[0]
            if any(self._shares_more_with(other, answer) for other in arrived):
                break  # once `other` has been read, this one only has to copy
            slot = len(self._running)
            self._cache.reserve(slot + 1, len(answer.prompt) + 1)
            new = len(answer.prompt) - self._cache.adopt(slot, answer.prompt)
            if arrived and new > budget:
                self._cache.tokens[slot] = []
                break
            budget -= new
            self._running.append(self._waiting.popleft())
            arrived.append(answer)
        return arrived

    def _shares_more_with(self, other: Answer, answer: Answer) -> bool:
        shared = common_prefix(other.prompt, answer.prompt)
        held = max((common_prefix(tokens, answer.prompt) for tokens in self._cache.tokens), default=0)
        return shared - held >= _WORTH_SHARING

    def _advance(self, answers: list[Answer]) -> list[Event]:
        events = []
        for answer, logits_V in zip(list(answers), self._logits(answers), strict=True):
            text = answer.advance(logits_V)
            events.append(Event(answer.number, text, answer.completion() if answer.finish else None))
        self._retire()
        return events

    def _logits(self, answers: list[Answer]) -> Tensor:
        """Logits [B, V] after the last token of each; their slots come to hold all their tokens."""
        slots = [self._running.index(a) for a in answers]
        fresh = [a.ids[len(self._cache.tokens[s]) :] for a, s in zip(answers, slots, strict=True)]
        self._cache.grow_for(max(len(a.ids) for a in answers))
        lengths = [len(f) for f in fresh]
        if max(lengths) == 1 and self._can_write(answers):
            return self._written(slots, [f[0] for f in fresh])
        batch = TokenBatch.of_documents(
            lengths,
            starts=self._cache.starts(slots),
            store=self._cache.writer(slots, lengths),
            device=self._device,
        )
        tokens_N = torch.tensor([t for f in fresh for t in f], device=self._device)
        hidden_ND = self.decoder.hidden(self.decoder.embed(tokens_N), batch)
        for slot, new in zip(slots, fresh, strict=True):
            self._cache.tokens[slot] += new
        if not batch.writes:
            hidden_ND = hidden_ND[torch.tensor(lengths, device=self._device).cumsum(0) - 1]
        return self.decoder.head(hidden_ND, batch)

    def _can_write(self, answers: list[Answer]) -> bool:
        """Whether compiled code can go on with these; asked anew when one has just been read."""
        if self._few_rows is None:
            return False
        return self._few_rows.can_write(len(answers), anew=any(len(a.answer) <= 1 for a in answers))

    def _written(self, slots: list[int], tokens: list[int]) -> Tensor:
        """The same where each has one new token, by compiled code."""
        assert self._few_rows is not None
        cache = self._cache
        logits = self._few_rows.logits(tokens, cache.keys, cache.values, slots, cache.starts(slots))
        for slot, token in zip(slots, tokens, strict=True):
            cache.tokens[slot].append(token)
        return logits

    def _retire(self) -> None:
        """Takes ended answers out; the last running one moves into a hole, so that running slots stay side by side."""
        place = 0
        while place < len(self._running):
            if self._running[place].finish is None:
                place += 1
                continue
            last = self._running.pop()
            if place < len(self._running):
                self._cache.move(len(self._running), place)
                self._running[place] = last


@torch.inference_mode()
def _beginning_of(decoder: Decoder) -> Sequence[KeysAndValues]:
    """Keys and values of what every document begins with; computed once, since nothing stands before it."""
    if decoder.beginning is None:
        return ()
    known = decoder.beginning.keys_and_values()
    return known or decoder.keys_and_values(decoder.beginning.embeddings().to(decoder.embedding.dtype))
