"""A teacher behind an address: anything that speaks OpenAI's /v1/chat/completions. In: conversations, out: completions.

Requests run side by side, each in a thread. What may pass is tried again, later each time: too many requests, errors of the
server, time-outs, broken connections, answers that are none. What will not (a wrong key, an unknown model) ends the run at once, with
what the server said. Answers that are on their way by then are waited for, since they will be paid for. So may those be that
never came: whoever asks hears of each such request, and decides about another one.
"""

import os
import queue
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from nabot.conversation import Conversation
from nabot.data.faults import ascii_escapes
from nabot.errors import ConfigError, UpstreamError
from nabot.synth.journal import prompt_hash
from nabot.synth.reply import PASSING, Again, Lost, completion_of, seconds_asked_for, told
from nabot.text import human_seconds, say
from nabot.textmodel import Completion, Sampling

TRIES = 6
LONGEST_WAIT_S = 300.0  # a server that asks for more is told to the person instead
_FIRST_WAIT_S = 1.0
_LONGEST_BACK_OFF_S = 60.0
# What a server refuses about one prompt while it answers others: too long for its model, or against its rules
_OF_THIS_PROMPT = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
_WORTH_TELLING_S = 5.0
_LOOK_S = 0.2  # how often a wait looks for a signal
_LOCAL = ("localhost", "127.0.0.1", "::1")
# fields that not every server and model takes; without them answers are as good, or nearly
_OPTIONAL = (
    "temperature", "top_p", "presence_penalty", "seed", "stop", "top_k", "min_p", "repetition_penalty",
)  # fmt: skip


def key_from(variable: str, *, required: bool) -> str:
    """The key in an environment variable; "" if it is not set and need not be, as for servers of one's own.

    Raises ConfigError, which never shows what is in it.
    """
    key = os.environ.get(variable, "").strip()
    if required and not key:
        raise ConfigError(say("teacher.no_key", variable=variable))
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(say("teacher.bad_key", variable=variable))
    return key


def address_of(url: str) -> str:
    """Where requests go: ".../v1" and ".../v1/chat/completions" mean the same. Raises ConfigError for what is no address."""
    shown = re.sub(r"//[^/]*@", "//", url)  # a password may stand there
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host = (parts.hostname or "").rstrip(".")
        usable = parts.scheme in ("http", "https") and host and (parts.port is None or parts.port > 0)
        host.encode("idna")  # as it will be looked up
    except ValueError as error:  # half an IPv6 address, a port that is no number, a name with an empty part
        raise ConfigError(say("teacher.bad_url", seen=shown)) from error
    if not usable or " " in host:
        raise ConfigError(say("teacher.bad_url", seen=shown))
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(say("teacher.url_with_more", host=parts.hostname))  # perhaps a key, so not shown
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


class Endpoint:
    """Implements `TextModel`, without likelihoods. Close it when done."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str = "",
        concurrency: int = 4,
        timeout_s: float = 300.0,
        tries: int = TRIES,
        first_wait_s: float = _FIRST_WAIT_S,
        has_answered: bool = False,
        stopping: Callable[[], object] = lambda: False,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`has_answered`: in an earlier process, so that what it refuses now is owed to the prompt.
        `stopping`: from when it is true, nothing more is asked. Raises ConfigError for a bad address, or without httpx."""
        try:
            import httpx
        except ImportError as error:
            raise ConfigError(say("synth.no_library", library="httpx")) from error
        self.url, self.model = address_of(url), model
        self._key, self._concurrency, self._timeout_s = key, concurrency, timeout_s
        self._tries, self._first_wait_s = tries, first_wait_s
        self._stopping, self._note = stopping, note
        self._limit = "max_tokens"  # newer models of OpenAI call it otherwise
        self._refused: set[str] = set()  # fields that this server does not take
        self._failures: Counter[str] = Counter()  # of each request that was not answered yet
        self._told_of_usage, self._has_answered = False, has_answered
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 20.0)),
            trust_env=urlsplit(self.url).hostname not in _LOCAL,  # no proxy leads to one's own machine
        )

    def __enter__(self) -> "Endpoint":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def generate(self, prompts: Sequence[Conversation], sampling: Sampling) -> Iterator[Completion]:
        """Answers in the order of the prompts, each as soon as it and all before it are there. Raises UpstreamError."""
        there: dict[int, Completion] = {}
        shown = 0
        while shown < len(prompts) and not self._stopping():
            missing = [place for place in range(shown, len(prompts)) if place not in there]
            for number, completion in self.as_they_come([prompts[place] for place in missing], sampling):
                if completion:
                    there[missing[number]] = completion
                while shown in there:
                    yield there.pop(shown)
                    shown += 1

    def as_they_come(
        self, prompts: Sequence[Conversation], sampling: Sampling
    ) -> Iterator[tuple[int, Completion | None]]:
        """Answers with the places of their prompts, in whatever order they come.

        None: it was sent, no answer came, and it may be charged for. Then it is not sent again unless it is asked again. After an error nothing more is asked, but answers on their way still come; then it is raised. Ends early if `stopping`.
        """
        to_ask: queue.SimpleQueue[int] = queue.SimpleQueue()
        for place in range(len(prompts)):
            to_ask.put(place)
        done: queue.SimpleQueue[tuple[int, Completion | None] | BaseException | None] = queue.SimpleQueue()
        ending = threading.Event()

        def work() -> None:
            try:
                while not ending.is_set():
                    place = to_ask.get_nowait()
                    try:
                        if completion := self._ask(prompts[place], sampling, ending):
                            done.put((place, completion))
                    except Lost as lost:
                        done.put((place, None))
                        self._wait(prompt_hash(prompts[place], sampling), lost, ending)
            except queue.Empty:
                pass
            except BaseException as error:
                ending.set()
                done.put(error)
            finally:
                done.put(None)

        working = min(self._concurrency, len(prompts))
        for _ in range(working):
            threading.Thread(target=work, daemon=True).start()  # a second Ctrl-C leaves without waiting for them
        try:
            yield from self._collected(done, working, ending)
        finally:
            ending.set()

    def _collected(
        self,
        done: "queue.SimpleQueue[tuple[int, Completion | None] | BaseException | None]",
        working: int,
        ending: threading.Event,
    ) -> Iterator[tuple[int, Completion | None]]:
        """What threads have done until all have ended; raises the first error then."""
        failed: BaseException | None = None
        while working:
            if self._stopping():
                ending.set()
            try:
                item = done.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if item is None:
                working -= 1
            elif isinstance(item, BaseException):
                failed = failed or item
            else:
                yield item
        if failed:
            raise failed

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Raises ConfigError: over this interface nobody tells."""
        raise ConfigError(say("teacher.no_likelihood", url=self.url))

    # ---- one request

    def _ask(self, prompt: Conversation, sampling: Sampling, ending: threading.Event) -> Completion | None:
        """An answer, after as many tries as it takes; None if `ending` was set meanwhile. Raises Lost after the first such try."""
        request = prompt_hash(prompt, sampling)
        while not ending.is_set():
            try:
                completion = self._once(prompt, sampling)
            except Lost:
                raise
            except Again as again:
                self._wait(request, again, ending)
            else:
                self._failures.pop(request, None)
                return completion
        return None

    def _wait(self, request: str, again: Again, ending: threading.Event) -> None:
        """Before another try. Raises UpstreamError after as many as there may be, and instead of a long wait."""
        self._failures[request] += 1
        tried = self._failures[request]
        if tried >= self._tries:
            raise UpstreamError(say("teacher.gave_up", url=self.url, tries=tried, reason=again)) from again
        wait_s = self._back_off(tried) if again.wait_s is None else again.wait_s
        wait = human_seconds(wait_s)
        if wait_s > LONGEST_WAIT_S:
            raise UpstreamError(say("teacher.long_wait", url=self.url, reason=again, wait=wait)) from again
        if wait_s >= _WORTH_TELLING_S:
            self._note(say("teacher.waiting", reason=again, wait=wait))
        ending.wait(wait_s)

    def _back_off(self, tried: int) -> float:
        """Seconds, twice as many each time, and each thread another number, so that they do not come back all at once."""
        return min(self._first_wait_s * 2.0 ** (tried - 1), _LONGEST_BACK_OFF_S) * random.uniform(0.5, 1.0)

    def _once(self, prompt: Conversation, sampling: Sampling) -> Completion:
        """Raises Again where another try may help, Lost if this one may be charged for nevertheless, else UpstreamError."""
        import httpx

        body = self._body(prompt, sampling)
        try:
            response = self._client.post(self.url, json=body)
        except httpx.TimeoutException as error:
            raise _kind(error)(say("teacher.timeout", seconds=human_seconds(self._timeout_s))) from error
        except httpx.RequestError as error:
            reason = self._clean(str(error) or type(error).__name__)
            raise _kind(error)(say("teacher.no_connection", reason=reason)) from error
        if response.status_code == HTTPStatus.OK:
            completion, counted = completion_of(response.content, prompt)
            self._has_answered = True
            if not counted and not self._told_of_usage:
                self._told_of_usage = True
                self._note(say("teacher.no_usage", url=self.url))
            return completion
        said = self._clean(told(response.content))
        reason = say("teacher.status", status=response.status_code, said=said)
        if response.status_code in PASSING and "insufficient_quota" not in response.text:
            # of a gateway that did not wait for the answer, which was written all the same
            kind = Lost if response.status_code == HTTPStatus.GATEWAY_TIMEOUT else Again
            raise kind(reason, seconds_asked_for(response.headers.get("Retry-After")))
        if self._gave_in(response.status_code, response.text, body):
            return self._once(prompt, sampling)
        if response.status_code in _OF_THIS_PROMPT and self._has_answered:
            self._note(say("teacher.passed_over", reason=reason))
            return Completion("", 0, 0, "abort")  # an answer, too, so that it is not asked again
        raise UpstreamError(self._refusal(response.status_code, reason))

    def _body(self, prompt: Conversation, sampling: Sampling) -> dict[str, Any]:
        default = Sampling()
        fields: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": list(sampling.stop) or None,
            "seed": sampling.seed,
        }
        # the last three are no fields of OpenAI's; servers of one's own take them
        for name in ("presence_penalty", "top_k", "min_p", "repetition_penalty"):
            value = getattr(sampling, name)
            fields[name] = value if value != getattr(default, name) else None
        kept = {name: value for name, value in fields.items() if value is not None and name not in self._refused}
        turns, begun = prompt.begun
        messages = [_message(message.role, message.content, message.context) for message in turns.messages]
        if begun:  # no field of OpenAI's: a chat model is shown it instead, and goes on
            messages[-1]["content"] += f"\n\n{begun}"
        return {"model": self.model, "messages": messages, self._limit: sampling.max_new_tokens, **kept}

    def _gave_in(self, status: int, said: str, body: dict[str, Any]) -> bool:
        """Whether the server refused a field that it can be asked without; then it is left out from now on, and told."""
        if status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            return False
        if "max_tokens" in body and _names(said, "max_completion_tokens"):
            self._limit = "max_completion_tokens"
            return True
        for name in _OPTIONAL:
            if name in body and _names(said, name):
                if name not in self._refused:
                    self._refused.add(name)
                    self._note(say("teacher.left_out", name=name, model=self.model))
                return True
        return False

    def _refusal(self, status: int, reason: str) -> str:
        texts = {401: "teacher.key", 403: "teacher.key", 404: "teacher.not_found"}
        return say(texts.get(status, "teacher.refused"), url=self.url, model=self.model, reason=reason)

    def _clean(self, text: str) -> str:
        """What comes from outside, fit to be shown: some servers repeat the key."""
        return ascii_escapes(text.replace(self._key, "***") if self._key else text)


def _kind(error: Exception) -> type[Again]:
    """Lost if what failed was waiting for an answer, or reading it; the request itself was sent then."""
    import httpx

    reading = (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.DecodingError)
    return Lost if isinstance(error, reading) else Again


def _names(said: str, field: str) -> bool:
    """Whether an error speaks of this field, in quotes as all servers have it; "stop" is also a word."""
    return bool(re.search(rf"""["'`\\]{field}["'`\\]""", said))


def _message(role: str, content: str, context: str) -> dict[str, str]:
    return {"role": role, "content": f"{content}\n\n{context}" if context else content}
