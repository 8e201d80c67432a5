"""What a teacher was paid for, kept whatever happens. In: answers, out: a JSON Lines file that only grows.

The first line has the settings of the run, each other line one answer, on the disk before it counts. Going on with a run is
replaying it: the loop begins anew with the same seed, asks the same questions in the same order, and is given the answers that are
here. So no state but this file is ever saved, and a kill at any moment costs the answers that were on their way.
"""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock

from nabot.artifacts import explained_disk_errors
from nabot.conversation import Conversation
from nabot.errors import CheckpointError, ConfigError
from nabot.synth.budget import Tokens
from nabot.text import say
from nabot.textmodel import Completion, Sampling

_FORMAT = 1
_HASH_DIGITS = 16
_LOST = "lost"  # where an answer has the reason of its end: none came


def prompt_hash(conversation: Conversation, sampling: Sampling) -> str:
    """16 hexadecimal digits of SHA-256 over what is asked, and how."""
    asked = json.dumps([conversation.as_dict(), asdict(sampling)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:_HASH_DIGITS]


def recorded_settings(path: Path) -> Mapping[str, Any]:
    """Those of the run whose journal this is; empty if there is none, or one without an answer, which nobody needs."""
    if not path.exists():
        return {}
    first, *answers = _records(path) or [{}]
    return _settings(path, first) if answers else {}


def has_answers(path: Path) -> bool:
    """Whether the teacher has answered in the run whose journal this is. Raises CheckpointError if it is damaged."""
    return path.exists() and any(record.get("finish") != _LOST for record in _records(path)[1:])


def put_aside(path: Path) -> Path | None:
    """Renames a file that is there to the first NAME.1.END, NAME.2.END … that is free; None if there is no file."""
    if not path.exists():
        return None
    number = 1
    while (place := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    return path.rename(place)


class OtherRun(ConfigError):
    """The answers that lie there belong to a run with other settings, or to other questions; with `fresh` they are kept aside."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """`path`, which need not be there, belongs to this process. Raises ConfigError if it belongs to another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ConfigError(say("journal.in_use", path=path)) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # another process may look at it just now
            os.unlink(lock.lock_file)
        lock.release()


class Journal:
    """The answers of one run, by the number of their request from 0. One process at a time; close it when done."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Begins a journal, or goes on with one.

        Raises OtherRun if its run had other settings, ConfigError if it is still running, CheckpointError if it is damaged.
        """
        self.path, self._settings = path, dict(settings)
        self._lock = contextlib.ExitStack()
        self._lock.enter_context(locked(path))
        self._file: io.FileIO | None = None  # until there is something to write
        self._answers: dict[int, tuple[str, Completion]] = {}
        self.lost: list[Tokens] = []  # the most that each request took that was sent and not answered
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        self.spent = sum([_tokens(completion) for _, completion in self._answers.values()] + self.lost, Tokens())

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets another process have it."""
        if self._file:
            self._file.close()
        self._lock.close()

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, number: int, prompt: str) -> Completion | None:
        """What was answered to this request; None if it was not. Raises OtherRun if another prompt had its number."""
        if number not in self._answers:
            return None
        asked, completion = self._answers[number]
        if asked != prompt:
            raise OtherRun(say("journal.other_prompt", path=self.path, number=number))
        return completion

    def add(self, number: int, prompt: str, completion: Completion) -> None:
        """Writes an answer down; when this returns, it is on the disk."""
        assert number not in self._answers, f"request {number} is answered already"
        self._write(
            {
                "number": number,
                "prompt": prompt,
                "text": completion.text,
                "finish": completion.finish,
                "tokens_in": completion.num_prompt_tokens,
                "tokens_out": completion.num_tokens,
            }
        )
        self._answers[number] = prompt, completion
        self.spent += _tokens(completion)

    def add_lost(self, number: int, prompt: str, most: Tokens) -> None:
        """Writes down that no answer came, and that `most` may be charged for it; the request may be sent again."""
        self._write(
            {"number": number, "prompt": prompt, "finish": _LOST, "tokens_in": most.prompt, "tokens_out": most.answer}
        )
        self.lost.append(most)
        self.spent += most

    def _read(self) -> None:
        if not self.path.exists():
            return
        _cut_torn_line(self.path)
        first, *records = _records(self.path) or [{}]
        if records:
            self._refuse_other(first)
        for line, record in enumerate(records, start=2):
            try:
                self._take(record)
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(say("journal.damaged", path=self.path, line=line, reason=repr(error))) from error

    def _take(self, record: Mapping[str, Any]) -> None:
        tokens = Tokens(int(record["tokens_in"]), int(record["tokens_out"]))
        number, prompt = int(record["number"]), str(record["prompt"])
        if record["finish"] == _LOST:
            self.lost.append(tokens)
        else:
            completion = Completion(str(record["text"]), tokens.answer, tokens.prompt, record["finish"])
            self._answers[number] = prompt, completion

    def _refuse_other(self, first: Mapping[str, Any]) -> None:
        if first.get("nabot_journal") != _FORMAT:
            seen = first.get("nabot_journal")
            raise CheckpointError(say("journal.format", path=self.path, seen=seen, expected=_FORMAT))
        then, now = _settings(self.path, first), self._settings
        changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        if changed:
            listed = ", ".join(say("journal.change", name=key, then=then.get(key), now=now.get(key)) for key in changed)
            raise OtherRun(say("journal.other_settings", path=self.path, changed=listed))

    def _write(self, record: Mapping[str, Any]) -> None:
        with explained_disk_errors(self.path):
            if self._file is None:
                self._file = self._open()
            _append(self._file, record)

    def _open(self) -> io.FileIO:
        """The file, at its end. One without requests, which has nothing to keep, begins anew."""
        goes_on = bool(self._answers or self.lost)
        file = io.FileIO(self.path, "ab" if goes_on else "wb")
        if not goes_on:
            _append(file, {"nabot_journal": _FORMAT, "settings": self._settings})
        return file


def _settings(path: Path, first: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those in the first line. Raises CheckpointError if there are none."""
    found = first.get("settings", {})
    if not isinstance(found, dict) or not isinstance(found.get("round", 1), int):
        raise CheckpointError(say("journal.damaged", path=path, line=1, reason="settings"))
    return found


def _append(file: io.FileIO, record: Mapping[str, Any]) -> None:
    """A line, which is on the disk when this returns."""
    line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    while line:
        line = line[file.write(line) :]
    os.fsync(file.fileno())


def _cut_torn_line(path: Path) -> None:
    """Takes off what a kill left of the last line. It had not counted yet."""
    content = path.read_bytes()
    if (end := content.rfind(b"\n") + 1) < len(content):
        os.truncate(path, end)


def _records(path: Path) -> list[dict[str, Any]]:
    """All lines but a last one that is torn."""
    records = []
    for line, text in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            records.append(dict(json.loads(text)))
        except (ValueError, TypeError) as error:
            raise CheckpointError(say("journal.damaged", path=path, line=line, reason=error)) from error
    return records


def _tokens(completion: Completion) -> Tokens:
    return Tokens(completion.num_prompt_tokens, completion.num_tokens)
