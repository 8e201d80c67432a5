"""Questions, quotes and answers in what a teacher writes: labelled lines and JSON, whole or cut."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.synth.pairs import Pair, parse_pairs
from nabot.synth.tasks import Rejected

relaxed = settings(deadline=None)  # time is no part of these tests

OPEN = Pair("When does the café open?", "It opens at 9.", "opens at 9")
CLOSE = Pair("When does the café close?", "It closes at 18.", "closes at 18")


def slugs(found):
    return [item.reason.slug for item in found if isinstance(item, Rejected)]


def pairs(found):
    return [item for item in found if isinstance(item, Pair)]


@pytest.mark.parametrize(
    "completion",
    [
        # as asked for
        "Question: When does the café open?\nQuote: opens at 9\nAnswer: It opens at 9.\n\n"
        "Question: When does the café close?\nQuote: closes at 18\nAnswer: It closes at 18.",
        # another order, numbers, bold labels, talk before, rules between
        "Sure! Here they are:\n\n1. **Question:** When does the café open?\n   **Answer:** It opens at 9.\n   **Quote:** opens at 9\n\n---\n\n"
        "2. **Question:** When does the café close?\n   **Answer:** It closes at 18.\n   **Quote:** closes at 18",
        "### Question 1:\nWhen does the café open?\n### Answer 1:\nIt opens at 9.\n### Quote 1:\nopens at 9\n###\n"
        "### Question 2:\nWhen does the café close?\n### Answer 2:\nIt closes at 18.\n### Quote 2:\ncloses at 18\n###\n",
        "Q: When does the café open?\nA: It opens at 9.\nEvidence: opens at 9\nQ: When does the café close?\nA: It closes at 18.\nEvidence: closes at 18",
        "1.\nQuestion: When does the café open?\nQuote: opens at 9\nAnswer: It opens at 9.\n\n2.\n"
        "QUESTION: When does the café close?\nQUOTE: closes at 18\nANSWER: It closes at 18.",
        "```\nQuestion: When does the café open?\nQuote: opens at 9\nAnswer: It opens at 9.\n\n"
        "Question: When does the café close?\nQuote: closes at 18\nAnswer: It closes at 18.\n```",
        "질문: When does the café open?\n근거: opens at 9\n답변: It opens at 9.\n\n"
        "질문 2：When does the café close?\n인용문: closes at 18\n답: It closes at 18.",
        # JSON: a list, lines, a fence, an object around, Korean keys, a key of its own
        '[{"question": "When does the café open?", "answer": "It opens at 9.", "quote": "opens at 9"},'
        ' {"question": "When does the café close?", "answer": "It closes at 18.", "quote": "closes at 18"}]',
        '{"question": "When does the café open?", "answer": "It opens at 9.", "quote": "opens at 9"}\n'
        '{"Question": "When does the café close?", "Answer": "It closes at 18.", "Quote": "closes at 18"}',
        'Here is your JSON:\n```json\n{"items": [\n  {\n    "question": "When does the café open?",\n    "answer": "It opens at 9.",\n'
        '    "quote": "opens at 9"\n  },\n  {\n    "question": "When does the café close?",\n    "answer": "It closes at 18.",\n'
        '    "quote": "closes at 18"\n  }\n]}\n```\nI hope it helps!',
        '{"질문": "When does the café open?", "답변": "It opens at 9.", "근거": "opens at 9", "난이도": 3}\n'
        '{"질문": "When does the café close?", "답변": "It closes at 18.", "근거": "closes at 18"}',
    ],
)
def test_items_are_read_in_every_usual_form(completion):
    assert parse_pairs(completion) == [OPEN, CLOSE]


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        # a quote may be missing: the question may have no answer
        ("Question: Who?\nAnswer: Not known.", [Pair("Who?", "Not known.")]),
        ('{"question": "Who?", "answer": "Not known.", "quote": null}', [Pair("Who?", "Not known.")]),
        ('{"question": "How many?", "answer": 4, "quote": "4 rooms"}', [Pair("How many?", "4", "4 rooms")]),
        # an answer of several lines, with a number at its end, with a label inside a line
        ("Question: How?\nAnswer: First this.\n\nThen that.", [Pair("How?", "First this.\n\nThen that.")]),
        ("Question: How many?\nAnswer: There are 3.", [Pair("How many?", "There are 3.")]),
        ("Question: How?\nAnswer: Ask this question: who?", [Pair("How?", "Ask this question: who?")]),
        ("Question: Which code?\nAnswer: Use ```\nx = 1\n```", [Pair("Which code?", "Use ```\nx = 1\n```")]),
        ('Question: How?\nAnswer: Send {"answer": 1}.', [Pair("How?", 'Send {"answer": 1}.')]),
        ("Question: What\n  is it?\nAnswer: That.", [Pair("What is it?", "That.")]),
        ("", []),
    ],
)
def test_what_an_item_may_look_like(completion, expected):
    assert parse_pairs(completion) == expected


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("I cannot do that.", ["malformed_item"]),
        ("Question: Who?", ["malformed_item"]),
        ("Question: Who?\nAnswer:", ["malformed_item"]),
        ("Question: Who?\nAnswer: A.\nAnswer: B.", ["malformed_item"]),
        ('{"question": "Who?"}', ["malformed_item"]),
        ('{"question": "Who?", "answer": ["A"]}', ["malformed_item"]),
        ('{"question": "Who?", "q": "What?", "answer": "A"}', ["malformed_item"]),
        ('{"question": "Who?", "answer": "\\ud800"}', ["malformed_item"]),
        ('{"question": "Who?", "answer": "A" "quote": "B"}', ["malformed_item"]),
        ('{"question": {"question": ' * 30_000, ["malformed_item"]),
    ],
)
def test_what_is_no_item_is_rejected(completion, expected):
    assert slugs(parse_pairs(completion)) == expected
    assert pairs(parse_pairs(completion)) == []


def test_a_broken_object_does_not_hide_the_next():
    found = parse_pairs('[{"question": "Who?" "answer": "A"}, {"question": "What?", "answer": "B", "quote": "b"}]')
    assert slugs(found) == ["malformed_item"]
    assert pairs(found) == [Pair("What?", "B", "b")]


ITEMS = [
    Pair(f"Who is number {i}?", f"That is {word}.", f"{word} is here") for i, word in enumerate(["Kim", "Lee", "Park"])
]


@pytest.mark.parametrize("labels", [("Question", "Quote", "Answer"), ("질문", "근거", "답변")])
def test_a_cut_anywhere_keeps_the_labelled_items_that_an_empty_line_ended(labels):
    question, quote, answer = labels
    blocks = [f"{question}: {p.question}\n{quote}: {p.quote}\n{answer}: {p.answer}\n\n" for p in ITEMS]
    whole = "".join(blocks)
    for end in range(len(whole) + 1):
        found = parse_pairs(whole[:end], "length")
        num_whole = sum(len("".join(blocks[: i + 1])) <= end for i in range(len(blocks)))
        assert pairs(found) == ITEMS[:num_whole], whole[:end]
        assert set(slugs(found)) <= {"cut_off"}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_cut_anywhere_keeps_the_objects_that_were_closed(indent, wrapped):
    rows = [{"question": p.question, "answer": p.answer, "quote": p.quote} for p in ITEMS]
    whole = json.dumps({"items": rows} if wrapped else rows, indent=indent)
    for end in range(len(whole) + 1):
        found = parse_pairs(whole[:end], "length")
        inner = whole[:end][2:] if wrapped else whole[:end]  # without the brace of the object around
        assert pairs(found) == ITEMS[: inner.count("}")], whole[:end]
        assert set(slugs(found)) <= {"cut_off"}


TEXT_LIKE = st.lists(
    st.sampled_from(["Question", "질문", "Answer", "A", ":", "：", "\n", "\n\n", "{", "}", '"question"', '"answer"', ",", "[", "]", "#", "1.", "**", "none", " "])
    | st.text(max_size=5)
).map("".join)  # fmt: skip


@relaxed
@given(st.text() | TEXT_LIKE, st.sampled_from(["stop", "length"]))
def test_no_text_is_too_odd_to_be_read(text, finish):
    for found in parse_pairs(text, finish):
        if isinstance(found, Pair):
            assert found.question
            assert found.answer
