"""`nabot chat`: the loop. In: a model that streams and a person who types, out: a conversation on the terminal.

Ctrl-C stops an answer and not the program. From a pipe, questions are read line by line and answers alone are printed.
"""

import contextlib
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Protocol

from nabot.cli.chat_commands import Leave, run_command
from nabot.cli.chat_memory import Memory
from nabot.cli.chat_screen import Screen, Write, wants_colour, write_out
from nabot.cli.chat_typing import Read, Typed, history, read_line, read_typed
from nabot.conversation import Conversation
from nabot.errors import NabotError
from nabot.text import say
from nabot.textmodel import Finish, Sampling


class ChatModel(Protocol):
    """What answers. The conversation carries the system prompt: the model adds none of its own."""

    def stream(self, conversation: Conversation, sampling: Sampling) -> Generator[str, None, Finish]:
        """The answer, piece by piece; returns how it ended, and closing it ends it."""
        ...

    def fitted(self, conversation: Conversation, max_new_tokens: int) -> tuple[Conversation, int]:
        """Without the oldest questions (and their answers) that no longer fit, and how many those were.

        Raises DataError if the last question alone is too long.
        """
        ...


def chat(
    model: ChatModel,
    *,
    name: str,
    system: str,
    sampling: Sampling,
    history_file: Path | None,
    base: str = "",
    read: Read = read_line,
    write: Write = write_out,
    interactive: bool | None = None,
) -> None:
    """Talks until /quit, Ctrl-D or the end of the input. `interactive=None`: input and output are a terminal.

    Not interactive, a question that cannot be answered or a command that cannot be obeyed ends it: raises NabotError.
    """
    if interactive is None:
        interactive = sys.stdin.isatty() and sys.stdout.isatty()
    screen = Screen(write, interactive=interactive, coloured=interactive and wants_colour())
    memory = Memory(system, sampling)
    with history(history_file) if interactive else contextlib.nullcontext():
        if interactive:
            screen.tell(say("chat.banner_base", name=name, base=base) if base else say("chat.banner", name=name))
            screen.note(say("chat.banner_keys"))
            screen.free_line()
        with contextlib.suppress(Leave):
            for typed in _messages(read, screen):
                _obey_or_answer(model, memory, typed, screen)


def _messages(read: Read, screen: Screen) -> Iterator[Typed]:
    """Until the input ends. Ctrl-C clears what was typed; a second one right behind it leaves."""
    interrupted = False
    while True:
        try:
            typed = read_typed(read)
        except EOFError:
            screen.free_line()
            return
        except KeyboardInterrupt:
            if not screen.interactive:
                raise
            screen.free_line()
            if interrupted:
                return
            interrupted = True
            screen.note(say("chat.again_leaves"))
            continue
        interrupted = False
        if typed.text.strip():
            yield typed


def _obey_or_answer(model: ChatModel, memory: Memory, typed: Typed, screen: Screen) -> None:
    """At a terminal an error is told and the chat goes on; in a pipe it ends it."""
    try:
        if typed.is_command:
            screen.tell(run_command(typed.text, memory))
        else:
            _answer(model, memory, typed.message, screen)
    except NabotError as error:
        if not screen.interactive:
            raise
        screen.tell(str(error))
    except KeyboardInterrupt:
        if not screen.interactive:
            raise
        screen.note(say("chat.stopped_early"))
    screen.free_line()


def _answer(model: ChatModel, memory: Memory, question: str, screen: Screen) -> None:
    """Streams one answer; it is remembered, with its question, unless there is nothing in it."""
    with _StopKey(screen) as stop_key:
        asked, dropped = model.fitted(memory.asking(question), memory.sampling.max_new_tokens)
        if dropped:
            screen.note(say("chat.forgotten_one" if dropped == 1 else "chat.forgotten", count=dropped))
        answer, finish = _streamed(model.stream(asked, memory.sampling), screen, stop_key)
    if answer.strip():
        memory.remember(asked, answer, whole=finish == "stop")
    if text_id := _REMARKS[finish, bool(answer.strip())]:
        screen.note(say(text_id))


# how an answer ended, and whether there is anything in it → what is said of it
_REMARKS: dict[tuple[Finish, bool], str] = {
    ("stop", True): "",
    ("stop", False): "chat.no_answer",
    ("length", True): "chat.cut_off",
    ("length", False): "chat.no_answer",
    ("abort", True): "chat.stopped",
    ("abort", False): "chat.stopped_early",
}


def _streamed(pieces: Generator[str, None, Finish], screen: Screen, stop_key: "_StopKey") -> tuple[str, Finish]:
    """The answer, and how it ended: "abort" where Ctrl-C was pressed."""
    answer = ""
    try:
        while True:
            piece = next(pieces)
            if stop_key.pressed:
                return answer, "abort"
            answer += piece
            screen.piece(piece)
    except StopIteration as end:
        return answer, end.value
    except KeyboardInterrupt:  # pressed twice, while no piece came
        if not screen.interactive:
            raise
        return answer, "abort"
    finally:
        pieces.close()
        screen.end_of_answer()


class _StopKey:
    """Ctrl-C as a wish while an answer runs: an exception in the middle of a step could leave a cache half written.

    Pressed again before the wish is granted it is an exception after all. In a pipe, and outside the main thread
    (where Python takes no signals), nothing is changed.
    """

    def __init__(self, screen: Screen) -> None:
        self.pressed = False
        self._active = screen.interactive

    def __enter__(self) -> "_StopKey":
        if self._active:
            try:
                self._before = signal.signal(signal.SIGINT, self._press)
            except ValueError:
                self._active = False
        return self

    def __exit__(self, *_: object) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, _number: int, _frame: FrameType | None) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
