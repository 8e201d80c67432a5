"""One conversation in one template at one moment. In: both, out: the texts that finding answers needs."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from nabot.conversation import Conversation, Message
from nabot.errors import DataError
from nabot.rendering.chat_template import ChatTemplate
from nabot.rendering.template_spans import Spans, UnprovedError, prove
from nabot.rendering.token_scan import Scanner
from nabot.text import say

_NOT_YET = "\uf8ff"  # stands for an answer that is not there yet


class TemplateRun:
    """All its renderings see the same `now`, since templates write dates."""

    def __init__(
        self, template: ChatTemplate, conversation: Conversation, named_tokens: Mapping[str, str], now: datetime
    ) -> None:
        self.template, self.conversation = template, conversation
        self._named_tokens, self._now = named_tokens, now
        self._messages = [_as_template_reads(message) for message in conversation.messages]
        self._tools = list(conversation.tools)

    def proved(self, scanner: Scanner, *, generation_prompt: bool) -> Spans:
        """The whole text, with every span of people's words. Raises DataError."""

        def render(messages: list[dict[str, Any]], tools: list[Any], marks: tuple[str, str] | None) -> str:
            return self._render(messages, tools, generation_prompt, marks)

        try:
            return prove(self._messages, self._tools, render, scanner.has_mark)
        except UnprovedError as error:
            role = self.conversation.messages[error.message].role if error.message >= 0 else "tools"
            turn = error.message + 1
            raise DataError(say("render.unproved", template=self.template.name, turn=turn, role=role)) from None
        except _REFUSALS as error:
            raise DataError(say("render.failed", template=self.template.name, reason=error)) from error

    def header(self, k: int) -> str | None:
        """The turns before turn k with a generation prompt; None if the template refuses to end there."""
        return self._attempt(lambda: self._render(self._messages[:k], self._tools, True))

    def unwritten_prompt(self) -> str:
        """What a template without generation prompts would write between the last turn and an answer, if words."""
        before = self._attempt(lambda: self._render(self._messages, self._tools, False))
        between = "" if before is None else self.before_answer(before)
        return between if between.strip() else ""

    def before_answer(self, prompt: str) -> str:
        """What the template writes behind `prompt`, a text of these turns, before the first word of an answer."""
        answer = {"role": "assistant", "content": _NOT_YET}
        after = self._attempt(lambda: self._render([*self._messages, answer], self._tools, False))
        if after is None or not after.startswith(prompt) or _NOT_YET not in after[len(prompt) :]:
            return ""
        return after[len(prompt) :].partition(_NOT_YET)[0]

    def _attempt(self, render: Callable[[], str]) -> str | None:
        try:
            return render()
        except _REFUSALS:
            return None

    def _render(
        self,
        messages: list[dict[str, Any]],
        tools: list[Any],
        generation_prompt: bool,
        marks: tuple[str, str] | None = None,
    ) -> str:
        variables = {
            **self._named_tokens,
            "messages": messages,
            "tools": tools or None,
            "documents": None,
            "add_generation_prompt": generation_prompt,
            "strftime_now": self._now.strftime,
        }
        return self.template.render(variables, marks)


# A template is a program from outside: raise_exception, and whatever else goes wrong in it.
_REFUSALS = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)


def _as_template_reads(message: Message) -> dict[str, Any]:
    row = message.as_dict()
    row.pop("train", None)
    return row
