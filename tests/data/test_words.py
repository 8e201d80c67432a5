"""Whole words in English and in Korean, and the words that a bot should not learn."""

import csv
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.data.toxicity import CATEGORIES, WORDS, toxic_word
from nabot.data.words import Found, WordLists

LISTS = WordLists({"animals": ["cat", "go fish", "고양이", "물고기*"], "plants": ["tree*", "나무", "꽃"]})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A CAT sleeps", Found("cat", "animals")),
        ("category, concat, cat5, cat_a", None),
        ("cat를 보세요", Found("cat", "animals")),
        ("go \n fish", Found("go \n fish", "animals")),
        ("treetops", Found("tree", "plants")),
        ("고양이들에게는 집이", Found("고양이들에게는", "animals")),
        ("길고양이", None),
        ("나무꾼", None),
        ("물고기자리", Found("물고기", "animals")),
        ("꽃과 cat", Found("꽃과", "plants")),
        ("나무이 나무은 꽃가", None),
        ("", None),
    ],
)
def test_words_count_whole_and_korean_ones_with_particles(text, found):
    assert LISTS.first(text) == found


def without_quick_looks(lists: WordLists) -> WordLists:
    lists._may_have_latin = lists._may_have_korean = lambda _text: True
    return lists


# fmt: off
NAMED = {
    "a": ["gas the", "i'll kill you", "shit", "fuck*", "hentai*", "café*", "take it*"],
    "b": ["병신", "입 닥쳐*", "ㅆㅂ"],
}
PIECES = [*(word.rstrip("*") for words in NAMED.values() for word in words), "gas", "kill", "you", "take", "i", "x", "k", "7"]
SIGNS = [" ", "\n", "  ", "'", "_", "-", "“", "é", "İ", "\u212a", "\u0307", "\ud83d", "은", "에게", "자", "ㄱ", "ꀀ", "漢", "."]
# fmt: on
FAST, SLOW = WordLists(NAMED), without_quick_looks(WordLists(NAMED))


@given(st.lists(st.sampled_from(PIECES + SIGNS), max_size=8), st.booleans())
def test_the_quick_looks_change_nothing_in_what_is_found(parts: list[str], in_capitals: bool):
    text = "".join(parts)
    text = text.upper() if in_capitals else text
    assert FAST.first(text) == SLOW.first(text)


def rows():
    with WORDS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["word"])
def test_every_toxic_word_is_found_under_its_category(row):
    found = toxic_word(f"he said: {row['word'].removesuffix('*').upper()}!")
    assert found is not None
    assert found.name == row["category"]


def test_the_toxic_list_is_in_order_without_doubles_and_composed():
    keys = [(row["language"], row["category"], row["word"]) for row in rows()]
    assert keys == sorted(set(keys))
    assert {row["language"] for row in rows()} == {"en", "ko"}
    assert {row["category"] for row in rows()} == set(CATEGORIES)
    assert all(unicodedata.is_normalized("NFC", row["word"]) for row in rows())


@pytest.mark.parametrize(
    "text",
    [
        "버스 시발점에서 만나요.",
        "새끼 고양이와 새끼손가락",
        "위기가 닥쳐왔지만 잘 닥쳐야 할 일이었다.",
        "병신년은 육십갑자의 하나예요.",
        "걸레로 바닥을 닦아 보지 않았다.",
        "갈보리 언덕",
        "A Maine Coon cat on a dyke, spick and span.",
        "Scunthorpe, shitake, cocktail, Dick Whittington, class assignment",
        "Fire retardants retard the flames.",
        "꽃이 물이 없어 죽어버렸어요.",
    ],
)
def test_harmless_words_that_look_alike_pass(text):
    assert toxic_word(text) is None
