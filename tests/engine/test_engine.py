"""The engine answers a crowd as it answers each alone: cache, shared prefixes, slots that change hands."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tokenizers import byte_level
from tiny_models import random_tokens, tiny_decoder, with_adapter, with_lora
from torch.testing import assert_close

from nabot.adapters import VirtualConfig, question_ids
from nabot.conversation import Conversation
from nabot.engine import Engine
from nabot.engine.cache import SlotCache
from nabot.engine.sampling import penalised
from nabot.errors import DataError
from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.quantised import FewRows, quantise
from nabot.rendering import ChatTemplate, Renderer
from nabot.textmodel import Completion, Sampling
from nabot.tokenizer import Tokenizer
from nabot.tokenizer.parts import TokenizerParts

ROOM = 600


@lru_cache
def renderer() -> Renderer:
    backend = byte_level()
    tokenizer = Tokenizer(TokenizerParts(backend, backend.token_to_id("<s>"), backend.token_to_id("<|im_end|>")))
    return Renderer(ChatTemplate.builtin("chatml"), tokenizer)


BEGINNINGS = {
    "prompt": VirtualConfig(method="prompt", virtual_tokens=5),
    "prefix": VirtualConfig(method="prefix", virtual_tokens=7),
}


@lru_cache
def decoder(variant: str = "gqa") -> Decoder:
    vocab = renderer().tokenizer.vocab_size
    if variant in BEGINNINGS:
        return with_adapter(decoder_of("gqa", vocab), BEGINNINGS[variant])
    return decoder_of(variant, vocab)


def decoder_of(variant: str, vocab: int) -> Decoder:
    return tiny_decoder(variant, torch.float64, vocab_size=vocab, max_position_embeddings=ROOM)


def engine(max_running: int = 16, variant: str = "gqa") -> Engine:
    return Engine(decoder(variant), renderer(), max_running=max_running)


def tokens(count: int, seed: int) -> list[int]:
    return random_tokens(count, seed=seed, vocab=renderer().tokenizer.vocab_size).tolist()


def alone(prompt: Sequence[int], count: int, variant: str = "gqa") -> list[int]:
    """The most likely continuation, every token by a whole forward pass without a cache."""
    ids = list(prompt)
    while len(ids) < len(prompt) + count:
        ids.append(most_likely(tuple(ids), variant))
        if ids[-1] in renderer().tokenizer.stop_ids:
            break
    return ids[len(prompt) :]


@lru_cache(maxsize=10_000)
@torch.no_grad()
def most_likely(ids: tuple[int, ...], variant: str) -> int:
    return int(decoder(variant)(torch.tensor([ids]))[0, -1].argmax())


def finish(engine: Engine) -> dict[int, Completion]:
    """Steps until nothing is left to do."""
    done = {}
    while events := engine.step():
        done.update({event.number: event.completion for event in events if event.completion})
    return done


def text_of(answer: Sequence[int]) -> str:
    return renderer().tokenizer.decode(answer)


def assert_answers(engine: Engine, asked: dict[int, tuple[list[int], int]]) -> None:
    done = finish(engine)
    for number, (prompt, count) in asked.items():
        expected = alone(prompt, count)
        assert (done[number].text, done[number].num_tokens) == (text_of(expected), len(expected))


def ask(engine: Engine, prompts: Sequence[list[int]], counts: Sequence[int]) -> dict[int, tuple[list[int], int]]:
    asked = {}
    for prompt, count in zip(prompts, counts, strict=True):
        number = engine.add_tokens(prompt, Sampling(max_new_tokens=count))
        asked[number] = (prompt, count)
    return asked


HEAD = 40
SHARED = [tokens(HEAD, 1) + tokens(n, 10 + n) for n in (3, 1, 20, 7)] + [tokens(9, 5)]


@pytest.mark.parametrize("max_running", [1, 2, 5])
def test_five_prompts_with_a_shared_beginning_are_answered_as_each_alone(max_running: int) -> None:
    model = engine(max_running)
    assert_answers(model, ask(model, SHARED, [8, 3, 12, 5, 9]))


@pytest.mark.parametrize("variant", ["mha", "mqa", *BEGINNINGS])
@pytest.mark.parametrize("max_running", [2, 16])
def test_the_same_for_other_numbers_of_heads_and_behind_virtual_tokens(variant: str, max_running: int) -> None:
    model = engine(max_running, variant)
    numbers = [model.add_tokens(p, Sampling(max_new_tokens=6)) for p in SHARED]
    done = finish(model)
    for number, prompt in zip(numbers, SHARED, strict=True):
        assert done[number].text == text_of(alone(prompt, 6, variant))


@settings(deadline=None, max_examples=15)
@given(data=st.data(), max_running=st.integers(1, 4))
def test_any_crowd_is_answered_as_each_alone(data: st.DataObject, max_running: int) -> None:
    heads = [tokens(HEAD, seed) for seed in range(3)]
    crowd = st.lists(
        st.tuples(st.sampled_from([[], *heads]), st.integers(1, 12), st.integers(0, 4), st.integers(1, 6)),
        min_size=1,
        max_size=6,
    )
    model = engine(max_running)
    for group in data.draw(st.lists(crowd, min_size=1, max_size=2)):  # the second finds the slots of the first
        prompts = [head + tokens(count, seed) for head, count, seed, _ in group]
        assert_answers(model, ask(model, prompts, [count for *_, count in group]))


def test_prompts_that_arrive_while_others_are_answered_change_nothing() -> None:
    model = engine(max_running=3)
    asked = {}
    for prompt, count in zip(SHARED, [12, 4, 6, 9, 3], strict=True):
        asked.update(ask(model, [prompt], [count]))
        model.step()
    # steps above may have ended some; none of the five is that short
    assert_answers(model, asked)


def test_aborting_one_leaves_the_others_right() -> None:
    model = engine(max_running=4)
    asked = ask(model, SHARED, [10, 10, 10, 10, 10])
    for _ in range(4):
        model.step()
    first, waiting = min(asked), max(asked)
    model.abort(first)
    model.abort(waiting)
    model.abort(12345)  # never heard of: ignored
    kept = {number: case for number, case in asked.items() if number not in (first, waiting)}
    done = finish(model)
    assert done.keys() == kept.keys()
    for number, (prompt, count) in kept.items():
        assert done[number].text == text_of(alone(prompt, count))


def test_a_slot_is_used_again_after_its_answer_has_ended() -> None:
    model = engine(max_running=2)
    for seed in range(4):
        prompts = [tokens(30 - 7 * seed, seed), tokens(5, seed + 50)]
        assert_answers(model, ask(model, prompts, [5, 2]))
    assert len(model._cache.tokens) == 2


def test_a_second_question_computes_only_what_is_new() -> None:
    model = engine()
    asked = ask(model, [tokens(50, 3)], [4])
    assert_answers(model, asked)
    longer = tokens(50, 3) + alone(tokens(50, 3), 4)[:3] + tokens(5, 4)
    ask(model, [longer], [1])
    seen: list[int] = []
    hidden = model.decoder.hidden
    model.decoder.hidden = lambda x, batch: (seen.append(len(x)), hidden(x, batch))[1]  # type: ignore[method-assign]
    try:
        done = finish(model)
    finally:
        del model.decoder.hidden
    assert seen == [5]
    assert next(iter(done.values())).text == text_of(alone(longer, 1))


def test_answers_go_on_when_the_cache_grows() -> None:
    prompts = [tokens(250, 1), tokens(3, 2)]
    model = engine()
    assert_answers(model, ask(model, prompts, [12, 12]))
    assert model._cache._capacity > 256


@pytest.mark.parametrize("variant", BEGINNINGS)
def test_answers_behind_virtual_tokens_go_on_when_the_cache_grows(variant: str) -> None:
    model, prompts = engine(variant=variant), [tokens(245, 1), tokens(3, 2)]
    numbers = [model.add_tokens(prompt, Sampling(max_new_tokens=12)) for prompt in prompts]
    done = finish(model)
    for number, prompt in zip(numbers, prompts, strict=True):
        assert done[number].text == text_of(alone(prompt, 12, variant))
    assert model._cache._capacity > 256


@pytest.mark.parametrize("variant", BEGINNINGS)
def test_virtual_tokens_take_their_room_from_the_conversation(variant: str) -> None:
    model, taken = engine(variant=variant), BEGINNINGS[variant].virtual_tokens
    number = model.add_tokens(tokens(ROOM - taken - 3, 1), Sampling(max_new_tokens=50))
    completion = finish(model)[number]
    assert (completion.num_tokens, completion.finish) == (3, "length")
    with pytest.raises(DataError, match=str(ROOM - taken)):
        model.add_tokens(tokens(ROOM - taken, 1), Sampling())


@pytest.mark.parametrize("max_running", [1, 4])
def test_virtual_tokens_around_questions_are_read_in_prompts_and_never_said(max_running: int) -> None:
    config = VirtualConfig(method="ptuning", virtual_tokens=6, encoder_width=8, places="question")
    model = with_adapter(decoder_of("gqa", renderer().tokenizer.vocab_size), config)
    ids = question_ids(model)
    asked = [Conversation.ask(q) for q in ("One?", "Two, and a few words more?", "One? Or three?")]
    answering = Engine(model, renderer().around_questions(*ids), max_running=max_running)
    done = list(answering.generate(asked, Sampling(max_new_tokens=12, repetition_penalty=1.3)))
    for conversation, completion in zip(asked, done, strict=True):
        prompt = list(answering.renderer.prompt(conversation))
        assert [n for n in prompt if n >= model.config.vocab_size] == [*ids[0], *ids[1]]
        expected: list[int] = []
        while len(expected) < 12 and not set(expected) & renderer().stop_ids:
            seen = torch.tensor(prompt + expected)
            with torch.no_grad():
                logits_V = model(seen.unsqueeze(0))[0, -1]
            expected.append(int(penalised(logits_V, seen, 1.3).argmax()))
        assert list(completion.ids) == expected


def test_an_answer_ends_at_the_models_last_position() -> None:
    model = engine()
    number = model.add_tokens(tokens(ROOM - 3, 1), Sampling(max_new_tokens=50))
    completion = finish(model)[number]
    assert (completion.num_tokens, completion.finish) == (3, "length")
    with pytest.raises(DataError, match=str(ROOM)):
        model.add_tokens(tokens(ROOM, 1), Sampling())


@pytest.fixture
def memory_full_of_nan() -> Iterator[None]:
    """Whatever is not written begins as no number."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("memory_full_of_nan")
def test_places_that_nobody_wrote_are_never_read() -> None:
    assert torch.empty(3).isnan().all()
    model = engine()
    assert_answers(model, ask(model, SHARED, [8, 3, 12, 5, 9]))


def test_an_attached_adapter_is_used() -> None:
    model = tiny_decoder("gqa", torch.float64, vocab_size=renderer().tokenizer.vocab_size)
    tuned = Engine(with_lora(model), renderer())
    number = tuned.add_tokens(SHARED[0], Sampling(max_new_tokens=5))
    got = finish(tuned)[number].text
    ids = list(SHARED[0])
    with torch.no_grad():
        for _ in range(5):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert got == text_of(ids[len(SHARED[0]) :])


# ---- the surface


QUESTIONS = [Conversation.ask(text) for text in ("Hello?", "Where is it?", "Hello there?")]


def test_generate_answers_in_the_order_of_the_prompts() -> None:
    model = engine(max_running=2)
    together = list(model.generate(QUESTIONS, Sampling(max_new_tokens=7)))
    each = [next(engine().generate([question], Sampling(max_new_tokens=7))) for question in QUESTIONS]
    assert together == each
    assert each[0].text == text_of(alone(renderer().prompt(QUESTIONS[0]), 7))


@pytest.mark.parametrize("max_running", [1, 2, 5])
def test_answers_as_they_come_are_those_in_order(max_running: int) -> None:
    together = dict(engine(max_running=max_running).as_they_come(QUESTIONS, Sampling(max_new_tokens=7)))
    assert [together[place] for place in range(3)] == list(engine().generate(QUESTIONS, Sampling(max_new_tokens=7)))


def test_a_short_answer_comes_before_a_long_one() -> None:
    model = engine()

    def full(words: int) -> Conversation:
        return Conversation.ask("tea " * words)

    words = next(n for n in range(9999, 0, -9) if len(renderer().prompt(full(n))) < model.decoder.longest)
    places = [place for place, _ in model.as_they_come([QUESTIONS[0], full(words)], Sampling(max_new_tokens=40))]
    assert places == [1, 0]


def test_answers_as_they_come_end_with_a_word_and_leave_nothing_behind() -> None:
    model, heard = engine(), []

    def going_on(tokens: int) -> bool:
        heard.append(tokens)
        return tokens < 9

    assert list(model.as_they_come(QUESTIONS, Sampling(max_new_tokens=500), going_on)) == []
    assert heard == sorted(heard)
    assert heard[0] == 0
    assert heard[-1] >= 9
    assert model.step() == []


def test_a_prompt_that_does_not_fit_leaves_nobody_waiting() -> None:
    model = engine()
    endless = Conversation.ask("tea " * 5000)
    with pytest.raises(DataError):
        list(model.generate([*QUESTIONS, endless], Sampling(max_new_tokens=3)))
    assert model.step() == []


def test_stream_gives_the_same_text_in_pieces() -> None:
    whole = next(engine().generate(QUESTIONS[:1], Sampling(max_new_tokens=9)))
    pieces = list(engine().stream(QUESTIONS[0], Sampling(max_new_tokens=9)))
    assert "".join(pieces) == whole.text
    assert len(pieces) > 1


def test_a_stream_returns_how_it_ended() -> None:
    def ending() -> Iterator[str]:
        finish = yield from engine().stream(QUESTIONS[0], Sampling(max_new_tokens=9))
        yield finish

    assert list(ending())[-1] == "length"


def test_streams_may_be_read_in_turns_while_others_are_generated() -> None:
    model = engine()
    sampling = Sampling(max_new_tokens=9)
    expected = [c.text for c in engine().generate(QUESTIONS, sampling)]
    streams = [model.stream(question, sampling) for question in QUESTIONS]
    texts = [next(stream) for stream in streams]
    assert [c.text for c in model.generate(QUESTIONS, sampling)] == expected
    assert [text + "".join(stream) for text, stream in zip(texts, streams, strict=True)] == expected


def test_closing_a_stream_frees_its_slot() -> None:
    model = engine(max_running=1)
    stream = model.stream(QUESTIONS[0], Sampling(max_new_tokens=500))
    next(stream)
    stream.close()
    assert not model.step()
    assert len(list(model.generate(QUESTIONS[:1], Sampling(max_new_tokens=2)))) == 1


def test_an_answer_that_is_aborted_from_outside_ends_its_generator() -> None:
    model = engine()
    stream = model.stream(QUESTIONS[0], Sampling(max_new_tokens=500))
    answers = model.generate(QUESTIONS[1:], Sampling(max_new_tokens=500))
    next(stream)
    watch = model.add_tokens(SHARED[0], Sampling(max_new_tokens=2))
    for number in range(watch):
        model.abort(number)
    assert list(stream) == []
    model.abort(watch)
    assert next(answers).finish in ("length", "stop")


@torch.no_grad()
def test_loglikelihood_is_the_sum_over_the_continuation() -> None:
    tokenizer = renderer().tokenizer
    context, continuation = "The cafe is", " closed on Monday."
    ids, more = tokenizer.encode(context), tokenizer.encode_piece(continuation, continues=True)
    logs_TV = decoder()(torch.tensor([ids + more]))[0].log_softmax(-1)
    expected = sum(logs_TV[len(ids) - 1 + n, token].item() for n, token in enumerate(more))
    assert engine().loglikelihood([(context, continuation)]) == [pytest.approx(expected, rel=1e-5)]


@torch.no_grad()
def test_loglikelihood_without_a_context_begins_with_bos() -> None:
    tokenizer = renderer().tokenizer
    more = tokenizer.encode("Hello")
    assert tokenizer.bos_id is not None
    logs_TV = decoder()(torch.tensor([[tokenizer.bos_id, *more]]))[0].log_softmax(-1)
    expected = sum(logs_TV[n, token].item() for n, token in enumerate(more))
    assert engine().loglikelihood([("", "Hello"), ("Hello", "")]) == [pytest.approx(expected, rel=1e-5), 0.0]


# ---- the cache itself


LENGTH = 11


def run_cached(model: Decoder, pieces: Sequence[Sequence[int]], ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Logits [T, V] of each sequence; round r computes `pieces[r][b]` more tokens of sequence b."""
    cache = SlotCache(model.config, dtype=model.embedding.dtype, device=torch.device("cpu"))
    cache.reserve(len(ids), max(map(len, ids)))
    found: list[list[torch.Tensor]] = [[] for _ in ids]
    for counts in pieces:
        slots = [b for b, count in enumerate(counts) if count]
        starts = [len(cache.tokens[b]) for b in slots]
        fresh = [list(ids[b][start : start + counts[b]]) for b, start in zip(slots, starts, strict=True)]
        lengths = [len(f) for f in fresh]
        batch = TokenBatch.of_documents(lengths, starts=starts, store=cache.writer(slots, lengths))
        logits_NV = model.head(model.hidden(model.embed(torch.tensor([t for f in fresh for t in f])), batch))
        for b, new, logits in zip(slots, fresh, logits_NV.split(lengths), strict=True):
            cache.tokens[b] += new
            found[b].append(logits)
    return [torch.cat(logits) for logits in found]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("variant", ["mha", "gqa", "mqa", "rope_llama3", "tied"])
@torch.no_grad()
def test_cached_equals_full_for_every_split(variant: str, dtype: torch.dtype) -> None:
    model = tiny_decoder(variant, dtype)
    ids = random_tokens(LENGTH, seed=3)
    full = model(ids.unsqueeze(0))[0]
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5 * full.abs().max().item()
    splits = [[[n], [LENGTH - n]] for n in range(1, LENGTH)] + [[[1]] * LENGTH, [[4]] + [[1]] * 3 + [[4]]]
    for split in splits:
        (logits,) = run_cached(model, split, [ids.tolist()])
        assert_close(logits, full, atol=tolerance, rtol=0)


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(1, 20), min_size=2, max_size=5), data=st.data())
@torch.no_grad()
def test_cached_equals_full_for_batches_of_unequal_lengths(lengths: list[int], data: st.DataObject) -> None:
    model = tiny_decoder("gqa", torch.float64)
    ids = [random_tokens(n, seed=n).tolist() for n in lengths]
    left, rounds = list(lengths), []
    while any(left):
        counts = [data.draw(st.integers(0, n)) for n in left]
        if any(counts):
            rounds.append(counts)
            left = [n - c for n, c in zip(left, counts, strict=True)]
        else:
            rounds.append([min(1, n) for n in left])  # one token each, as in decoding
            left = [max(0, n - 1) for n in left]
    for logits, row in zip(run_cached(model, rounds, ids), ids, strict=True):
        assert_close(logits, model(torch.tensor([row]))[0], atol=1e-10, rtol=0)


def test_adopting_copies_the_longest_beginning_but_never_the_last_token() -> None:
    model = tiny_decoder("gqa", torch.float64)
    cache = SlotCache(model.config, dtype=torch.float64, device=torch.device("cpu"))
    cache.reserve(3, 20)
    rows = [[1, 2, 3, 4, 5], [1, 2, 9]]
    with torch.no_grad():
        for slot, row in enumerate(rows):
            batch = TokenBatch.of_documents([len(row)], store=cache.writer([slot], [len(row)]))
            model.hidden(model.embed(torch.tensor(row)), batch)
            cache.tokens[slot] = list(row)
    assert cache.adopt(2, [1, 2, 3, 4, 5]) == 4
    assert cache.tokens[2] == [1, 2, 3, 4]
    assert torch.equal(cache.keys[1][2, :, :4], cache.keys[1][0, :, :4])
    assert cache.adopt(1, [1, 2, 9, 9]) == 3
    assert cache.adopt(2, [7, 8]) == 0
    assert cache.tokens[:2] == rows


# ---- compiled steps


def compiled_engine(max_running: int = 16, beginning: str = "") -> Engine:
    vocab = renderer().tokenizer.vocab_size
    own = tiny_decoder("gqa", torch.float32, vocab_size=vocab, max_position_embeddings=ROOM)
    if beginning:
        own = with_adapter(own, BEGINNINGS[beginning])
    few_rows = quantise(own)
    few_rows.prepare()
    return Engine(own, renderer(), max_running=max_running, few_rows=few_rows)


@pytest.mark.parametrize("beginning", ["", *BEGINNINGS])
@pytest.mark.parametrize("max_running", [1, 3, 16])
def test_compiled_steps_answer_a_crowd_as_each_alone(max_running: int, beginning: str) -> None:
    prompts, counts = [tokens(n, seed=n) for n in (3, 40, 7, 12, 5)], [9, 4, 12, 1, 7]
    crowd, one = compiled_engine(max_running, beginning), compiled_engine(1, beginning)
    asked = ask(crowd, prompts, counts)
    together = finish(crowd)
    for number, (prompt, count) in asked.items():
        alone_too = finish_one(one, prompt, count)
        assert (together[number].text, together[number].num_tokens) == (alone_too.text, count)


def finish_one(engine: Engine, prompt: list[int], count: int) -> Completion:
    (number,) = ask(engine, [prompt], [count])
    return finish(engine)[number]


def test_compiled_steps_are_those_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = compiled_engine()
    rows: list[int] = []
    real = FewRows.logits
    monkeypatch.setattr(FewRows, "logits", lambda self, ids, *rest: rows.append(len(ids)) or real(self, ids, *rest))
    assert finish_one(ours, tokens(5, seed=1), 6).num_tokens == 6
    assert rows == [1] * 5  # the first token comes out of the prompt's own pass


def test_compiled_steps_go_on_when_the_cache_grows() -> None:
    assert finish_one(compiled_engine(), tokens(8, seed=2), 500).num_tokens == 500
