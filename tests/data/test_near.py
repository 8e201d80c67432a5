"""Near duplicates against the comparison of every pair."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nabot.data import near
from nabot.data.groups import Groups
from nabot.data.near import Texts, alike, forms, near_duplicates, near_pairs, similarity

ENGLISH = [
    "the", "river", "house", "window", "garden", "teacher", "morning", "answer", "paper", "number", "winter",
    "coffee", "market", "station", "music",
]  # fmt: skip
KOREAN = [
    "아침에", "커피를", "마시면", "기분이", "좋아집니다", "서울에서", "기차를", "타고", "바다로", "여행을", "갑니다", "정원", "음악", "선생님",
]  # fmt: skip


def brute_force(rows: list[Texts]) -> dict[int, int]:
    found: dict[int, int] = {}
    for later, row in enumerate(rows):
        first = next((place for place in range(later) if place not in found and alike(row, rows[place])), None)
        if first is not None:
            found[later] = first
    return found


def corpus(seed: int, count: int) -> list[Texts]:
    """Rows, two in five of which are an earlier one with a few words changed."""
    rng = random.Random(seed)
    rows: list[Texts] = []
    while len(rows) < count:
        words = rng.choice((ENGLISH, KOREAN))
        texts = [" ".join(rng.choices(words, k=rng.randint(3, 25))) for _ in range(2)]
        if rows and rng.random() < 0.4:
            texts = [changed(text, rng) for text in rng.choice(rows)[1:]]
        rows.append(("", *texts))
    return rows


def changed(text: str, rng: random.Random) -> str:
    words = text.split()
    for _ in range(rng.randint(0, 2)):
        words[rng.randrange(len(words))] = rng.choice(ENGLISH + KOREAN)
    return " ".join(words)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_is_what_comparing_every_pair_finds(seed: int):
    rows = corpus(seed, 200)
    expected = brute_force(rows)
    assert len(expected) > 10
    assert near_duplicates(rows) == expected


texts = st.text(alphabet="ab가나 1.", max_size=12)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(texts, texts, texts), max_size=12))
def test_a_hash_never_invents_a_pair(rows: list[Texts]):
    for later, earlier in near_duplicates(rows).items():
        assert earlier < later
        assert alike(rows[later], rows[earlier])


def test_without_the_near_duplicates_there_are_none():
    rows = corpus(9, 150)
    gone = near_duplicates(rows)
    assert gone
    assert near_duplicates([row for place, row in enumerate(rows) if place not in gone]) == {}


def test_of_a_hundred_rows_that_are_alike_only_the_first_stays():
    ends = itertools.islice(itertools.product("!?.,;:", repeat=3), 100)
    rows = [("", f"How do I reset my password{''.join(end)}", "Click on the link in our letter.") for end in ends]
    assert near_duplicates(rows) == dict.fromkeys(range(1, 100), 0)


@given(st.text(max_size=30), st.text(max_size=30))
def test_similarity_is_symmetric_and_one_for_equal_texts(a: str, b: str):
    assert similarity(a, b) == similarity(b, a)
    assert similarity(a, a) == 1


@pytest.mark.parametrize(
    ("a", "b", "is_alike"),
    [
        ("Please tell me when you open on Mondays.", "please tell me when you open on mondays", True),
        ("Please come to room 12 of the building", "Please come to room 13 of the building", False),
        ("👍", "👎", False),
        ("네.", "네!", True),
        ("a" * 100, "a" * 100 + " and something else that is as long as a sentence", False),
    ],
)
def test_case_and_punctuation_do_not_count_and_numbers_do(a: str, b: str, is_alike: bool):
    assert alike(("", "q", a), ("", "q", b)) is is_alike


def test_a_system_prompt_that_all_rows_share_makes_none_alike():
    system = "You are a helpful assistant of the café at the corner. " * 20
    rows = [(system, question, "yes " + question) for question in ENGLISH]
    assert near_duplicates(rows) == {}


def test_thousands_of_rows_in_one_band_are_compared_with_their_neighbours_only(monkeypatch: pytest.MonkeyPatch):
    compared: list[int] = []
    enough = near._enough
    monkeypatch.setattr(near, "_enough", lambda h, a, b: compared.append(len(a)) or enough(h, a, b))
    rows = [("", f"label this: {n}", "good") for n in range(1000)]
    near_duplicates(rows)
    assert np.sum(compared) <= 2 * near._NEIGHBOURS * len(rows) * near._HASHES / near._BAND


@pytest.mark.parametrize("seed", range(2))
def test_pairs_lead_from_each_row_to_all_that_comparing_every_pair_connects(seed: int):
    rows = corpus(seed, 150)
    joined, expected = Groups(len(rows)), Groups(len(rows))
    for pair in near_pairs(rows):
        joined.join(*pair)
    for later, earlier in itertools.combinations(range(len(rows)), 2):
        if alike(rows[later], rows[earlier]):
            expected.join(later, earlier)
    assert [joined.first(i) for i in range(len(rows))] == [expected.first(i) for i in range(len(rows))]


@given(st.lists(st.sampled_from(ENGLISH + KOREAN), min_size=1), st.integers(0, 3))
def test_case_punctuation_and_spaces_are_form(words: list[str], count: int):
    plain = ("", " ".join(words), "yes")
    dressed = ("", "! ".join(word.upper() for word in words) + "?" * count, " Yes.")
    assert forms(plain)[0] == forms(dressed)[0]
    assert forms(plain)[0] == forms(("", "".join(words), "yes"))[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.5 points", "35 points"),
        ("민수가 지수를 봤다", "민수를 지수가 봤다"),
        ("C++", "C#"),
        ("she was hired", "she was hiring"),
        ("그녀는", "그는"),
        ("", "요"),
    ],
)
def test_other_numbers_signs_and_roles_are_no_form(one: str, other: str):
    assert not set(forms((one, "yes"))) & set(forms((other, "yes")))
