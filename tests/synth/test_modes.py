"""What the modes ask, and that they read what chat models make of it."""

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.synth import Task, own_seeds
from nabot.synth.asking import INSTANCES, Candidate
from nabot.synth.modes import MODES, Material
from nabot.synth.seeds import read_seeds
from nabot.synth.tasks import Rejected
from nabot.textmodel import Completion

SEEDS = own_seeds("en")
SEEDED = [name for name, way in MODES.items() if way.needs == "seeds"]  # the others have files of their own


def mode(name, *, language="en", seed=0, seeds=SEEDS):
    return MODES[name].mode(Material(language, random.Random(seed), seeds))


def asked(prompt):
    return "\n".join(message.content for message in prompt.conversation.messages)


def answered(text, finish="stop"):
    return Completion(text, 1, 1, finish)


def tasks(found):
    return [candidate.task for candidate in found if isinstance(candidate, Candidate)]


@pytest.mark.parametrize("name", SEEDED)
def test_equal_seeds_and_answers_bring_equal_questions(name):
    def questions():
        asking, rng, said = mode(name), random.Random(1), []
        for _ in range(8):
            for prompt in asking.next_prompts(3):
                said.append((prompt, prompt.sampling))
                text = rng.choice(
                    [" Name a river.\n10. Explain how tides come about.", "Yes", "Example 1\nInput: 1\nOutput: 2"]
                )
                for candidate in candidates(asking.take(prompt, answered(text))):
                    asking.accepted(candidate)
        return said

    assert questions() == questions()


@pytest.mark.parametrize("name", SEEDED)
def test_no_round_asks_the_same_twice_however_few_seeds_there_are(name):
    asking = mode(name, seeds=SEEDS[:2])
    first, second = asking.next_prompts(16), asking.next_prompts(16)
    assert 0 < len(first) == len(set(map(asked, first))) <= 2
    assert not set(first) & set(second)


def candidates(found):
    return [candidate for candidate in found if isinstance(candidate, Candidate)]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(alphabet="Yes019.#\n :abInputOutputExampleClasslabel", max_size=80), max_size=12))
@pytest.mark.parametrize("name", SEEDED)
def test_whatever_is_answered_is_read_without_an_error(name, texts):
    asking = mode(name)
    for text in texts:
        for prompt in asking.next_prompts(2):
            list(asking.take(prompt, answered(text, "length")))


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("name", SEEDED)
def test_every_language_has_prompts_with_the_labels_that_are_read(name, language):
    (prompt,) = mode(name, language=language).next_prompts(1)
    assert ("다" in asked(prompt)) == (language == "ko")
    assert asked(prompt).endswith("4. Instruction:" if name == "alpaca" else "\n9.")


# ---- Alpaca


def test_alpacas_prompt_has_rules_numbered_without_a_gap():
    for language in ("en", "ko"):
        rules = asked(mode("alpaca", language=language).next_prompts(1)[0]).partition("###")[0]
        assert [int(n) for n in re.findall(r"^(\d+)\. ", rules, re.MULTILINE)] == list(range(1, 10))


def test_alpacas_prompt_shows_three_seeds_in_the_form_that_is_read():
    (prompt,) = mode("alpaca").next_prompts(1)
    shown = {seed.id: seed for seed in SEEDS}
    listed = asked(prompt).partition("###\n1. Instruction:")[2].removesuffix("###\n4. Instruction:")
    for number, seed_id in enumerate(prompt.sources, start=1):
        seed = shown[seed_id]
        assert (
            f"{number}. Input:\n{seed.tasks[0].input or '<noinput>'}\n{number}. Output:\n{seed.tasks[0].output}\n"
            in listed
        )
    assert len(prompt.sources) == 3


def test_alpacas_prompts_show_seeds_alone_and_each_time_others():
    prompts = mode("alpaca").next_prompts(20)
    assert len({prompt.sources for prompt in prompts}) > 15


@pytest.mark.parametrize("finish", ["length", "abort"])
def test_alpacas_last_item_is_dropped_if_the_answer_was_cut(finish):
    asking = mode("alpaca")
    (prompt,) = asking.next_prompts(1)
    text = " Name a river.\n4. Input:\n<noinput>\n4. Output:\nOb\n###\n5. Instruction: Name a lake.\n5. Input:\n<noinput>\n5. Output:\nBai"
    found = list(asking.take(prompt, answered(text, finish)))
    assert tasks(found) == [Task("Name a river.", "", "Ob")]
    assert [item.reason.slug for item in found if isinstance(item, Rejected)] == ["cut_off"]


def test_fewer_seeds_than_are_shown_do(tmp_path):
    path = tmp_path / "seeds.jsonl"
    path.write_text(
        json.dumps({"instruction": "Add.", "instances": [{"input": "", "output": "2"}], "is_classification": False})
    )
    for name in SEEDED:
        asking = mode(name, seeds=read_seeds(path))
        (prompt,) = asking.next_prompts(1)
        assert asked(prompt).endswith(("2. Instruction:", "\n2."))
    found = mode("alpaca", seeds=read_seeds(path))
    (prompt,) = found.next_prompts(1)
    assert tasks(found.take(prompt, answered(" Name a river.\n2. Input:\n<noinput>\n2. Output:\nOb"))) == [
        Task("Name a river.", "", "Ob")
    ]


# ---- self-instruct


def listed(text):
    """The instructions that self-instruct makes of an answer, as the next questions have them."""
    asking = mode("self-instruct")
    (prompt,) = asking.next_prompts(1)
    rejected = [item.reason.slug for item in asking.take(prompt, answered(text))]
    following = asking.next_prompts(99)
    if following[0].kind == "instructions":
        return [], rejected
    return [asked(p).rpartition("Task: ")[2].partition("\n")[0] for p in following], rejected


A, B = "Name three rivers in Asia.", "Explain how tides come about."


@pytest.mark.parametrize(
    "text",
    [
        f" {A}\n10. {B}",
        f"9. {A}\n10. {B}",
        f"9. {A}\n\n10. {B}\n\nLet me know if you want more!",
        f"Sure, here are some more tasks:\n\n9. {A}\n10. {B}\n",
        f" {A}\n10. {B}\n11. Draw a picture of a horse.\n12. {A}",
    ],
)
def test_chat_models_lists_are_read(text):
    assert listed(text)[0] == [A, B]


def test_an_instruction_has_to_be_fit_and_new():
    assert listed(f" Draw a picture of a horse.\n10. {A}\n11. {A}\n12. {SEEDS[3].instruction}") == (
        [A], ["other_media", "near_copy", "near_copy"],
    )  # fmt: skip


@pytest.mark.parametrize("answer", ["Yes", " yes", "Yes.", "**Yes**", "네"])
def test_a_classification_is_asked_label_first(answer):
    asking = instances_after(answer)
    (prompt,) = asking.next_prompts(9)
    assert prompt.kind == INSTANCES
    assert "Class label:" in asked(prompt)
    found = asking.take(prompt, answered("Class label: warm\nTea\nClass label: cold\nIce"))
    assert tasks(found) == [Task(A, "Tea", "warm"), Task(A, "Ice", "cold")]


@pytest.mark.parametrize("answer", ["No", "", "Maybe, yes"])
def test_any_other_task_is_asked_input_first(answer):
    asking = instances_after(answer)
    (prompt,) = asking.next_prompts(9)
    assert "Class label:" not in asked(prompt)
    assert "Example 1" in asked(prompt)
    found = list(asking.take(prompt, answered("Example 1\nInput: East\nOutput: Amur\nExample 2\nInput: We", "length")))
    assert tasks(found) == [Task(A, "East", "Amur")]
    assert all(candidate.sources for candidate in found if isinstance(candidate, Candidate))


def instances_after(answer):
    asking = mode("self-instruct")
    (prompt,) = asking.next_prompts(1)
    list(asking.take(prompt, answered(f" {A}")))
    (prompt,) = asking.next_prompts(9)
    assert asked(prompt).endswith("Is it a classification?")
    list(asking.take(prompt, answered(answer)))
    return asking


def test_at_most_two_instructions_of_eight_are_the_teachers_own():
    asking = mode("self-instruct")
    own = [f"Explain {word} with an example." for word in ["tides", "clouds", "granite", "yeast", "magnets"]]
    (prompt,) = asking.next_prompts(1)
    list(asking.take(prompt, answered(" " + "\n10. ".join(own))))
    while prompt.kind != "instructions" or "9." not in asked(prompt) or not set(own) & set(shown(prompt)):
        (prompt,) = asking.next_prompts(1)
        list(asking.take(prompt, answered("No")))
    assert len(shown(prompt)) == 8
    assert len(set(own) & set(shown(prompt))) <= 2
    assert len(prompt.sources) == 8 - len(set(own) & set(shown(prompt)))


def shown(prompt):
    return re.findall(r"^\d+\. (.*)$", asked(prompt), re.MULTILINE)
