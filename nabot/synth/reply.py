"""What a chat endpoint sends back. In: bodies and headers, out: a completion, or what went wrong, in words."""

import email.utils
import json
import math
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from nabot.conversation import Conversation
from nabot.text import say
from nabot.textmodel import Completion, Finish

# of a server that may answer the same request another time; 529 is Anthropic's "overloaded"
PASSING = (
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT, 529,
)  # fmt: skip
_MOST_TOLD = 300  # characters of an error that is no JSON: often a whole page
_COUNTS = ("completion_tokens", "prompt_tokens")
_FINISHES: Mapping[str, Finish] = {"length": "length", "max_tokens": "length", "content_filter": "abort"}


class Again(Exception):
    """Another try may help, after `wait_s` seconds if the server named a time."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Lost(Again):
    """The same of a request that was sent whole: the server may have written an answer, and may charge for it."""


def completion_of(body: bytes, prompt: Conversation) -> tuple[Completion, bool]:
    """The first choice of a response, and whether the server counted its tokens; where it did not, they are estimated.

    Raises Lost if this is no completion.
    """
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        text = _text(choice["message"])
        finish = _FINISHES.get(choice.get("finish_reason"), "stop")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Lost(say("teacher.nonsense", seen=_beginning(body))) from error
    usage = answer.get("usage")
    written, read = (usage.get(name) for name in _COUNTS) if isinstance(usage, dict) else (None, None)
    if isinstance(written, int) and isinstance(read, int):
        return Completion(text, written, read, finish), True
    asked = sum(estimated_tokens(message.content + message.context) for message in prompt.messages)
    return Completion(text, estimated_tokens(text), asked, finish), False


def estimated_tokens(text: str) -> int:
    """About a quarter of its ASCII characters, and all others: of Korean most tokenizers make a token a syllable."""
    ascii_characters = sum(character.isascii() for character in text)
    return -(-ascii_characters // 4) + len(text) - ascii_characters


def seconds_asked_for(retry_after: str | None) -> float | None:
    """A `Retry-After` header, in seconds or as a date (RFC 9110, section 10.2.3); None if there is none that means a time."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None  # "nan" and "inf" are numbers, too


def told(body: bytes) -> str:
    """The words of an error: OpenAI's {"error": {"message": …}} and what others make of it, or how the body begins."""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return _beginning(body)
    for key in ("error", "message", "detail"):
        while isinstance(error, dict) and key in error:
            error = error[key]
    text = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    return _shortened(text)


def _text(message: Mapping[str, Any]) -> str:
    """The content, which some send in parts. Nothing where a model thought until its limit: that answer is paid for, too."""
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    if not isinstance(content, str):
        raise TypeError(type(content).__name__)
    # half characters (a stray \ud83d in JSON) cannot be written into any file
    return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _beginning(body: bytes) -> str:
    """The first words of a body that is not what it should be."""
    return _shortened(body[: 4 * _MOST_TOLD].decode(errors="replace")) or say("data.nothing")


def _shortened(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _MOST_TOLD else flat[: _MOST_TOLD - 1] + "…"
