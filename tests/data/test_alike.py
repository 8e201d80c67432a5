"""Nearly the same text is not new; the estimate agrees with the Jaccard index computed in full."""

import random

from nabot.data.alike import Seen

WORDS = [f"word{i}" for i in range(2000)]


def runs(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_the_same_text_is_new_once_whatever_its_case_and_punctuation() -> None:
    seen = Seen()

    assert seen.is_new("We open at nine. Come in, please, all of you!")
    assert not seen.is_new("we open at NINE – come in please all of you")


def test_a_short_text_is_the_same_only_if_every_word_is() -> None:
    seen = Seen()

    assert seen.is_new("Opening hours")
    assert seen.is_new("Opening times")
    assert not seen.is_new("opening hours.")


def test_texts_without_words_are_always_new() -> None:
    seen = Seen()

    assert seen.is_new("…")
    assert seen.is_new("…")


def test_one_changed_word_in_a_long_passage_is_nearly_the_same_and_another_passage_is_not() -> None:
    rng = random.Random(0)
    first = rng.sample(WORDS, 300)
    seen = Seen()

    assert seen.is_new(" ".join(first))
    assert not seen.is_new(" ".join([*first[:150], "changed", *first[151:]]))
    assert seen.is_new(" ".join(rng.sample(WORDS, 300)))


def test_decisions_agree_with_the_jaccard_index_away_from_its_limit() -> None:
    rng = random.Random(1)
    for _ in range(200):
        words = rng.choices(WORDS, k=rng.randint(60, 300))
        other = [rng.choice(WORDS) if rng.random() < rng.choice((0.001, 0.01, 0.1)) else word for word in words]
        a, b = runs(" ".join(words)), runs(" ".join(other))
        share = len(a & b) / len(a | b)
        seen = Seen()
        seen.is_new(" ".join(words))
        if abs(share - 0.9) > 0.08:
            assert seen.is_new(" ".join(other)) == (share < 0.9)


def test_the_oldest_are_forgotten_so_that_memory_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr("nabot.data.alike._REMEMBERED", 10)
    seen = Seen()
    texts = [" ".join(random.Random(i).sample(WORDS, 50)) for i in range(30)]

    assert all(map(seen.is_new, texts))
    assert not seen.is_new(texts[-1])
    assert seen.is_new(texts[0])
    assert len(seen._by_key) <= 40
