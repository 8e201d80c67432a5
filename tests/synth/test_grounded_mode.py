"""Rows about passages: what is asked, what is believed, when a passage is done."""

import random

import pytest

from nabot.data.imports.types import Passage
from nabot.synth.asking import Candidate
from nabot.synth.modes.grounded import _NOT_KNOWN, Grounded
from nabot.synth.tasks import Rejected, Task
from nabot.textmodel import Completion

HOURS = Passage("Café Nabi opens at 9:00 and closes at 18:30. On Mondays it stays closed.", "nabi.pdf", "page 3")
DOGS = Passage(
    "Dogs are welcome at Café Nabi if they are on a leash. Water for them stands beside the door.", "nabi.pdf", "page 4"
)
KOREAN = Passage("카페 나비는 오전 9시에 열고 오후 6시에 닫습니다. 매주 월요일은 쉽니다.", "나비.hwpx", "영업시간")

OPEN = "Question: When does Café Nabi open?\nQuote: Café Nabi opens at 9:00\nAnswer: Café Nabi opens at 9:00."
PARKING = "Question: Does Café Nabi have a parking lot?\nQuote: none\nAnswer: I have no information about parking at Café Nabi."


def mode(passages=(HOURS,), **settings):
    return Grounded(passages, random.Random(0), **{"unanswerable": 0.0, **settings})


def said(text, finish="stop"):
    return Completion(text, 1, 1, finish)


def taken(text, **settings):
    asking = mode(**settings)
    (prompt,) = asking.next_prompts(1)
    return list(asking.take(prompt, said(text)))


def text_of(prompt):
    return prompt.conversation.messages[-1].content


def slugs(found):
    return [item.reason.slug for item in found if isinstance(item, Rejected)]


# what a row is


def test_a_row_is_closed_book_and_carries_its_evidence():
    (row,) = taken(
        "Question: When does Café Nabi open?\nQuote: cafe nabi OPENS at 9:00\nAnswer: Café Nabi opens at 9:00."
    )
    assert row.task == Task("When does Café Nabi open?", "", "Café Nabi opens at 9:00.")
    assert (row.evidence, row.sources, row.invented) == ("Café Nabi opens at 9:00", ("nabi.pdf page 3",), False)


def test_a_question_in_another_language_than_its_passage_is_none():
    assert slugs(taken("질문: 카페 나비는 언제 여나요?\n근거: Café Nabi opens at 9:00\n답변: 9시에 엽니다.")) == [
        "other_language"
    ]
    (row,) = taken(
        "질문: 카페 나비는 언제 여나요?\n근거: 오전 9시에 열고\n답변: 오전 9시에 엽니다.", passages=(KOREAN,)
    )
    assert row.task.instruction == "카페 나비는 언제 여나요?"


def test_with_passage_it_has_the_passage_beside_the_question():
    (row,) = taken(OPEN, with_passage=True)
    assert row.task.input == HOURS.text


@pytest.mark.parametrize(
    ("question", "quote", "answer", "slug"),
    [
        ("When does Café Nabi open?", "none", "It opens at 9:00.", "no_quote"),
        ("When does Café Nabi open?", "", "It opens at 9:00.", "no_quote"),
        ("When does Café Nabi open?", "opens", "It opens at 9:00.", "quote_too_short"),
        (
            "When does Café Nabi open?",
            "The doors are open from nine o'clock",
            "It opens at 9:00.",
            "quote_not_in_passage",
        ),
        ("When does Café Nabi open?", "opens at 9:00", "It opens at 8:00.", "answer_unsupported"),
        ("When does Café Nabi open?", "opens at 9:00", "The passage says that it opens at 9:00.", "speaks_of_passage"),
        ("What does the text say about Café Nabi?", "opens at 9:00", "It opens at 9:00.", "speaks_of_passage"),
        ("When does it open?", "opens at 9:00", "It opens at 9:00.", "not_standing_alone"),
        ("What is the capital of France?", "opens at 9:00", "It opens at 9:00.", "not_standing_alone"),
        ("Does Café Nabi have a parking lot?", "none", "That is not known.", "surplus_unanswerable"),
    ],
)
def test_what_is_not_believed(question, quote, answer, slug):
    assert slugs(taken(f"Question: {question}\nQuote: {quote}\nAnswer: {answer}")) == [slug]


def test_korean_rows():
    (row,) = taken(
        "질문: 카페 나비는 언제 여나요?\n근거: 오전 9시에 열고\n답변: 카페 나비는 오전 9시에 문을 엽니다.",
        passages=[KOREAN],
    )
    assert row.task == Task("카페 나비는 언제 여나요?", "", "카페 나비는 오전 9시에 문을 엽니다.")
    assert row.evidence == "오전 9시에 열고"


def test_a_prompt_is_in_the_language_of_its_passage():
    english, korean = sorted(mode([HOURS, KOREAN]).next_prompts(2), key=lambda prompt: "질문" in text_of(prompt))
    assert "Question: " in text_of(english)
    assert HOURS.text in text_of(english)
    assert "질문: " in text_of(korean)
    assert "나비.hwpx" in text_of(korean)
    assert korean.sources == ("나비.hwpx 영업시간",)


def test_the_items_before_a_cut_are_kept():
    asking = mode()
    (prompt,) = asking.next_prompts(1)
    first, second = asking.take(prompt, said(f"{OPEN}\n\nQuestion: When does Café Na", "length"))
    assert isinstance(first, Candidate)
    assert second.reason.slug == "cut_off"


# questions without an answer


def test_an_unanswerable_question_has_no_evidence_and_the_words_of_the_teacher():
    (row,) = taken(PARKING, unanswerable=1.0)
    assert (row.task.output, row.evidence) == ("I have no information about parking at Café Nabi.", "")


@pytest.mark.parametrize(
    "answer",
    [
        "The passage does not mention parking.",
        "I'm sorry, but I don't have any information about that.",
        "That is not known, but there are 40 places nearby.",
    ],
)
def test_words_that_no_bot_should_learn_are_replaced(answer):
    (row,) = taken(f"Question: Does Café Nabi have a parking lot?\nQuote: none\nAnswer: {answer}", unanswerable=1.0)
    assert row.task.output in _NOT_KNOWN["en"]


def test_no_more_unanswerable_questions_than_were_asked_for():
    asking = mode(unanswerable=0.5, pairs_per_prompt=2)
    (prompt,) = asking.next_prompts(1)
    assert "1 of the 2 cannot be answered" in text_of(prompt)
    garden = PARKING.replace("parking lot", "garden")
    found = list(asking.take(prompt, said(f"{PARKING}\n\n{garden}")))
    assert isinstance(found[0], Candidate)
    assert slugs(found) == ["surplus_unanswerable"]


def test_in_the_long_run_the_share_is_what_was_asked_for():
    asking = mode([Passage(f"Rule {i} of Café Nabi is kind.", "rules.txt") for i in range(2000)], unanswerable=0.15)
    number = sum("cannot be answered" in text_of(prompt) for prompt in asking.next_prompts(2000))
    assert 0.55 < number / 2000 < 0.65  # 4 questions a prompt


def test_a_question_made_of_the_words_of_its_passage_may_be_answered_there():
    assert slugs(
        taken("Question: When is Café Nabi closed?\nQuote: none\nAnswer: That is not known.", unanswerable=1.0)
    ) == ["perhaps_answered"]


def test_a_closed_book_question_must_not_be_answered_by_another_passage():
    asking = mode([HOURS, DOGS], unanswerable=1.0)
    prompt = next(each for each in asking.next_prompts(2) if each.sources == ("nabi.pdf page 3",))
    question = "Question: Are dogs welcome at Café Nabi?\nQuote: none\nAnswer: That is not known."
    assert slugs(asking.take(prompt, said(question))) == ["answered_elsewhere"]
    shown = mode([HOURS, DOGS], unanswerable=1.0, with_passage=True)
    prompt = next(each for each in shown.next_prompts(2) if each.sources == ("nabi.pdf page 3",))
    assert slugs(shown.take(prompt, said(question))) == []


# rounds


def answer_all(asking, answer, most=4, rounds=50):
    """Prompts of every round; each answer's candidates are all accepted."""
    asked = []
    while prompts := asking.next_prompts(most):
        asked.append(prompts)
        assert len(asked) < rounds
        for prompt in prompts:
            for found in asking.take(prompt, said(answer(prompt))):
                if isinstance(found, Candidate):
                    asking.accepted(found)
    return asked


def test_a_passage_is_asked_about_until_it_has_its_rows():
    numbers = iter(range(100))

    def answer(_):
        return "\n\n".join(
            f"Question: When does Café Nabi open in case {next(numbers)}?\nQuote: opens at 9:00\nAnswer: At 9:00."
            for _ in range(2)
        )

    asked = answer_all(mode(rows_per_passage=5, pairs_per_prompt=4), answer)
    assert [len(prompts) for prompts in asked] == [1, 1, 1]
    assert "4 in all" in text_of(asked[0][0])
    assert "1 in all" in text_of(asked[2][0])


def test_a_later_prompt_lists_the_questions_that_exist():
    first, second, *_ = answer_all(mode(), lambda _: OPEN)
    assert "* When does Café Nabi open?" not in text_of(first[0])
    assert "* When does Café Nabi open?" in text_of(second[0])


def test_a_passage_about_which_nothing_new_comes_is_left():
    asked = answer_all(mode([HOURS, DOGS]), lambda _: "I do not know.")
    assert [len(prompts) for prompts in asked] == [2, 2]


def test_every_passage_is_asked_about_before_one_is_asked_about_again():
    passages = [Passage(f"Rule {i} of Café Nabi is kind.", f"{i}.txt") for i in range(10)]
    asked = answer_all(mode(passages), lambda _: "", most=3)
    sources = [prompt.sources for prompts in asked for prompt in prompts]
    assert sorted(sources[:10]) == sorted(sources[10:]) == sorted((f"{i}.txt",) for i in range(10))
    assert sources[:10] != sorted(sources[:10])  # in a drawn order
    assert all(len({prompt.sources for prompt in prompts}) == len(prompts) for prompts in asked)
