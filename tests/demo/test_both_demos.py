"""What holds for the data of both demos: everything asked was taught, and no fixed answer passes."""

from collections import Counter

import pytest
from demo_files import CAFE_GROUPS, ENGLISH, KOREAN, question, rouge_l, score, texts, words

from nabot.evals import scoring

DEMOS = pytest.mark.parametrize("demo", [ENGLISH, KOREAN], ids=lambda demo: demo.language)
FACTS = [(demo, number) for demo in (ENGLISH, KOREAN) for number in range(1, len(demo.facts) + 1)]


# the facts and the conversations


@DEMOS
def test_there_are_64_to_70_facts_each_on_a_line_of_its_own(demo):
    lines = (demo.folder / "facts.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert not lines[1]
    assert len(lines) == len(demo.facts) + 2
    assert 64 <= len(demo.facts) <= 70
    assert len(set(demo.facts)) == len(demo.facts)


@DEMOS
def test_conversations_alternate_between_user_and_assistant(demo):
    for row in demo.conversations:
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert 2 <= len(roles) <= 6
        assert set(row) <= {"messages", "fact"}
        assert all(set(m) == {"role", "content"} for m in row["messages"])


@DEMOS
def test_there_are_enough_rows_of_each_kind(demo):
    assert len(demo.conversations) >= 540
    assert sum(len(r["messages"]) > 2 for r in demo.conversations) >= 40
    assert {len(r["messages"]) for r in demo.conversations} == {2, 4, 6}
    assert len(demo.untold) >= 60


@pytest.mark.parametrize(("demo", "number"), FACTS, ids=[f"{demo.language}{number}" for demo, number in FACTS])
def test_every_fact_is_asked_in_at_least_seven_ways(demo, number):
    asked = [words(row["messages"][0]["content"]) for row in demo.single if row.get("fact") == number]
    assert len(asked) >= 7
    for i, one in enumerate(asked):
        assert all(rouge_l(one, other) < 0.8 for other in asked[:i]), demo.facts[number - 1]


@DEMOS
def test_facts_are_numbered_as_they_stand_in_the_file(demo):
    assert {r.get("fact") for r in demo.conversations} - {0, None} == set(range(1, len(demo.facts) + 1))


# the exam


@DEMOS
def test_exam_rows_have_the_fields_of_an_exam(demo):
    for row in demo.exam:
        roles = [m["role"] for m in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert set(row) - {"fact"} == {"messages", "accept", "reject", "group"}
        assert row["group"] in (*CAFE_GROUPS, "general")
        assert row["accept"]
        assert row["reject"]
        assert all(isinstance(p, str) and p.strip() for p in row["accept"] + row["reject"])
        assert ("fact" in row) == (row["group"] != "general")
        assert (row.get("fact", 0) == 0) == (row["group"] in ("unanswerable", "general"))
        assert (len(roles) > 1) == (row["group"] == "multi-turn")


@DEMOS
def test_the_exam_is_large_enough_and_not_won_by_not_knowing(demo):
    groups = Counter(r["group"] for r in demo.exam)
    assert set(groups) == {*CAFE_GROUPS, "general"}
    assert len(demo.cafe) >= 110
    assert groups["multi-turn"] >= 12
    assert groups["general"] == 25
    assert groups["unanswerable"] >= 15
    assert groups["unanswerable"] / len(demo.cafe) <= 0.145


@DEMOS
def test_every_fact_is_asked(demo):
    numbers = set(range(1, len(demo.facts) + 1))
    assert {r["fact"] for r in demo.cafe} - {0} == numbers
    assert {r["fact"] for r in demo.cafe if r["group"] == "fact"} == numbers


@DEMOS
def test_no_exam_question_comes_twice(demo):
    assert len({words(question(r)) for r in demo.exam}) == len(demo.exam)


@DEMOS
def test_general_questions_stand_nowhere_in_training(demo):
    taught = " ".join(f" {scoring.normalise(t)} " for t in texts(demo.conversations, "user"))
    assert not [q for q in map(question, demo.general) if scoring.normalise(q) in taught]


@DEMOS
def test_no_answer_to_a_general_question_is_taught(demo):
    taught = [a for row in demo.single if "fact" not in row for a in texts([row], "assistant")]
    assert taught
    assert not [a for a in taught for row in demo.general if scoring.is_right(a, row["accept"], row["reject"])]


@DEMOS
def test_earlier_turns_of_the_exam_are_answered_rightly(demo):
    assert set(texts(demo.exam, "assistant")) <= set(texts(demo.conversations, "assistant"))


@DEMOS
def test_a_follow_up_does_not_carry_its_own_answer_in_the_history(demo):
    for row in demo.cafe:
        said = [p for p in row["accept"] for m in row["messages"] if scoring.matches(p, m["content"])]
        assert not said, question(row)


# answers without knowledge


@DEMOS
def test_echoing_the_question_is_never_right(demo):
    assert not [question(r) for r in demo.exam if scoring.is_right(question(r), r["accept"], [])]


@DEMOS
def test_no_fixed_answer_scores_more_than_15_percent(demo):
    everything = [joint.join(demo.facts) for joint in ("\n", " ", "\n- ")]
    whole_file = (demo.folder / "facts.md").read_text(encoding="utf-8")
    unknowing = ("I don't know.", "잘 모르겠습니다.", "")
    fixed = {*texts(demo.conversations, "assistant"), *demo.facts, *everything, whole_file, *unknowing}
    assert max(score(answer, demo.cafe) for answer in fixed) <= 0.15
