"""What holds for every way of asking: the same answers bring the same questions, and it comes to an end."""

import random

import pytest

from nabot.data.imports.types import Passage
from nabot.synth.asking import Candidate, Mode
from nabot.synth.modes.evolve import Evolve
from nabot.synth.modes.grounded import Grounded
from nabot.synth.modes.koalpaca import Koalpaca
from nabot.synth.modes.sentences import Sentences
from nabot.synth.tasks import Rejected, Task
from nabot.textmodel import Completion

PASSAGES = [Passage(f"Room {i} of Café Nabi has {i + 3} chairs and a lamp.", "rooms.md", f"Room {i}") for i in range(6)]
ROWS = [Candidate(Task(f"Name river {i}.", "", "Rhine"), (f"row {i}",)) for i in range(25)]

MODES = {
    "grounded": lambda: Grounded(PASSAGES, random.Random(7), unanswerable=0.3),
    "sentences": lambda: Sentences(PASSAGES, random.Random(7)),
    "koalpaca": lambda: Koalpaca(ROWS, "en"),
    "evolve": lambda: Evolve(ROWS, random.Random(7), depth=2),
}


class Script:
    """A teacher that does its work well most of the time; what it says depends on how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, prompt):
        self.asked += 1
        if self.asked % 5 == 0:
            return Completion("I would rather not.", 5, 1, "stop")
        finish = "length" if self.asked % 7 == 0 else "stop"
        return Completion(getattr(self, prompt.kind)(prompt), 5, 1, finish)

    def grounded(self, prompt):
        room = int(prompt.sources[0].rpartition(" ")[2])
        return (
            f"Question: How many chairs does room {room} of Café Nabi have, asked {self.asked}?\nQuote: has {room + 3} chairs\n"
            f"Answer: It has {room + 3} chairs.\n\nQuestion: Who painted room {room} of Café Nabi, asked {self.asked}?\nQuote: none\n"
            "Answer: The passage does not mention that."
        )

    def sentences(self, prompt):
        room = int(prompt.sources[0].rpartition(" ")[2])
        return f" How many chairs does room {room} of Café Nabi have, asked {self.asked}?\nAnswer: It has {room + 3} chairs."

    def koalpaca(self, _):
        return "\n".join(f"### Answer {i}\nWater {i}." for i in range(1, 11) if i != self.asked)

    def instruction(self, _):
        return f"Compare harbour {self.asked} with market {self.asked}, and explain both for children."

    def answer(self, _):
        return f"Harbours have water, markets have {self.asked} stalls."


def run(mode, most):
    """All prompts, all that was found; every other candidate is accepted."""
    script, prompts, found = Script(), [], []
    while asked := mode.next_prompts(most):
        assert len(asked) <= most
        answers = [script(prompt) for prompt in asked]
        prompts += asked
        assert len(prompts) < 500
        for prompt, answer in zip(asked, answers, strict=True):
            for item in mode.take(prompt, answer):
                found.append(item)
                if isinstance(item, Candidate) and len(found) % 2:
                    mode.accepted(item)
    return prompts, found


@pytest.mark.parametrize("most", [1, 4])
@pytest.mark.parametrize("name", MODES)
def test_equal_answers_bring_equal_questions(name, most):
    prompts, found = run(MODES[name](), most)
    assert run(MODES[name](), most) == (prompts, found)
    assert sum(isinstance(item, Candidate) for item in found) > 5
    assert sum(isinstance(item, Rejected) for item in found) > 2


@pytest.mark.parametrize("name", MODES)
def test_a_mode_is_known_by_its_name(name):
    mode: Mode = MODES[name]()
    assert mode.name == name


@pytest.mark.parametrize("name", MODES)
def test_every_row_says_where_it_comes_from_and_every_rejection_why(name):
    _, found = run(MODES[name](), 3)
    assert all(item.sources for item in found if isinstance(item, Candidate))
    assert all(item.reason.slug for item in found if isinstance(item, Rejected))


@pytest.mark.parametrize("name", MODES)
def test_without_material_there_is_nothing_to_ask(name):
    empty = {
        "grounded": lambda: Grounded([], random.Random(0)),
        "sentences": lambda: Sentences([], random.Random(0)),
        "koalpaca": lambda: Koalpaca([], "ko"),
        "evolve": lambda: Evolve([], random.Random(0)),
    }
    assert empty[name]().next_prompts(4) == []
