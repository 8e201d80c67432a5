"""The index finds what comparing everything with everything finds, and nothing else."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer, _score_lcs

from nabot.errors import ConfigError
from nabot.synth.novelty import Near, Pool
from nabot.synth.rouge import LIMIT, common_words, rouge_l

relaxed = settings(deadline=None)  # time is no part of these tests
TEXTS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=9).map(" ".join), max_size=12)
ALPACA = RougeScorer(["rougeL"], use_stemmer=False)._tokenizer


def first_near_copy(pool, text):
    """What Alpaca does: a score for every text of the pool."""
    ours = ALPACA.tokenize(text)
    scores = [_score_lcs(ours, ALPACA.tokenize(other)).fmeasure for other in pool]
    return next((Near(i, score) for i, score in enumerate(scores) if score > LIMIT), None)


def instructions(rng, count):
    """Few openings, words by Zipf's law, and copies with some words changed."""
    vocabulary, weights = [f"w{i}" for i in range(500)], [1 / i for i in range(1, 501)]
    made = []
    for _ in range(count):
        if made and rng.random() < 0.3:
            words = [rng.choice(vocabulary) if rng.random() < 0.2 else w for w in rng.choice(made).split()]
        else:
            words = ["write", "a", rng.choice(vocabulary[:5]), *rng.choices(vocabulary, weights, k=rng.randint(1, 25))]
        made.append(" ".join(words))
    return made


@relaxed
@given(TEXTS, TEXTS)
def test_the_first_near_copy_is_found_as_by_comparing_with_everything(pool, asked):
    ours = Pool(pool)
    assert [ours.near_copy(text) for text in asked] == [first_near_copy(pool, text) for text in asked]


@relaxed
@given(TEXTS)
def test_a_pool_that_grew_decides_as_one_made_at_once(texts):
    grown = Pool()
    for i, text in enumerate(texts):
        assert grown.near_copy(text) == Pool(texts[:i]).near_copy(text)
        grown.add(text)
    assert len(grown) == len(texts)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_accepts_what_alpaca_accepts(seed):
    texts, accepted, ours = instructions(random.Random(seed), 150), [], Pool()
    for text in texts:
        assert ours.near_copy(text) == first_near_copy(accepted, text)
        if ours.near_copy(text) is None:
            accepted.append(text)
            ours.add(text)
    assert len(texts) / 3 < len(accepted) < len(texts)


def test_korean_near_copies_are_found():
    pool = Pool(
        ["다음 문장을 공손한 말투로 바꾸고 이유를 설명해 주세요.", "우리 동네 도서관을 소개하는 글을 써 주세요."]
    )
    near = pool.near_copy("다음 문장을 공손한 말투로 바꾸고 그 이유를 설명해 주세요.")
    assert near is not None
    assert near.place == 0
    assert pool.near_copy("우리 동네 빵집에서 일어난 이야기를 들려주세요.") is None


@pytest.mark.parametrize("text", ["", "?!", "…"])
def test_a_text_without_words_is_near_to_nothing(text):
    assert Pool([text, "a b c"]).near_copy(text) is None


def test_repeated_words_count_as_often_as_they_stand():
    assert Pool(["no no no no yes"]).near_copy("no yes maybe so then") is None
    assert Pool(["no no no no yes"]).near_copy("no no no no maybe") == Near(
        0, rouge_l("no no no no yes", "no no no no maybe")
    )


@relaxed
@given(TEXTS, st.sampled_from(["", "a b c d", "h g"]))
def test_the_most_similar_are_the_best_of_all_scores(texts, asked):
    nearest = Pool(texts).most_similar(asked, count=4)
    scores = [rouge_l(asked, text) for text in texts]
    assert [near.score for near in nearest.texts] == sorted(scores, reverse=True)[:4]
    assert all(near.score == scores[near.place] for near in nearest.texts)
    assert nearest.mean == pytest.approx(sum(scores) / max(1, len(scores)), abs=1e-12)


@relaxed
@given(TEXTS, st.sampled_from(["", "a b c d", "h g", "zz"]))
def test_the_nearest_is_the_most_similar(texts, asked):
    pool = Pool(texts)
    assert [pool.nearest(asked)] == [*pool.most_similar(asked, count=1).texts, *([None] if not texts else [])]


def test_for_the_nearest_few_texts_of_a_large_pool_are_compared_in_full(monkeypatch):
    texts = instructions(random.Random(0), 4020)
    pool, compared = Pool(texts[:4000]), []
    monkeypatch.setattr("nabot.synth.novelty.common_words", lambda *pair: compared.append(pair) or common_words(*pair))
    for text in texts[4000:]:
        assert pool.nearest(text) == pool.most_similar(text, 1).texts[0]
    assert len(compared) < 20 * len(pool) / 20


def test_hardly_any_text_of_a_large_pool_is_compared_in_full(monkeypatch):
    texts = instructions(random.Random(0), 4100)
    pool, compared = Pool(texts[:4000]), []
    monkeypatch.setattr("nabot.synth.novelty.common_words", lambda *pair: compared.append(pair) or common_words(*pair))
    for text in texts[4000:]:
        pool.near_copy(text)
    assert len(compared) < 100 * len(pool) / 500


def test_without_rapidfuzz_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    with pytest.raises(ConfigError, match=r'rapidfuzz is not installed.*pip install "nabot\[synth\]"'):
        Pool()
