"""An exam asks everything, marks each answer, and counts what was taught apart from what was known before."""

import json
from pathlib import Path

import pytest

from nabot.conversation import Conversation, Message
from nabot.data.exams import ExamQuestion
from nabot.evals.exam import Sheet, result, side_by_side, sit
from nabot.evals.scoring import wilson_interval
from nabot.testing import Echo
from nabot.textmodel import Completion, Sampling


def question(text: str, *accept: str, group: str = "fact", reject: tuple[str, ...] = ()) -> ExamQuestion:
    return ExamQuestion(Conversation.ask(text), accept, reject, group)


CAT = question("Who is the cat?", "Admiral", reject=("Luna",))
PRICE = question("What is a moon latte?", "5,300")
FRIEND = question("And his friend?", "Bora", group="multi-turn")
SKY = question("Which colour has the sky?", "blue", group="general")
SUM = question("What is two and two?", "four", group="general")
SHARES = ("base", "tuned", "kept", "questions")
EXAM = [CAT, SKY, PRICE, FRIEND, SUM]

TUNED = Echo(
    {
        "Who is the cat?": "Admiral.",
        "What is a moon latte?": "It costs 5,300 won.",
        "And his friend?": "Luna.",
        "Which colour has the sky?": "Blue.",
        "What is two and two?": "It costs 5,300 won.",
    }
)
BASE = Echo(
    {"Which colour has the sky?": "Blue.", "What is two and two?": "Four.", "Who is the cat?": "Luna or Admiral."}
)


# sitting


def test_every_question_is_asked_once_and_in_order():
    model = Echo()
    sheet = sit(model, EXAM, Sampling())
    assert model.asked == [q.conversation for q in EXAM]
    assert [m.question for m in sheet.marks] == EXAM


def test_an_answer_with_a_rejected_value_is_wrong():
    assert [m.right for m in sit(BASE, [CAT, SKY], Sampling()).marks] == [False, True]


def test_answers_are_heard_of_one_by_one():
    class Watched(Echo):
        def generate(self, prompts, sampling):
            for number, completion in enumerate(super().generate(prompts, sampling)):
                assert len(heard) == number
                yield completion

    heard = []
    sheet = sit(Watched(), EXAM, Sampling(), on_answer=heard.append)
    assert tuple(heard) == sheet.marks


def test_facts_stand_in_the_system_prompt_and_general_questions_are_left_out():
    model = Echo()
    sit(model, EXAM, Sampling(), facts="- The cat is Admiral.\n")
    assert len(model.asked) == 3
    assert all(c.messages[0].role == "system" for c in model.asked)
    assert all(c.messages[0].content.endswith("- The cat is Admiral.") for c in model.asked)
    assert [c.messages[1:] for c in model.asked] == [q.conversation.messages for q in (CAT, PRICE, FRIEND)]


def test_facts_join_a_system_prompt_that_the_question_brings():
    own = ExamQuestion(Conversation.ask("Who?", system="Answer in Korean."), ("Admiral",))
    model = Echo()
    sit(model, [own], Sampling(), facts="The cat is Admiral.")
    system, asked = model.asked[0].messages
    assert "The cat is Admiral." in system.content
    assert system.content.endswith("Answer in Korean.")
    assert asked == Message("user", "Who?")


def test_an_empty_exam_gives_an_empty_sheet():
    assert sit(Echo(), [], Sampling()).marks == ()


# figures of a sheet


def test_general_questions_do_not_count_as_taught():
    figures = sit(TUNED, EXAM, Sampling()).figures()
    low, high = wilson_interval(2, 3)
    assert (figures["questions"], figures["right"]) == (3, 2)
    assert (figures["accuracy"], figures["low"], figures["high"]) == (2 / 3, low, high)


def test_groups_are_scored_apart():
    groups = sit(TUNED, EXAM, Sampling()).by_group()
    assert list(groups) == ["fact", "multi-turn"]
    assert (groups["fact"]["accuracy"], groups["fact"]["questions"]) == (1.0, 2)
    assert (groups["multi-turn"]["accuracy"], groups["multi-turn"]["questions"]) == (0.0, 1)


def test_an_answer_that_hits_the_limit_has_not_stopped():
    model = Echo({"Who is the cat?": "a b c d e f"})
    assert sit(model, [CAT, FRIEND], Sampling(max_new_tokens=4)).figures()["stopped"] == 0.5


def test_an_aborted_answer_has_not_stopped():
    class Aborted(Echo):
        def generate(self, prompts, sampling):
            yield from (Completion("", 0, 1, "abort") for _ in prompts)

    assert sit(Aborted(), [CAT], Sampling()).figures()["stopped"] == 0.0


def test_a_loop_counts_as_repetition():
    model = Echo({"Who is the cat?": "the moon and " * 50})
    assert sit(model, [CAT], Sampling()).figures()["repeated"] > 0.9


def test_speed_counts_the_tokens_of_all_answers():
    sheet = Sheet(sit(TUNED, EXAM, Sampling()).marks, seconds=2.0)
    assert sheet.figures()["tokens_per_second"] == (1 + 4 + 1 + 1 + 4) / 2


def test_empty_answers_are_wrong_and_stopped():
    figures = sit(Echo(dict.fromkeys(["Who is the cat?", "And his friend?"], "")), [CAT, FRIEND], Sampling()).figures()
    assert (figures["accuracy"], figures["stopped"], figures["repeated"]) == (0.0, 1.0, 0.0)


# the result of all sheets


def test_the_result_has_the_fields_that_scripts_rely_on():
    facts = "The cat is Admiral."
    sheets = {"tuned": sit(TUNED, EXAM, Sampling()), "base": sit(BASE, EXAM, Sampling())}
    found = result(Path("exam.jsonl"), sheets | {"prompted": sit(BASE, EXAM, Sampling(), facts=facts)})
    assert found["exam"] == "exam.jsonl"
    assert list(found["results"]) == ["base", "prompted", "tuned"]
    fields = {"accuracy", "low", "high", "questions", "stopped", "repeated", "tokens_per_second", "groups"}
    assert all(fields <= set(figures) for figures in found["results"].values())
    assert json.loads(json.dumps(found)) == found


def test_kept_is_the_share_of_what_the_base_knew():
    sheets = {"base": sit(BASE, EXAM, Sampling()), "tuned": sit(TUNED, EXAM, Sampling())}
    general = result("e", sheets)["general"]
    assert {k: general[k] for k in SHARES} == {"base": 1.0, "tuned": 0.5, "kept": 0.5, "questions": 2}


def test_what_was_kept_has_an_interval_over_what_the_base_knew():
    only_one = Echo({"Which colour has the sky?": "Blue."})
    sheets = {"base": sit(only_one, EXAM, Sampling()), "tuned": sit(TUNED, EXAM, Sampling())}
    general = result("e", sheets)["general"]
    assert (general["known"], general["low"], general["high"]) == (1, *wilson_interval(1, 1))


def test_what_the_base_did_not_know_cannot_be_kept():
    learned_general = Echo({"Which colour has the sky?": "Blue."})
    sheets = {"base": sit(Echo(), EXAM, Sampling()), "tuned": sit(learned_general, EXAM, Sampling())}
    general = result("e", sheets)["general"]
    assert {k: general[k] for k in SHARES} == {"base": 0.0, "tuned": 0.5, "kept": None, "questions": 2}


def test_without_general_questions_nothing_is_said_of_them():
    sheets = {"base": sit(BASE, [CAT], Sampling()), "tuned": sit(TUNED, [CAT], Sampling())}
    general = result("e", sheets)["general"]
    assert {k: general[k] for k in SHARES} == {"base": None, "tuned": None, "kept": None, "questions": 0}


def test_with_general_questions_only_there_is_no_accuracy():
    found = result("e", {"base": sit(BASE, [SKY], Sampling()), "tuned": sit(TUNED, [SKY], Sampling())})
    figures = found["results"]["tuned"]
    assert (figures["accuracy"], figures["low"], figures["high"], figures["questions"]) == (None, 0.0, 1.0, 0)
    assert found["general"]["kept"] == 1.0


def test_a_bare_model_can_sit_alone():
    found = result("e", {"base": sit(BASE, EXAM, Sampling())})
    assert list(found["results"]) == ["base"]
    assert {k: found["general"][k] for k in SHARES} == {"base": 1.0, "tuned": None, "kept": None, "questions": 2}


# side by side


@pytest.mark.parametrize("exam", [EXAM, [CAT, CAT, SKY, CAT], [SKY], []])
def test_answers_stand_beside_each_other_though_one_contestant_left_questions_out(exam):
    sheets = {
        "prompted": sit(BASE, exam, Sampling(), facts="The cat is Admiral."),
        "tuned": sit(TUNED, exam, Sampling()),
    }
    rows = list(side_by_side(sheets))
    assert [row["tuned"].question for row in rows] == exam
    assert ["prompted" in row for row in rows] == [q.group != "general" for q in exam]
    assert all(mark.question == row["tuned"].question for row in rows for mark in row.values())
