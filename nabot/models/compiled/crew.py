"""Threads that run one compiled function together. In: a function and its arguments."""

import threading
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
        self._meeting = np.zeros(2 * APART // 8, np.int64)  # an int64 has 8 bytes
        self._tasks: list[SimpleQueue[_Task]] = [SimpleQueue() for _ in range(size)]
        self._asking = threading.Lock()
        for number in range(size):
            threading.Thread(target=self._work, args=(number,), name=f"nabot-crew-{number}", daemon=True).start()

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Until all are done."""
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        with self._asking:
            self._tasks[0].put((function, arguments, done))
            failed = done.get()
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
            if number == 0:
                for _ in self._tasks[1:]:
                    failed = others.get() or failed
            done.put(failed)


_crews: dict[int, Crew] = {}
_hiring = threading.Lock()


def crew() -> Crew:
    """One for the whole program and each number of threads."""
    size = torch.get_num_threads()
    with _hiring:
        if size not in _crews:
            _crews[size] = Crew(size)
    return _crews[size]
