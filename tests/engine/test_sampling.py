"""Every field of `Sampling` has its effect: on known logits, and through the engine on a tiny random decoder."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import byte_level
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers
from torch import Tensor
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from nabot.conversation import Conversation
from nabot.engine import Engine
from nabot.engine.sampling import choose, filtered, generator, less_present, penalised
from nabot.engine.sequence import Sequence as Answer
from nabot.models.config import DecoderConfig
from nabot.models.loading import empty_decoder
from nabot.rendering import ChatTemplate, Renderer
from nabot.textmodel import Completion, Sampling
from nabot.tokenizer import Tokenizer
from nabot.tokenizer.parts import TokenizerParts

NONE_SEEN = torch.empty(0, dtype=torch.long)
SHARES = torch.tensor([0.45, 0.25, 0.15, 0.1, 0.05])  # of tokens 0 to 4
LOGITS = SHARES.log()

relaxed = settings(deadline=None)  # time is no part of these tests
seeds = st.integers(0, 2**32 - 1)


@st.composite
def some_logits(draw: st.DrawFn) -> Tensor:
    """Different from each other by at least 0.01, so that "the k most likely" has one meaning."""
    steps = draw(st.lists(st.integers(-600, 600), min_size=1, max_size=40, unique=True))
    return torch.tensor(steps) / 100


samplings = st.builds(
    Sampling,
    repetition_penalty=st.floats(0.5, 2),
    temperature=st.floats(0.05, 3),
    top_k=st.integers(0, 50),
    top_p=st.floats(0.01, 1),
    min_p=st.floats(0, 1),
    seed=seeds,
)


def kept(logits_V: Tensor, sampling: Sampling) -> list[int]:
    """The tokens that may still be chosen."""
    return filtered(logits_V, sampling).isfinite().nonzero().flatten().tolist()


def drawn(logits_V: Tensor, sampling: Sampling, draws: int = 2000) -> Tensor:
    """How often each token is chosen, as a share."""
    rng = generator(sampling)
    tokens = [choose(logits_V, sampling, NONE_SEEN, rng) for _ in range(draws)]
    return torch.bincount(torch.tensor(tokens), minlength=len(logits_V)) / draws


# ---- on known logits


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_sets_the_shares(temperature: float) -> None:
    shares = drawn(LOGITS, Sampling(temperature=temperature, seed=0))
    wanted = (LOGITS / temperature).softmax(-1)
    spread = (wanted * (1 - wanted) / 2000).sqrt()
    assert ((shares - wanted).abs() < 4 * spread).all()


def test_temperature_zero_takes_the_most_likely() -> None:
    assert drawn(LOGITS, Sampling(temperature=0.0), draws=50)[0] == 1


@pytest.mark.parametrize(
    ("sampling", "tokens"),
    [
        (Sampling(), [0, 1, 2, 3, 4]),
        (Sampling(top_k=2), [0, 1]),
        (Sampling(top_k=9), [0, 1, 2, 3, 4]),
        (Sampling(top_p=0.4), [0]),
        (Sampling(top_p=0.5), [0, 1]),
        (Sampling(top_p=0.8), [0, 1, 2]),
        (Sampling(min_p=0.3), [0, 1, 2]),
        (Sampling(min_p=1.0), [0]),
        (Sampling(top_k=4, top_p=0.9, min_p=0.5), [0, 1]),
        (Sampling(top_k=2, top_p=0.7), [0, 1]),  # of what top-k left, token 0 is 0.64
        (Sampling(top_k=2, top_p=0.6), [0]),
    ],
)
def test_filters_keep_these_tokens_of_shares_45_25_15_10_5(sampling: Sampling, tokens: list[int]) -> None:
    assert kept(LOGITS, sampling) == tokens


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.99999])
@pytest.mark.parametrize("temperature", [0.3, 3.0])
def test_top_p_of_a_long_vocabulary_keeps_what_transformers_keeps(top_p: float, temperature: float) -> None:
    logits = torch.randn(5000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / temperature
    theirs = TopPLogitsWarper(top_p)(torch.empty(1, 0), logits.unsqueeze(0))[0]
    assert torch.equal(filtered(logits, Sampling(top_p=top_p)), theirs)


def test_only_kept_tokens_are_ever_chosen() -> None:
    shares = drawn(LOGITS, Sampling(temperature=5.0, top_k=3, seed=0))
    assert (shares > 0).tolist() == [True, True, True, False, False]


def test_temperature_comes_before_the_filters() -> None:
    assert (drawn(LOGITS, Sampling(temperature=10.0, min_p=0.7, seed=0)) > 0).all()  # flattened, all come near the best


def test_repetition_penalty_pushes_seen_tokens_down_whatever_their_sign() -> None:
    logits = torch.tensor([2.0, 1.5, -1.0, -1.5])
    assert penalised(logits, torch.tensor([0, 2, 0]), 2.0).tolist() == [1.0, 1.5, -2.0, -1.5]
    assert choose(logits, Sampling(repetition_penalty=2.0), torch.tensor([0]), torch.Generator()) == 1


def test_repetition_penalty_passes_over_virtual_tokens_which_are_no_words() -> None:
    logits = torch.tensor([2.0, -1.0])
    assert penalised(logits, torch.tensor([2, 1, 5]), 2.0).tolist() == [2.0, -2.0]


@relaxed
@given(some_logits(), st.floats(-2, 2), st.data())
def test_presence_penalty_is_taken_once_from_every_token_of_the_answer(
    logits_V: Tensor, penalty: float, data: st.DataObject
) -> None:
    said = data.draw(st.lists(st.integers(0, len(logits_V) - 1), max_size=5))
    present = torch.tensor([float(token in said) for token in range(len(logits_V))])  # OpenAI: c[j] > 0
    torch.testing.assert_close(less_present(logits_V, said, penalty), logits_V - penalty * present)


def test_presence_penalty_looks_at_the_answer_and_not_at_the_prompt() -> None:
    logits, greedy = torch.tensor([2.0, 1.5]), Sampling(presence_penalty=1.0)
    prompt = torch.tensor([0])
    assert choose(logits, greedy, prompt, torch.Generator()) == 0
    assert choose(logits, greedy, prompt, torch.Generator(), said=[0]) == 1


@relaxed
@given(some_logits(), seeds)
def test_top_k_one_is_greedy(logits_V: Tensor, seed: int) -> None:
    sampling = Sampling(temperature=1.0, top_k=1, seed=seed)
    assert choose(logits_V, sampling, NONE_SEEN, generator(sampling)) == int(logits_V.argmax())


@relaxed
@given(some_logits(), samplings)
def test_the_most_likely_token_always_stays(logits_V: Tensor, sampling: Sampling) -> None:
    assert int(logits_V.argmax()) in kept(logits_V, sampling)


@relaxed
@given(some_logits(), samplings)
def test_what_stays_is_more_likely_than_what_goes(logits_V: Tensor, sampling: Sampling) -> None:
    stays = filtered(logits_V, sampling).isfinite()
    assert stays.all() or logits_V[stays].min() > logits_V[~stays].max()


@relaxed
@given(some_logits(), samplings)
def test_the_same_seed_gives_the_same_token(logits_V: Tensor, sampling: Sampling) -> None:
    first, second = (choose(logits_V, sampling, NONE_SEEN, generator(sampling)) for _ in range(2))
    assert first == second


@relaxed
@given(some_logits(), samplings, st.data())
def test_filters_and_penalty_agree_with_transformers(logits_V: Tensor, sampling: Sampling, data: st.DataObject) -> None:
    seen = torch.tensor(data.draw(st.lists(st.integers(0, len(logits_V) - 1), min_size=1, max_size=5)))
    warpers = [
        RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
        TemperatureLogitsWarper(sampling.temperature),
        *([TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []),
        TopPLogitsWarper(sampling.top_p),
        MinPLogitsWarper(sampling.min_p),
    ]
    theirs = logits_V.unsqueeze(0)
    for warper in warpers:
        theirs = warper(seen.unsqueeze(0), theirs)
    ours = filtered(penalised(logits_V, seen, sampling.repetition_penalty) / sampling.temperature, sampling)
    torch.testing.assert_close(ours.softmax(-1), theirs[0].softmax(-1))  # where 0 is, one of them may say -inf


def test_without_a_seed_every_answer_is_another() -> None:
    even = torch.zeros(1000)
    runs = []
    for _ in range(2):
        rng = generator(Sampling(temperature=1.0))
        runs.append([choose(even, Sampling(temperature=1.0), NONE_SEEN, rng) for _ in range(30)])
    assert runs[0] != runs[1]


# ---- stop strings, token by token


@lru_cache
def tokenizer() -> Tokenizer:
    backend = byte_level()
    bos, eos = (backend.token_to_id(mark) for mark in ("<s>", "</s>"))
    return Tokenizer(TokenizerParts(backend, bos, eos, named_tokens={"bos_token": "<s>", "eos_token": "</s>"}))


@lru_cache
def renderer() -> Renderer:
    return Renderer(ChatTemplate.builtin("chatml"), tokenizer())


def answered(pieces: Sequence[str], sampling: Sampling, *, ends: bool) -> tuple[list[str], Completion]:
    """What is shown, step by step, where the model writes `pieces` (and then, if it `ends`, its end token)."""
    ids = [token for piece in pieces for token in tokenizer().encode(piece)]
    ids += [tokenizer().added_tokens["</s>"]] if ends else []
    answer = Answer(1, [0], sampling, renderer(), limit=len(ids))
    shown = []
    for token in ids:
        logits_V = torch.zeros(tokenizer().vocab_size)
        logits_V[token] = 1.0
        shown.append(answer.advance(logits_V))
        if answer.finish:
            break
    return shown, answer.completion()


TEXTS = st.text(st.sampled_from("ab#한😀\n"), min_size=1, max_size=6)


def cut(pieces: Sequence[str], stops: Sequence[str]) -> str:
    """The reference: the text, one token after the other, up to the first stop string that has come whole."""
    data = b""
    for piece in pieces:
        for token in tokenizer().encode(piece):
            data += tokenizer().token_bytes(token)
            text = data.decode(errors="ignore")
            places = [text.find(stop) for stop in stops if stop in text]
            if places:
                return text[: min(places)]
    return data.decode(errors="ignore")


@relaxed
@given(st.lists(TEXTS, min_size=1, max_size=6), st.lists(TEXTS, max_size=3), st.booleans())
def test_stop_strings_end_the_answer_across_tokens_and_are_never_shown(
    pieces: list[str], stops: list[str], ends: bool
) -> None:
    shown, completion = answered(pieces, Sampling(stop=tuple(stops)), ends=ends)
    assert "".join(shown) == completion.text == cut(pieces, stops)
    assert not any(stop in completion.text for stop in stops)
    stopped = completion.text != "".join(pieces)
    assert completion.finish == ("stop" if stopped or ends else "length")


def test_a_stop_string_is_found_across_tokens() -> None:
    shown, completion = answered(["open at 8 #", "#", "# Question"], Sampling(stop=("###",)), ends=False)
    assert "".join(shown) == completion.text == "open at 8 "
    assert completion.finish == "stop"


@pytest.mark.parametrize("ends", [True, False])
def test_text_that_was_held_back_is_released_at_the_end(ends: bool) -> None:
    shown, completion = answered(["open ", "#", "#"], Sampling(stop=("###",)), ends=ends)
    assert "#" not in "".join(shown[:-1])
    assert "".join(shown) == completion.text == "open ##"


def test_text_that_turns_out_to_be_no_stop_string_is_released_at_once() -> None:
    shown, _ = answered(["#", "#", "x"], Sampling(stop=("###",)), ends=False)
    assert shown == ["", "", "##x"]


# ---- through the engine


@lru_cache
def letters() -> Tokenizer:
    """One token an ASCII letter, the same ones in every run: trained merges differ where counts are equal."""
    alphabet = [pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(chr(n))[0][0] for n in range(128)]
    backend = Backend(models.BPE(vocab={letter: n for n, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return Tokenizer(TokenizerParts(backend, eos_id=backend.token_to_id("<|im_end|>")))


@lru_cache
def engine() -> Engine:
    """Random weights from one seed, of a size that makes the next token neither sure nor arbitrary."""
    config = DecoderConfig(
        vocab_size=letters().vocab_size, width=32, num_layers=2, num_heads=4, num_kv_heads=2, head_width=8,
        mlp_width=64, max_positions=256,
    )  # fmt: skip
    decoder = empty_decoder(config, dtype=torch.float32)
    rng = torch.Generator().manual_seed(0)
    for name, weight in decoder.slots():
        random = (0.5 if "head" in name else 0.3) * torch.randn(weight.shape, generator=rng)
        weight.copy_(torch.ones(weight.shape) if "norm" in name else random)
    return Engine(decoder.eval(), Renderer(ChatTemplate.builtin("chatml"), letters()))


QUESTION = Conversation.ask("When do you open?")


def answer(**fields: Any) -> Completion:
    return next(engine().generate([QUESTION], Sampling(**{"max_new_tokens": 24} | fields)))


def varied(**fields: Any) -> Completion:
    return answer(**{"temperature": 1.0, "seed": 1} | fields)


def streamed(**fields: Any) -> Iterator[str]:
    return engine().stream(QUESTION, Sampling(**{"max_new_tokens": 24} | fields))


@pytest.mark.parametrize(
    "change",
    [
        {"repetition_penalty": 5.0},
        {"presence_penalty": 2.0},
        {"temperature": 0.1},
        {"top_k": 2},
        {"top_p": 0.1},
        {"min_p": 0.5},
        {"seed": 2},
        {"max_new_tokens": 3},
    ],
)
def test_every_field_changes_the_engines_answer(change: dict[str, Any]) -> None:
    assert varied(**change).text != varied().text


def test_the_same_seed_gives_the_same_answer_and_another_one_another() -> None:
    assert varied(seed=7) == varied(seed=7)
    assert len({varied(seed=seed).text for seed in range(5)}) == 5


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}, {"temperature": 1e-4}])
def test_each_filter_at_its_narrowest_is_greedy(narrow: dict[str, float]) -> None:
    assert varied(**narrow) == answer()


def test_repetition_penalty_keeps_a_greedy_answer_from_repeating() -> None:
    def distinct(penalty: float) -> int:
        return len(set(answer(repetition_penalty=penalty).text))

    assert distinct(1e6) > distinct(1.0)


@pytest.mark.parametrize("limit", [1, 5, 20])
def test_max_new_tokens_bounds_the_answer(limit: int) -> None:
    completion = varied(max_new_tokens=limit)
    assert (completion.num_tokens, completion.finish) == (limit, "length")
    assert varied().text.startswith(completion.text)


def test_a_stop_string_ends_the_engines_answer() -> None:
    whole = varied().text
    stop = whole[9:13]  # characters of several tokens
    completion = varied(stop=("never", stop))
    assert (completion.text, completion.finish) == (whole[: whole.index(stop)], "stop")


def test_a_streamed_answer_is_the_whole_one_also_where_its_end_was_held_back() -> None:
    whole = varied().text
    begun = (f"{whole[-2:]}never",)  # the answer ends with the beginning of this stop string
    assert "".join(streamed(temperature=1.0, seed=1, stop=begun)) == whole
    assert "".join(streamed(temperature=1.0, seed=1)) == whole


def test_closing_the_stream_ends_the_answer() -> None:
    pieces = streamed(temperature=1.0, seed=1)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert engine().step() == []
