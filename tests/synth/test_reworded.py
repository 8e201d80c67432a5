"""A question comes back in other words, with its answer, or is said to be unusable."""

from dataclasses import replace

import pytest

from nabot.synth.asking import Candidate
from nabot.synth.modes.reworded import Reworded
from nabot.synth.tasks import Rejected, Task
from nabot.textmodel import Completion

OPEN = Candidate(Task("When does the library open on day 5?", "", "At nine."), ("rules.md",), "opens at nine")


def reworded(text: str, of: Candidate = OPEN) -> Candidate | Rejected:
    mode = Reworded([of])
    (prompt,) = mode.next_prompts(4)
    assert of.task.instruction in prompt.conversation.messages[-1].content
    (found,) = mode.take(prompt, Completion(text, 1, 1, "stop"))
    assert not mode.next_prompts(4)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "From when on is it open on day 5?",
        '"From when on is it open on day 5?"',
        "\nIn other words: From when on is it open on day 5?\n\nI kept the number.",
        "1. From when on is it open on day 5?",
    ],
)
def test_the_question_is_read_and_keeps_answer_and_evidence(text: str):
    found = reworded(text)
    assert found == replace(OPEN, task=Task("From when on is it open on day 5?", "", "At nine."), invented=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "malformed_item"),
        ("I cannot do that.", "malformed_item"),
        ("when does the LIBRARY open on day 5 ?", "near_copy"),
        ("When does the public library open on day 5?", "near_copy"),
        ("From when on is it open?", "lost_number"),
    ],
)
def test_what_is_no_other_wording_is_rejected(text: str, reason: str):
    found = reworded(text)
    assert isinstance(found, Rejected)
    assert found.reason.slug == reason


def test_a_korean_question_is_asked_for_in_korean():
    korean = Candidate(Task("도서관은 몇 시에 문을 여나요?", "", "아홉 시에 엽니다."))
    (prompt,) = Reworded([korean]).next_prompts(1)
    assert "질문 하나만" in prompt.conversation.messages[-1].content
    assert isinstance(reworded("도서관 문은 언제 열리나요?", korean), Candidate)


def test_answers_are_taken_in_the_order_of_the_questions():
    tasks = [Candidate(Task(f"What is thing {letter}?", "", letter)) for letter in "abc"]
    mode = Reworded(tasks)
    prompts = [*mode.next_prompts(2), *mode.next_prompts(2)]
    found = [each for prompt in prompts for each in mode.take(prompt, Completion("Which is it?", 1, 1, "stop"))]
    assert [each.task.output for each in found] == ["a", "b", "c"]
