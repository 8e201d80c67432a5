"""The chat at a real (pseudo) terminal: echo, streaming, and Ctrl-C as a signal."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", exc_type=ImportError)  # Windows has none

PROGRAM = """
import fcntl, itertools, signal, termios, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background may have it ignored
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C becomes a signal to this process
from nabot.cli.chat import chat
from nabot.textmodel import Sampling

class Slow:
    def stream(self, conversation, sampling):
        question = conversation.messages[-1].content
        busy = itertools.count() if question == "sleep" else range(0)
        try:
            for n in itertools.count() if question == "count" else [len(conversation.messages)]:
                yield f"number {n}; "
                for _ in busy:
                    time.sleep(0.02)  # a step that yields nothing, as while a long prompt is read
                time.sleep(0.02)
            return "stop"
        finally:
            print("closed", end="")
    def fitted(self, conversation, max_new_tokens):
        return conversation, 0

chat(Slow(), name="cafe", system="", sampling=Sampling(), history_file=None)
print("left")
"""
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Terminal:
    """A program at the other end of a pseudo terminal."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[2])
        environment = os.environ | {"PYTHONPATH": root, "TERM": "xterm", "NO_COLOR": "1", "PYTHONUTF8": "1"}
        self._end, end = pty.openpty()
        command = [sys.executable, "-c", PROGRAM]
        self._child = subprocess.Popen(
            command, stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True
        )
        os.close(end)
        os.set_blocking(self._end, False)
        self._screen = ""

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def expect(self, text: str, seconds: float = 20) -> str:
        """What has been shown up to and with `text`, which is then behind us."""
        give_up = time.monotonic() + seconds
        while text not in self._screen:
            assert time.monotonic() < give_up, f"{text!r} did not come; shown: {self._screen!r}"
            try:
                more = os.read(self._end, 65536).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.01)
                continue
            self._screen += ESCAPES.sub("", more).replace("\r", "")
        before, _, self._screen = self._screen.partition(text)
        return before + text

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._end)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_ctrl_c_stops_the_answer_and_the_chat_goes_on(terminal: Terminal) -> None:
    terminal.expect("> ")
    terminal.type("count\r")
    terminal.expect("number 3;")
    terminal.type("\x03")
    terminal.expect("closed")
    terminal.expect("(stopped; what is there is remembered)")
    terminal.expect("> ")
    terminal.type("hello\r")
    terminal.expect("number 3; ")  # question, what was answered, question
    terminal.expect("> ")
    terminal.type("/quit\r")
    terminal.expect("left")


def test_a_second_ctrl_c_stops_a_step_that_does_not_come_to_its_end(terminal: Terminal) -> None:
    terminal.expect("> ")
    terminal.type("sleep\r")
    terminal.expect("number 1;")
    terminal.type("\x03")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect("closed")
    terminal.expect("(stopped; what is there is remembered)")
    terminal.expect("> ")
    terminal.type("\x04")
    terminal.expect("left")


@pytest.mark.parametrize("leave", ["\x04", "/quit\r"])
def test_ctrl_c_at_the_prompt_clears_the_line_and_ctrl_d_leaves(terminal: Terminal, leave: str) -> None:
    terminal.expect("> ")
    terminal.type("not this")
    terminal.expect("this")
    terminal.type("\x03")
    terminal.expect("Ctrl-C again leaves")
    terminal.expect("> ")
    terminal.type(leave)
    assert "number" not in terminal.expect("left")


def test_ctrl_c_twice_at_the_prompt_leaves(terminal: Terminal) -> None:
    terminal.expect("> ")
    terminal.type("\x03")
    terminal.expect("Ctrl-C again leaves")
    terminal.expect("> ")
    terminal.type("\x03")
    terminal.expect("left")


def test_a_pasted_paragraph_is_one_message(terminal: Terminal) -> None:
    readline = pytest.importorskip("readline")
    if "libedit" in (readline.__doc__ or ""):
        pytest.skip("libedit knows no bracketed paste")
    terminal.expect("> ")
    terminal.type("\x1b[200~one\ntwo\nthree\x1b[201~\r")
    terminal.expect("number 1;")
    terminal.expect("> ")
    terminal.type("next\r")
    terminal.expect("number 3;")
