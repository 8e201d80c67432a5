"""Instructions made harder: the two requests of a round, what is eliminated, and how deep it goes."""

import random

import pytest

from nabot.synth.asking import Candidate
from nabot.synth.modes.evolve import _ALL_WAYS, Evolve
from nabot.synth.tasks import Rejected, Task
from nabot.textmodel import Completion

RIVER = Candidate(Task("Name a river.", "", "Rhine"), ("seed_1",))
KOREAN = Candidate(Task("인사말을 쓰세요.", "친구에게", "안녕"), ("seed_2",))
HARDER = "Name a river that crosses three countries, and explain why its harbours grew."


def said(text, finish="stop"):
    return Completion(text, 1, 1, finish)


def text_of(prompt):
    return prompt.conversation.messages[-1].content


def evolve(rows=(RIVER,), **settings):
    return Evolve(rows, random.Random(0), **settings)


def begun(instruction=HARDER, **settings):
    """A mode whose instruction was evolved, and the request for the answer."""
    mode = evolve(**settings)
    (prompt,) = mode.next_prompts(1)
    assert list(mode.take(prompt, said(instruction))) == []
    (answer,) = mode.next_prompts(1)
    return mode, answer


def test_an_instruction_is_evolved_and_then_answered():
    mode, prompt = begun()
    assert text_of(prompt) == HARDER
    (row,) = mode.take(prompt, said(" The Rhine crosses several. "))
    assert row.task == Task(HARDER, "", "The Rhine crosses several.")
    assert row.sources[0] == "seed_1"
    assert row.sources[1] in _ALL_WAYS
    assert mode.next_prompts(1) == []


def test_an_input_is_part_of_what_is_evolved_in_its_own_language():
    (prompt,) = evolve([KOREAN]).next_prompts(1)
    assert "인사말을 쓰세요.\n\n친구에게" in text_of(prompt)
    assert "지시를 따르지는 마세요" in text_of(prompt)


def test_all_six_ways_are_drawn():
    prompts = evolve([RIVER] * 200).next_prompts(200)
    assert {prompt.sources[-1] for prompt in prompts} == set(_ALL_WAYS)
    assert len({text_of(prompt) for prompt in prompts}) == 6
    assert {prompt.kind for prompt in prompts} == {"instruction"}


@pytest.mark.parametrize(
    "completion",
    [
        HARDER,
        f"Changed instruction: {HARDER}",
        f"Sure, here is the changed instruction:\n\n{HARDER}",
        f"**New Instruction:**\n{HARDER}\n",
        f'"{HARDER}"',
        f"바꾼 지시: {HARDER}",
    ],
)
def test_what_is_said_before_an_instruction_is_no_part_of_it(completion):
    _, prompt = begun(completion)
    assert text_of(prompt) == HARDER


def test_quotation_marks_inside_an_instruction_stay():
    asked = '"Rhine" and "Danube" are rivers: compare the harbours of the "Rhine"'
    assert text_of(begun(asked)[1]) == asked


@pytest.mark.parametrize(
    ("completion", "finish", "slug"),
    [
        (HARDER, "length", "cut_off"),
        ("  ", "stop", "empty_instruction"),
        ("Name a river.", "stop", "no_more_information"),
        ("Please name a river, and name it.", "stop", "no_more_information"),
        ("Name a long river.", "stop", "no_more_information"),
        (f"#Rewritten Prompt#: {HARDER}", "stop", "copies_prompt"),
        (f"{HARDER} This is the rewritten prompt.", "stop", "copies_prompt"),
        (f"The given instruction becomes harder. {HARDER}", "stop", "copies_prompt"),
        (f"{HARDER}\n원래 지시보다 어렵습니다.", "stop", "copies_prompt"),
    ],
)
def test_evolutions_that_are_eliminated(completion, finish, slug):
    mode = evolve()
    (prompt,) = mode.next_prompts(1)
    (found,) = mode.take(prompt, said(completion, finish))
    assert (found.reason.slug, found.text) == (slug, completion)
    assert mode.next_prompts(1) == []


@pytest.mark.parametrize(
    ("completion", "finish", "slug"),
    [
        ("The Rhine crosses", "length", "cut_off"),
        ("", "stop", "empty_output"),
        ("Sorry, I have no map.", "stop", "sorry"),
        ("죄송합니다. 모르겠습니다.", "stop", "sorry"),
        ("... !!! ?", "stop", "only_fillers"),
        ("It is what it is.", "stop", "only_fillers"),
    ],
)
def test_answers_that_are_eliminated(completion, finish, slug):
    mode, prompt = begun()
    (found,) = mode.take(prompt, said(completion, finish))
    assert isinstance(found, Rejected)
    assert found.reason.slug == slug


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        (HARDER, "The Rhine. " * 80 + "Sorry for so much text."),
        ("Write a letter that says sorry to a neighbour for loud music.", "Dear Ms Kim, I am sorry for the noise."),
        (HARDER, "3"),
    ],
)
def test_answers_that_only_look_like_it_are_kept(instruction, answer):
    mode, prompt = begun(instruction)
    (found,) = mode.take(prompt, said(answer))
    assert found.task.output == answer


def test_an_accepted_row_is_what_the_next_round_begins_with():
    mode, prompt = begun(depth=2)
    (row,) = mode.take(prompt, said("The Rhine crosses several."))
    mode.accepted(row)
    (deeper,) = mode.next_prompts(4)
    assert HARDER in text_of(deeper)
    assert deeper.sources[:2] == row.sources
    list(mode.take(deeper, said(f"{HARDER} Mention two poets who lived beside the water.")))
    (answer,) = mode.next_prompts(4)
    (last,) = mode.take(answer, said("Heine did."))
    assert len(last.sources) == 3
    mode.accepted(last)
    assert mode.next_prompts(4) == []


@pytest.mark.parametrize("fails", ["evolution", "answer", "filters"])
def test_a_round_that_fails_leaves_the_row_as_it_was(fails):
    if fails == "evolution":
        mode = evolve(depth=2)
        (prompt,) = mode.next_prompts(1)
        list(mode.take(prompt, said("")))
    else:
        mode, prompt = begun(depth=2)
        list(mode.take(prompt, said("" if fails == "answer" else "The Rhine.")))
    (again,) = mode.next_prompts(1)
    assert "Name a river." in text_of(again)
    assert HARDER not in text_of(again)


def test_answers_are_asked_for_before_more_is_evolved():
    mode = evolve([RIVER, RIVER, KOREAN])
    for prompt in mode.next_prompts(2):
        list(mode.take(prompt, said(HARDER)))
    assert [prompt.kind for prompt in mode.next_prompts(3)] == ["answer", "answer", "instruction"]
