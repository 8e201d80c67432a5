"""Self-instruct's three completions and its choice of instances, as its programs read them (Wang et al. 2022)."""

import random

import pytest

from nabot.synth.parsing import (
    MOST_INSTANCES,
    is_classification,
    parse_instances,
    parse_instructions,
    parse_labelled_instances,
    usable_instances,
)
from nabot.synth.tasks import Rejected, Task


def kept(found):
    return [(task.input, task.output) for task in found if isinstance(task, Task)]


def slugs(found):
    return [item.reason.slug for item in found if isinstance(item, Rejected)]


# the list of instructions


def test_instructions_are_cut_at_numbers_at_the_beginning_of_a_line():
    found = parse_instructions(" Name a river in 3. steps.\n10. add  up\ttwo\nnumbers.\n11 . Write a haiku.")
    assert found == ["Name a river in 3. steps.", "Add up two numbers.", "Write a haiku."]


def test_capitals_inside_an_instruction_stay():
    assert parse_instructions("compare Python and SQL.") == ["Compare Python and SQL."]


def test_an_empty_instruction_is_rejected_and_the_others_stay():
    found = parse_instructions("Name a river.\n10. \n11. Write a haiku.")
    assert slugs(found) == ["empty_instruction"]
    assert [line for line in found if isinstance(line, str)] == ["Name a river.", "Write a haiku."]


def test_a_list_that_reached_its_limit_is_dropped_as_a_whole():
    assert slugs(parse_instructions("Name a river.\n10. Write a", "length")) == ["cut_off"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (" Yes", True),
        ("yes\n", True),
        ("YES", True),
        ("네", True),
        ("yeS", False),
        ("Yes.", False),
        ("No", False),
        ("", False),
    ],
)
def test_only_a_plain_yes_makes_a_classification(answer, expected):
    assert is_classification(answer) is expected


# instances, input first


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("Example 1\nInput: 2, 3\nOutput: 5\n\nExample 2\nInput: 4, 4\nOutput: 8", [("2, 3", "5"), ("4, 4", "8")]),
        ("Example 1.\n2, 3\nOutput 1: 5", [("2, 3", "5")]),
        ("Example\nOutput: 5", [("", "5")]),
        ("Example 1\nall of it is the answer", [("", "all of it is the answer")]),
        ("Output: 5", [("", "5")]),
        ("Input: 2, 3\nOutput:5", [("2, 3", "5")]),
        ("Input 1: 2\nOutput 1: 5\nInput 2: 9\nOutput 2: 7", [("2", "5")]),
        ("Output: 5\n\nInput: 7", [("", "5")]),
    ],
)
def test_inputs_stand_before_outputs(completion, expected):
    found = parse_instances("Add. ", completion)
    assert kept(found) == expected
    assert {task.instruction for task in found} == {"Add."}


def test_a_completion_without_example_or_output_is_malformed():
    assert slugs(parse_instances("Add.", "2 and 3 make 5")) == ["malformed_item"]


def test_the_last_instance_of_a_completion_that_reached_its_limit_is_cut():
    found = parse_instances("Add.", "Example 1\nInput: 2\nOutput: 5\nExample 2\nInput: 4\nOutput: 1", "length")
    assert kept(found) == [("2", "5")]
    assert slugs(found) == ["cut_off"]


# instances of a classification, label first


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (
            "Class label: spam\nWin money now\n\nClass label: ham\nLunch at noon?",
            [("Win money now", "spam"), ("Lunch at noon?", "ham")],
        ),
        ("Class label: spam", [("", "spam")]),
        ("Here they are. Class label:  ham \n two\nlines ", [("two\nlines", "ham")]),
    ],
)
def test_labels_stand_before_inputs(completion, expected):
    assert kept(parse_labelled_instances("Sort it.", completion)) == expected


def test_a_classification_without_a_label_is_malformed_and_the_last_one_can_be_cut():
    assert slugs(parse_labelled_instances("Sort it.", "spam: Win money now")) == ["malformed_item"]
    assert slugs(parse_labelled_instances("Sort it.", "Class label: spam\nWin mo", "length")) == ["cut_off"]


# which instances are used


def chosen(*pairs, seed=0):
    return usable_instances([Task("Do it.", *pair) for pair in pairs], random.Random(seed))


@pytest.mark.parametrize(
    ("pair", "slug"),
    [
        (("a", "a"), "same_as_input"),
        (("a", ""), "empty_output"),
        (("a:", "b"), "ends_with_colon"),
        (("a", "b: "), "ends_with_colon"),
    ],
)
def test_unfinished_instances_are_left_out(pair, slug):
    found = chosen(pair, ("x", "y"))
    assert kept(found) == [("x", "y")]
    assert slugs(found) == [slug]


def test_one_input_with_two_outputs_rejects_all_instances():
    found = chosen(("a", "b"), ("a", "c"), ("x", "y"), ("z", ""))
    assert kept(found) == []
    assert slugs(found) == [*["contradicting_instances"] * 3, "empty_output"]


def test_several_outputs_without_an_input_are_no_contradiction():
    assert kept(chosen(("", "b"), ("", "c"))) == [("", "b"), ("", "c")]


def test_an_instance_counts_once():
    found = chosen(("a", "b"), ("a", "b"), ("c", "d"))
    assert kept(found) == [("a", "b"), ("c", "d")]
    assert slugs(found) == ["repeated_instance"]


def test_at_most_five_instances_are_drawn_by_the_seed():
    pairs = [(f"in {i}", f"out {i}") for i in range(12)]
    draws = [tuple(kept(chosen(*pairs, seed=seed))) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert all(len(draw) == MOST_INSTANCES and set(draw) <= set(pairs) for draw in draws)
