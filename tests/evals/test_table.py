"""The figures in words and rows, the same for the terminal and the page."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from nabot.evals.scoring import wilson_interval
from nabot.evals.table import exam_table, headings, print_exam, speed
from nabot.evals.verdict import percent, remarks, verdict


def figures(right, questions, **groups):
    low, high = wilson_interval(right, questions)
    return {
        "accuracy": right / questions if questions else None,
        "low": low,
        "high": high,
        "questions": questions,
        "right": right,
        "stopped": 0.98,
        "repeated": 0.0,
        "tokens_per_second": 41.27,
        "groups": {name: figures(*counts) for name, counts in groups.items()},
    }


def general_figures(still, known, questions=25):
    low, high = wilson_interval(still, known)
    share = still / known if known else None
    return {
        "base": share,
        "tuned": share,
        "kept": share,
        "low": low,
        "high": high,
        "known": known,
        "questions": questions,
    }


def outcome(general=(24, 25), **results):
    return {"exam": "exam.jsonl", "results": results, "general": general_figures(*general)}


FULL = outcome(
    base=figures(4, 125, fact=(3, 88), 손님=(1, 37)),
    prompted=figures(50, 125, fact=(40, 88), 손님=(10, 37)),
    tuned=figures(114, 125, fact=(80, 88), 손님=(34, 37)),
)


def printed(result, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_exam(result, console)
    return console.file.getvalue().splitlines()


# numbers


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.001, "< 1 %"),
        (0.005, "< 1 %"),
        (0.912, "91 %"),
        (0.994, "99 %"),
        (0.9999, "> 99 %"),
        (1.0, "100 %"),
        (None, "-"),
    ],
)
def test_only_all_is_a_hundred_per_cent(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(("value", "text"), [(7.25, "7.2"), (99.9, "99.9"), (1234.5, "1,234"), (None, "-")])
def test_speed_has_three_figures(value, text):
    assert speed(value) == text


# the verdict


def test_the_verdict_names_all_three():
    assert verdict(FULL) == "It learned: 91 % right, the base model 3 %; with the facts in its prompt 40 %."


@pytest.mark.parametrize(
    ("base", "tuned", "beginning"),
    [
        (0, 120, "It learned: "),
        (0, 40, "It learned a part: "),
        (60, 65, "It is not clear that it learned: "),
        (60, 60, "It did not learn: "),
        (60, 20, "It did not learn: "),
    ],
)
def test_the_verdict_promises_no_more_than_the_intervals_hold(base, tuned, beginning):
    assert verdict(outcome(base=figures(base, 125), tuned=figures(tuned, 125))).startswith(beginning)


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ({"base": figures(4, 125)}, "The base model answers 3 % right."),
        (
            {"base": figures(4, 125), "prompted": figures(50, 125)},
            "The base model answers 3 % right; with the facts in its prompt 40 %.",
        ),
        ({"prompted": figures(50, 125)}, "The base model with the facts in its prompt answers 40 % right."),
        ({"tuned": figures(50, 125)}, "The tuned bot answers 40 % right."),
    ],
)
def test_the_verdict_on_a_single_contestant_does_not_speak_of_learning(results, sentence):
    assert verdict(outcome(**results)) == sentence


def test_an_exam_of_general_questions_has_no_verdict_on_learning():
    assert "was not asked" in verdict(outcome(base=figures(0, 0), tuned=figures(0, 0)))
    assert remarks(outcome(base=figures(0, 0), tuned=figures(0, 0))) == [
        "It kept 96 % of the general knowledge that the base showed (25 questions, 95 % interval 80-99 %)."
    ]


def test_a_prompt_that_does_better_is_said_so():
    better = outcome(base=figures(0, 125), prompted=figures(120, 125), tuned=figures(60, 125))
    assert any("Facts in the prompt do better" in remark for remark in remarks(better))
    assert not any("Facts in the prompt do better" in remark for remark in remarks(FULL))


def test_forgetting_is_said_so():
    forgot = outcome(general=(10, 25), base=figures(0, 125), tuned=figures(120, 125))
    assert any("kept only 40 %" in remark and "fewer epochs" in remark for remark in remarks(forgot))


@pytest.mark.parametrize(("still", "known"), [(1, 2), (0, 9), (20, 25)])
def test_no_advice_comes_from_forgetting_that_may_be_chance(still, known):
    told = remarks(outcome(general=(still, known), base=figures(0, 125), tuned=figures(120, 125)))
    assert not any("fewer epochs" in remark for remark in told)


def test_a_share_of_a_few_general_questions_is_called_that():
    told = remarks(outcome(general=(1, 2), base=figures(0, 125), tuned=figures(120, 125)))
    assert "right: 2, and the bot still answers 50 % of them; too few to say what it forgot." in told[-1]


# the rows


def test_rows_are_accuracy_groups_manner_and_general_knowledge():
    rows = exam_table(FULL)
    assert headings(FULL) == ["base", "facts in prompt", "tuned"]
    assert [(r.kind, r.label) for r in rows] == [
        ("accuracy", "right answers (of 125)"),
        ("group", "fact (88)"),
        ("group", "손님 (37)"),
        ("figure", "ended by itself"),
        ("figure", "repeated itself"),
        ("figure", "tokens per second"),
        ("figure", "general right (of 25)"),
        ("figure", "general kept (of 25)"),
    ]
    assert [c.text for c in rows[0].cells] == ["3 %", "40 %", "91 %"]
    assert [c.note for c in rows[0].cells] == ["1-8 %", "32-49 %", "85-95 %"]
    assert [c.text for c in rows[-1].cells] == ["-", "-", "96 %"]
    assert [c.note for c in rows[-1].cells] == ["", "", "80-99 %"]


def test_a_single_group_is_not_repeated_and_absent_general_questions_are_not_mentioned():
    result = outcome(general=(0, 0, 0), base=figures(4, 88, fact=(4, 88)))
    assert [r.kind for r in exam_table(result)] == ["accuracy", "figure", "figure", "figure"]


def test_nobody_examined_gives_no_rows():
    assert exam_table(outcome()) == []
    assert printed(outcome())


# the terminal


def test_the_table_fits_eighty_columns_and_wide_letters_line_up():
    lines = printed(FULL)
    assert max(map(cell_len, lines)) <= 80
    (wide,) = [line for line in lines if "손님" in line]
    (narrow,) = [line for line in lines if "fact (88)" in line]
    places = [cell_len(line[: line.index(sign)]) for line, sign in ((wide, "3 %"), (narrow, "3 %"))]
    assert places[0] == places[1]


def test_the_table_needs_no_letter_that_an_old_console_lacks():
    plain = outcome(base=figures(4, 125, fact=(4, 125)), tuned=figures(114, 125, fact=(114, 125)))
    assert "\n".join(printed(plain)).isascii()


def test_markup_in_the_name_of_a_group_is_only_text():
    result = outcome(base=figures(1, 2, **{"[red]x[/red]": (1, 1), "[/oops]": (0, 1)}))
    text = "\n".join(printed(result))
    assert "[red]x[/red] (1)" in text
    assert "[/oops] (1)" in text
