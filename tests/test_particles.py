"""Particles against Unicode's decomposition of syllables, and against words whose particle every Korean knows."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.particles import PARTICLES, KoreanFormatter, particle

SYLLABLES = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
RIEUL = "\N{HANGUL JONGSEONG RIEUL}"


@given(SYLLABLES, st.sampled_from(sorted(PARTICLES)))
def test_a_syllable_with_a_final_consonant_takes_the_form_after_consonants(syllable: str, form: str) -> None:
    letters = unicodedata.normalize("NFD", syllable)
    is_vowel = len(letters) == 2 or (form == "으로" and letters[2] == RIEUL)
    assert particle(f"가{syllable}", form) == (PARTICLES[form] if is_vowel else form)


@pytest.mark.parametrize(
    ("word", "form", "expected"),
    [
        ("모델", "을", "을"), ("토크나이저", "을", "를"), ("모델", "으로", "로"), ("질문", "으로", "으로"), ("파일", "과", "과"),
        ("0", "이", "이"), ("1", "으로", "로"), ("2", "은", "는"), ("3", "을", "을"), ("4", "이", "가"), ("5", "과", "와"),
        ("6", "으로", "으로"), ("7", "으로", "로"), ("8", "을", "을"), ("9", "은", "는"), ("10", "이", "이"), ("1,000", "으로", "으로"),
        ("GGUF", "을", "를"), ("JSONL", "으로", "로"), ("LLM", "이", "이"), ("CSV", "은", "는"), ("R", "을", "을"),
        ("chat", "은", "은"), ("rank", "은", "는"), ("test", "을", "를"), ("tokenizer.model", "으로", "로"), ("README.md", "이", "가"),
        ("training", "을", "을"), ("cpu", "이라", "라"), ("smollm2", "을", "를"), ("q4_k_m", "이", "이"),
        ("96 %", "을", "를"), ("3%", "으로", "로"), ("1.5 GB", "이", "가"),
    ],
)  # fmt: skip
def test_a_word_gets_the_particle_that_it_is_read_with(word: str, form: str, expected: str) -> None:
    assert particle(word, form) == expected


@given(st.sampled_from(["모델", "봇", "CSV", "rows.jsonl", "12"]), st.text("'\")]」 …", max_size=4))
def test_what_stands_around_a_word_does_not_count(word: str, around: str) -> None:
    assert particle(f"'{word}{around}", "을") == particle(word, "을")


@given(st.text())
def test_every_text_takes_a_particle(text: str) -> None:
    assert particle(text, "은") in "은는"


def test_a_particle_that_is_not_known_is_a_bug() -> None:
    with pytest.raises(KeyError):
        particle("모델", "에게")


def test_a_particle_is_the_format_of_a_field() -> None:
    assert KoreanFormatter().format("{name!r:을} {n:.1f}", name="봇", n=2) == "'봇'을 2.0"
