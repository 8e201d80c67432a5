"""Ctrl-C and its kin during a run. In: a signal, out: a note that the loop reads between two steps."""

import contextlib
import signal
from collections.abc import Callable
from typing import Any


class Signals:
    """While it is entered, SIGINT and SIGTERM only leave a note; a second one ends the program at once."""

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        """`told` is called with the first signal, to say that it was heard."""
        self._told = told
        self.number = 0  # of the signal that came; 0 while none did
        self._old: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        with contextlib.suppress(ValueError):  # only the main thread may listen
            self._old = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self.number:
            self.__exit__()
            raise KeyboardInterrupt
        self.number = number
        self._told()
