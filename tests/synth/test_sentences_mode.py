"""Questions about one sentence at a time: what a small teacher goes on with, and what of it is believed."""

import random

import pytest

from nabot.data.imports.types import Passage
from nabot.synth.asking import Candidate
from nabot.synth.modes.sentences import _EXAMPLES, Sentences, num_sentences
from nabot.synth.tasks import Rejected, Task
from nabot.textmodel import Completion

NABI = Passage(
    "Opening hours\n\n- Café Nabi opens at 9:00.\n- The owner of the café is Mina. On Mondays it stays closed.",
    "nabi.md",
    "Café Nabi > Opening hours",
)
KOREAN = Passage("카페 나비의 주인은 김민아입니다.", "나비.hwpx", "카페 나비 안내")


def ask_about(sentence, place="Café Nabi"):
    """The only prompt about a sentence, and its mode."""
    asking = Sentences([Passage(sentence, "nabi.md", place)], random.Random(0))
    (prompt,) = asking.next_prompts(1)
    return asking, prompt


def taken(sentence, text, finish="stop"):
    asking, prompt = ask_about(sentence)
    (found,) = asking.take(prompt, Completion(text, 1, 1, finish))
    return found


def test_every_sentence_and_line_is_asked_about_and_no_heading():
    assert num_sentences([NABI]) == 3
    prompts = Sentences([NABI], random.Random(0)).next_prompts(9)
    begun = [prompt.conversation.messages[-1].content.rpartition("About: ")[2] for prompt in prompts]
    assert sorted(begun) == [
        "Café Nabi > Opening hours\nSentence: Café Nabi opens at 9:00.\nQuestion:",
        "Café Nabi > Opening hours\nSentence: On Mondays it stays closed.\nQuestion:",
        "Café Nabi > Opening hours\nSentence: The owner of the café is Mina.\nQuestion:",
    ]


def test_the_teacher_goes_on_with_a_list_that_ends_with_an_open_question():
    _, prompt = ask_about("The owner of the café is Mina.")
    *_, last = prompt.conversation.messages
    assert last.role == "assistant"
    assert last.content.startswith(_EXAMPLES["en"])
    assert last.content.endswith("Sentence: The owner of the café is Mina.\nQuestion:")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_the_prompt_shows_is_itself_believed(language):
    labels = {"en": ("About: ", "Question:"), "ko": ("주제: ", "질문:")}[language]
    for example in _EXAMPLES[language].strip().split("\n\n"):
        about, sentence, *_ = (line.partition(": ")[2] for line in example.split("\n"))
        asking, prompt = ask_about(sentence, about)
        assert prompt.conversation.messages[-1].content.endswith(
            f"{labels[0]}{example.partition(labels[1])[0][len(labels[0]) :]}{labels[1]}"
        )
        (row,) = asking.take(prompt, Completion(example.partition(labels[1])[2], 9, 9, "stop"))
        assert isinstance(row, Candidate), row


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("- Café Nabi has room for 5.", "Café Nabi has room for 5."),
        ("-18 degrees is right for ice.", "-18 degrees is right for ice."),
        ("- -18 degrees is right for ice.", "-18 degrees is right for ice."),
        ("·영하 18도에서 보관합니다.", "영하 18도에서 보관합니다."),
        ("## > * 월요일은 쉽니다.", "월요일은 쉽니다."),
    ],
)
def test_bullets_are_no_part_of_a_sentence_and_signs_are(line, asked):
    assert ask_about(line)[1].sentence.text == asked


@pytest.mark.parametrize("place", ["page 3", "3쪽", ""])
def test_without_a_heading_the_file_says_what_a_sentence_is_about(place):
    assert ask_about("The owner of the café is Mina.", place)[1].sentence.headings == "nabi"


def test_a_number_of_the_heading_says_nothing_and_one_of_the_sentence_does():
    asking, prompt = ask_about("It lasts for 40 hours.", "Kestrel 40")
    about, says = "\nAnswer: For 40.", []
    for question in ("How long does a Kestrel last?", "How long does a Kestrel last, 40?"):
        says += asking.take(prompt, Completion(f" {question}{about}", 1, 1, "stop"))
    assert isinstance(says[0], Candidate)
    assert says[1].reason.slug == "says_nothing"


def test_a_korean_sentence_is_asked_about_in_korean():
    (prompt,) = Sentences([KOREAN], random.Random(0)).next_prompts(2)
    assert prompt.conversation.messages[-1].content.endswith("문장: 카페 나비의 주인은 김민아입니다.\n질문:")
    asking, prompt = ask_about("카페 나비의 주인은 김민아입니다.", "카페 나비 안내")
    (row,) = asking.take(
        prompt, Completion(" 카페 나비의 주인은 누구인가요?\n답변: 카페 나비의 주인은 김민아입니다.", 9, 9, "stop")
    )
    assert row.task == Task("카페 나비의 주인은 누구인가요?", "", "카페 나비의 주인은 김민아입니다.")


@pytest.mark.parametrize(
    "label", ["", "Question:", "question: ", "**Question:**", "1. Question:", "Question :", "질문:"]
)
def test_a_row_carries_its_sentence_whether_or_not_the_label_is_repeated(label):
    row = taken("The owner of the café is Mina.", f"{label} Who owns Café Nabi, its owner?\nAnswer: The owner is Mina.")
    assert row.task == Task("Who owns Café Nabi, its owner?", "", "The owner is Mina.")
    assert (row.evidence, row.sources, row.invented) == (
        "The owner of the café is Mina.",
        ("nabi.md Café Nabi",),
        False,
    )


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        (" Who is the owner of Café Nabi?", "malformed_item"),
        (" Who is the owner of Café Nabi?\nAnswer: The owner of Café", "cut_off"),
        (" 주인이 누구인가요?\nAnswer: Mina.", "other_language"),
        (" Who is the owner in the passage?\nAnswer: Mina.", "speaks_of_passage"),
        (" Where does it stand?\nAnswer: Mina.", "not_standing_alone"),
        (" What does Nabi sell?\nAnswer: Mina.", "another_subject"),  # shares the place alone
        (" Who is the owner of Riverside School?\nAnswer: Mina.", "another_subject"),  # a name out of the examples
        (" Who is the owner?\nAnswer: The owner is Maria Lund.", "answer_unsupported"),
        (" Who is the owner?\nAnswer: Mina, since 2011.", "answer_unsupported"),
        (" Who is the owner of the café?\nAnswer: The owner is not Mina.", "answer_unsupported"),
        (" Who is the owner Mina?\nAnswer: Mina is the owner of Café Nabi.", "says_nothing"),
    ],
)
def test_what_is_not_believed(text, slug):
    found = taken("The owner of the café is Mina.", text, "length" if slug == "cut_off" else "stop")
    assert isinstance(found, Rejected)
    assert found.reason.slug == slug


def test_a_sentence_is_done_with_four_rows_and_left_after_eight_answers():
    asking = Sentences([NABI], random.Random(0))
    asked: dict[str, int] = {}
    while prompts := asking.next_prompts(2):
        for prompt in prompts:
            sentence = prompt.sentence.text
            asked[sentence] = asked.get(sentence, 0) + 1
            text = f" Who is the owner of Café Nabi, asked {asked[sentence]}?\nAnswer: The owner is Mina."
            for found in asking.take(prompt, Completion(text, 1, 1, "stop")):
                if isinstance(found, Candidate):
                    asking.accepted(found)
    assert asked == {
        "Café Nabi opens at 9:00.": 8,
        "The owner of the café is Mina.": 4,
        "On Mondays it stays closed.": 8,
    }


def test_every_round_draws_from_random_numbers_of_its_own():
    asking = Sentences([NABI, KOREAN], random.Random(0))
    first, second = (asking.next_prompts(4)[0].sampling.seed for _ in range(2))
    assert first != second
