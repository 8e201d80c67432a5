"""One answer in the making. In: a prompt and a `Sampling`, out: text that is safe to show, piece by piece."""

from collections.abc import Sequence as Ids
from typing import Literal

import torch
from torch import Tensor

from nabot.engine.sampling import choose, generator
from nabot.rendering import Renderer
from nabot.textmodel import Completion, Sampling


class Sequence:
    """Prompt and answer as token ids, and the text so far. Text that may become a stop string is held back."""

    def __init__(self, number: int, prompt: Ids[int], sampling: Sampling, renderer: Renderer, limit: int) -> None:
        self.number, self.sampling = number, sampling
        self.prompt = list(prompt)
        self.answer: list[int] = []
        self.finish: Literal["stop", "length", "abort"] | None = None
        self._limit = limit  # tokens that this answer may have
        self._stop_ids = renderer.stop_ids
        self._stream = renderer.tokenizer.stream()
        self._rng = generator(sampling)
        self._text = ""
        self._shown = 0

    @property
    def ids(self) -> list[int]:
        """Everything so far."""
        return self.prompt + self.answer

    def advance(self, logits_V: Tensor) -> str:
        """Chooses the next token and returns the text that it makes safe to show."""
        seen = torch.tensor(self.ids, device=logits_V.device) if self.sampling.repetition_penalty != 1.0 else logits_V
        token = choose(logits_V, self.sampling, seen, self._rng, self.answer)
        self.answer.append(token)
        if token in self._stop_ids:
            return self._end("stop")
        self._text += self._stream.push(token)
        if self._cut_at_stop():
            return self._end("stop")
        if len(self.answer) >= self._limit:
            return self._end("length")
        return self._show(len(self._text) - self._maybe_stop())

    def abort(self) -> None:
        """Ends the answer where it is."""
        self._end("abort")

    def completion(self) -> Completion:
        """The whole answer, once it has ended."""
        assert self.finish is not None, f"sequence {self.number} is still running"
        return Completion(self._text, len(self.answer), len(self.prompt), self.finish, tuple(self.answer))

    def _end(self, finish: Literal["stop", "length", "abort"]) -> str:
        self.finish = finish
        if finish != "stop" or self.answer[-1] in self._stop_ids:
            self._text += self._stream.finish()
            self._cut_at_stop()
        return self._show(len(self._text))

    def _show(self, end: int) -> str:
        piece = self._text[self._shown : end]
        self._shown = max(self._shown, end)
        return piece

    def _cut_at_stop(self) -> bool:
        found = [at for at in (self._text.find(stop) for stop in self.sampling.stop) if at >= 0]
        if found:
            self._text = self._text[: min(found)]
        return bool(found)

    def _maybe_stop(self) -> int:
        """Length of the longest tail that a stop string could begin with."""
        tails = (
            size
            for stop in self.sampling.stop
            for size in range(min(len(stop) - 1, len(self._text)), 0, -1)
            if self._text.endswith(stop[:size])
        )
        return max(tails, default=0)
