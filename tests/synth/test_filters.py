"""Why a task is left out: words that ask for pictures, sound and places, in English and Korean, and the other rules."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.synth.filters import ENGLISH, KOREAN, reject_instruction, reject_task
from nabot.synth.tasks import Task

relaxed = settings(deadline=None)  # time is no part of these tests


def slug(reason):
    return reason.slug if reason else ""


@pytest.mark.parametrize("word", ENGLISH)
def test_every_english_word_is_found_whatever_its_case(word):
    assert slug(reject_instruction(f"Tell me about {word.upper()} and more.")) == "other_media"


@pytest.mark.parametrize("word", KOREAN)
def test_every_korean_word_is_found(word):
    assert slug(reject_instruction(f"이것을 보고 {word.removesuffix('*')} 세 가지로 답하세요.")) == "other_media"


@pytest.mark.parametrize(
    "instruction",
    [
        "다음 그림을 보고 이야기를 지어 주세요.",
        "이 사진에서는 무엇이 보이는지 말해 주세요.",
        "아래 파일들을 이름 순서로 정리하세요.",
        "막대그래프로 결과를 나타내 주세요.",
        "서울의 지도입니까 부산의 지도입니까 답하세요.",
        "짧은 동영상이나 노래를 하나 추천해 주세요.",
        "고양이 한 마리를 그려 주세요.",
        "첨부한 이미지라도 괜찮으니 설명해 주세요.",
        "홈페이지에 접속해서 가격을 확인해 주세요.",
    ],
)
def test_korean_words_are_found_with_their_particles(instruction):
    assert slug(reject_instruction(instruction)) == "other_media"
    assert slug(reject_instruction(unicodedata.normalize("NFD", instruction))) == "other_media"


@pytest.mark.parametrize(
    "instruction",
    [
        "나무의 그림자가 길어지는 까닭을 설명하세요.",
        "좋은 지도자의 조건을 세 가지 말해 주세요.",
        "지도 교수님께 보낼 메일을 써 주세요.",
        "내일 비가 올지도 모르는 날의 계획을 세워 주세요.",
        "파일럿이 되는 방법을 알려 주세요.",
        "개와 고양이를 비교하고 그리고 요약하세요.",
        "그림의 떡이라는 속담의 뜻을 알려 주세요.",
        "영상 10도는 화씨로 몇 도인지 계산하세요.",
        "음악가 한 사람의 생애를 간단히 소개하세요.",
        "운영상의 문제를 세 가지 적어 주세요.",
        "프로파일러라는 직업을 소개해 주세요.",
    ],
)
def test_korean_words_that_only_begin_alike_or_mean_something_else_pass(instruction):
    assert reject_instruction(instruction) is None


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("두 수를 더하는 프로그램을 작성하세요.", "write_a_program"),
        ("두 수를 더하는 프로그램을 만들어 주세요.", "write_a_program"),
        ("이 프로그램을 작성한 사람에게 편지를 쓰세요. 짧게 쓰세요.", ""),
        ("1 2 3", "too_few_words"),
        ("…라고 말하는 사람을 묘사하세요.", "begins_with_symbol"),
        ("「집」이라는 글을 써 주세요.", "begins_with_symbol"),
        ("日本の川を三つ 挙げて ください 。", ""),
    ],
)
def test_korean_and_other_scripts_have_the_same_rules(instruction, expected):
    assert slug(reject_instruction(instruction)) == expected


def test_the_reason_says_which_word_decided():
    assert reject_instruction("Describe the Image in detail.").seen == "image"
    assert reject_instruction("이 그림에서는 무엇이 보이나요?").seen == "그림에서는"
    assert reject_instruction("Too short.").seen == "2"


@relaxed
@given(st.text())
def test_any_text_has_one_verdict_and_space_around_it_does_not_matter(text):
    assert reject_instruction(f"\n {text}  ") == reject_instruction(text)


GOOD = Task("Name three rivers in Europe.", "", "Rhine, Elbe and Seine.")


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (GOOD, ""),
        (Task("Rivers?", "", "Rhine"), "too_few_words"),
        (Task("Name three rivers in <noinput>.", "", "Rhine"), "noinput_left"),
        (Task(GOOD.instruction, "<noinput>, Europe", "Rhine"), "noinput_left"),
        (Task(GOOD.instruction, "", " "), "empty_output"),
        (Task(GOOD.instruction, "", "As an AI language model, I have no rivers."), "refusal"),
        (Task(GOOD.instruction, "", "Go and find them yourself, asshole."), "toxic_profanity"),
        (Task("Translate this sentence into English.", "이런 씨발놈을 봤나", "What a man."), "toxic_profanity"),
    ],
)
def test_a_task_is_judged_with_its_input_and_answer(task, expected):
    assert slug(reject_task(task)) == expected


@pytest.mark.parametrize(
    ("instruction", "language", "expected"),
    [
        ("Name three rivers in Europe.", "en", ""),
        ("Name three rivers in Europe.", "ko", "other_language"),
        ("유럽의 강을 세 개 말해 주세요.", "ko", ""),
        ("유럽의 강을 세 개 말해 주세요.", "en", "other_language"),
        ("Translate '오늘은 날씨가 좋네요' into English.", "en", ""),
        ("Python의 list와 tuple이 다른 점을 설명해 주세요.", "ko", ""),
    ],
)
def test_the_language_is_that_of_the_instruction(instruction, language, expected):
    assert slug(reject_task(Task(instruction, "", "강 River"), language)) == expected
