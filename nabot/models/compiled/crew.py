"""Threads that run one compiled function together. In: a function and its arguments."""

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from nabot.models.compiled.machine import APART

_Task = tuple[Callable[..., None], tuple[Any, ...], SimpleQueue[BaseException | None]]


class Crew:
    """As many threads as torch multiplies with. A function gets its number, the crew's size, and where to meet.

    Whoever asks only waits, and the first of the crew calls the others: Ctrl-C interrupts the main thread, and were that
    one of them, it could leave while others wait for it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._meeting = np.zeros(3 * APART // 8, np.int64)  # an int64 has 8 bytes
        self._tasks: list[SimpleQueue[_Task]] = [SimpleQueue() for _ in range(size)]
        self._asking = threading.Lock()
        for number in range(size):
            threading.Thread(target=self._work, args=(number,), name=f"nabot-crew-{number}", daemon=True).start()

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Until all are done."""
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        with self._asking:
            self._tasks[0].put((function, arguments, done))
            try:
                failed = done.get()
            except BaseException:
                done.get()  # until it is done, it writes to what this thread may throw away
                raise
        if failed is not None:
            raise failed

    def _work(self, number: int) -> None:
        meeting = self._meeting.ctypes.data
        while True:
            function, arguments, done = self._tasks[number].get()
            others: SimpleQueue[BaseException | None] = SimpleQueue()
            if number == 0:
                for tasks in self._tasks[1:]:
                    tasks.put((function, arguments, others))
            failed = None
            try:
                function(number, self.size, meeting, *arguments)
            except BaseException as error:  # whoever asked gets it
                failed = error
                self._meeting[2 * APART // 8] = 1
            if number == 0:
                for _ in self._tasks[1:]:
                    failed = others.get() or failed
                if failed is not None:
                    self._meeting[:] = 0
            done.put(failed)
            del function, arguments, done, others, failed  # else they would live until the next


_crews: dict[int, Crew] = {}
_hiring = threading.Lock()


def crew(size: int = 0) -> Crew:
    """One for the whole program and each number of threads; 0: as many as torch takes."""
    size = size or torch.get_num_threads()
    with _hiring:
        if size not in _crews:
            _crews[size] = Crew(size)
    return _crews[size]


def _forget() -> None:
    """In a forked process, which has the crews and not their threads."""
    global _hiring  # noqa: PLW0603  # nobody will ever open the old one
    _hiring = threading.Lock()
    _crews.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Pace:
    """Runs the same work again and again with all threads, or with one while that is faster.

    Where another program has a core, the crew waits at each meeting for the thread that was taken off it: seven times as
    long as two threads alone, three times as long as one.
    """

    _EVERY = 64  # runs, of which one tries the other number

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._runs = self._last = 0

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """As `Crew.run`."""
        size = self._size(torch.get_num_threads())
        begun = time.perf_counter()
        crew(size).run(function, *arguments)
        took = time.perf_counter() - begun
        # Anew after a change of hands: what an old time was, other programs may have made it.
        self._seconds[size] = 0.8 * self._seconds[size] + 0.2 * took if size == self._last else took
        self._last = size
        self._runs += 1

    def _size(self, most: int) -> int:
        if self._runs < 3:
            return (most, 1, most)[self._runs]  # the very first is slower than it should be
        best = min((most, 1), key=lambda size: self._seconds.get(size, 0.0))
        return (1 if best == most else most) if self._runs % self._EVERY == 0 else best
