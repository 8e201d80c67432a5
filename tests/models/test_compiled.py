"""Compiled products and steps against the same in torch, on weights that 4 and 8 bits hold exactly."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_families import VARIANTS, VOCAB, save_tiny
from tiny_models import tiny_decoder
from torch import Tensor
from torch.testing import assert_close

from nabot.adapters import LoraConfig, attach, detach, lora_groups
from nabot.engine.cache import SlotCache
from nabot.models.batch import TokenBatch
from nabot.models.compiled.alone import product
from nabot.models.compiled.crew import Crew, crew
from nabot.models.compiled.machine import meet
from nabot.models.compiled.packing import Packed, pack
from nabot.models.compiled.whole import Whole
from nabot.models.decoder import Decoder
from nabot.models.linear import linear_groups
from nabot.models.loading import load_decoder
from nabot.models.quantised import FewRows, quantise

BLOCK = 32


def levels(outputs: int, inputs: int, seed: int, most: int = 15) -> Tensor:
    """Weights of `most` + 1 levels a block, as a file of 4 bits holds them: scale and lowest are float16."""
    source = torch.Generator().manual_seed(seed)
    q = torch.randint(0, most + 1, (outputs, inputs // BLOCK, BLOCK), generator=source)
    q[..., 0], q[..., 1] = 0, most
    scale, low = (torch.rand(outputs, inputs // BLOCK, 1, generator=source).half().float() for _ in range(2))
    return ((0.01 + scale).half().float() * q - (7 * low).half().float()).reshape(outputs, inputs)


def on_eight_bits(weight_OD: Tensor) -> Tensor:
    """The nearest weights that 8 bits hold."""
    blocks = weight_OD.detach().float().unflatten(1, (-1, BLOCK))
    step = (blocks.abs().amax(-1, keepdim=True) / 127).half().float()
    q = (blocks / step.clamp(min=1e-20)).round().clamp(-127, 127)
    q[..., :1] = 127  # what the step is found by
    return (q * step).flatten(1).to(weight_OD.dtype)


# ---- products


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 50), st.integers(1, 4), st.integers(1, 19), st.integers(1, 15), st.integers(0, 1000))
def test_weights_of_sixteen_levels_or_fewer_multiply_as_they_are(
    outputs: int, blocks: int, rows: int, most: int, seed: int
) -> None:
    weight = levels(outputs, blocks * BLOCK, seed, most)
    found = pack(weight)
    assert found is not None
    assert (found.bits, found.outputs) == (4, outputs)
    # Of fewer levels, another step than that of the file may be found, which float16 rounds.
    assert_multiplies(found, weight, rows, seed, steps_off=0 if most == 15 else 2**-11)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 50), st.integers(1, 4), st.integers(1, 19), st.integers(0, 1000))
def test_other_weights_take_eight_bits(outputs: int, blocks: int, rows: int, seed: int) -> None:
    weight = on_eight_bits(torch.randn(outputs, blocks * BLOCK, generator=torch.Generator().manual_seed(seed)))
    found = pack(weight)
    assert found is not None
    assert found.bits == 8
    assert_multiplies(found, weight, rows, seed)


def assert_multiplies(packed: Packed, weight_OD: Tensor, rows: int, seed: int, steps_off: float = 0) -> None:
    x = torch.randn(rows, weight_OD.shape[1], generator=torch.Generator().manual_seed(seed))
    x[:, 0] *= 20  # one that stands out, as in real activations
    exact = x.double() @ weight_OD.double().t()
    # Rows are rounded to 16 bits, each 32 by the largest of them.
    step = x.abs().unflatten(1, (-1, BLOCK)).amax(-1, keepdim=True).expand(-1, -1, BLOCK).flatten(1) / 32767
    span = 2 * weight_OD.abs().unflatten(1, (-1, BLOCK)).amax(-1, keepdim=True).expand(-1, -1, BLOCK).flatten(1)
    most = 0.51 * step.double() @ weight_OD.abs().double().t() + steps_off * x.abs().double() @ span.double().t()
    assert bool(((product(x, packed).double() - exact).abs() <= most + 1e-5 * exact.abs().max()).all())


def test_eight_bits_are_off_by_half_a_step_at_the_most() -> None:
    weight = torch.randn(50, 96)
    weight[7] = 0
    found = pack(weight)
    assert found is not None
    columns = product(torch.eye(96), found).t()
    step = weight.abs().unflatten(1, (-1, BLOCK)).amax(-1, keepdim=True).expand(-1, -1, BLOCK).flatten(1) / 127
    assert bool(((columns - weight).abs() <= 0.51 * step + 0.07 * step).all())  # 127 / 2048: steps are float16


def test_one_weight_off_the_levels_makes_all_eight_bits() -> None:
    weight = levels(40, 64, seed=0)
    some = weight[39, :BLOCK].unique()
    weight[39, 5] = (some[3] + some[4]) / 2  # beyond the rows that are looked at first
    found = pack(weight)
    assert found is not None
    assert found.bits == 8


@pytest.mark.parametrize("value", [0.0, -3.5])
def test_a_block_of_equal_weights_is_kept(value: float) -> None:
    weight = levels(4, 64, seed=0)
    weight[1, :BLOCK] = value
    found = pack(weight)
    assert found is not None
    assert found.bits == 4
    assert_multiplies(found, weight, rows=3, seed=0)


def test_rows_that_are_no_whole_blocks_stay_dense() -> None:
    assert pack(torch.randn(16, BLOCK + 1)) is None


def test_zeros_stay_zeros() -> None:
    found = pack(torch.randn(20, 64))
    assert found is not None
    assert torch.equal(product(torch.zeros(2, 64), found), torch.zeros(2, 20))


def test_halves_multiply_as_halves() -> None:
    source = torch.Generator().manual_seed(1)
    q = torch.randint(-8, 8, (40, 128), generator=source).index_fill_(1, torch.tensor([0]), -8)  # as GGUF's Q4_0
    weight, x = 0.013 * q, torch.randn(3, 128, generator=source).bfloat16()
    found = pack(weight.bfloat16())  # rounds the levels, and they are found all the same
    assert found is not None
    assert found.bits == 4
    y = product(x, found)
    assert y.dtype == torch.bfloat16
    assert_close(y.float(), x.float() @ weight.t(), atol=0.02 * float((x.float() @ weight.t()).abs().max()), rtol=0)


# ---- the crew


def test_a_crew_that_fails_says_so_and_works_on() -> None:
    def fail(me: int, size: int, meeting: int) -> None:
        raise ValueError(me)

    done = np.zeros(3)

    def work(me: int, size: int, meeting: int, place: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        place[me] = size

    some = Crew(3)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"\d"):
            some.run(fail)
        some.run(work, done)
    assert done.tolist() == [3, 3, 3]


def test_when_one_of_a_crew_fails_the_others_do_not_wait() -> None:
    def some_fail(me: int, size: int, meeting: int) -> None:
        if me == 1:
            raise ValueError(me)
        meet(meeting, size)

    some = Crew(3)
    for _ in range(3):
        with pytest.raises(ValueError, match="1"):
            some.run(some_fail)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_a_crew_of_its_own() -> None:
    script = (
        "import os, torch; from nabot.models.compiled.alone import product; "
        "from nabot.models.compiled.packing import pack;"
        "torch.set_num_threads(1); packed = pack(torch.ones(16, 32)); child = os.fork();"
        "product(torch.ones(1, 32), packed); child and os._exit(os.waitpid(child, 0)[1]); os._exit(0)"
    )
    child = subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=100, check=False)
    assert child.returncode == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_steps_cannot_hold_stay_dense(value: float) -> None:
    weight = torch.randn(32, 64)
    weight[3, 5] = value
    assert pack(weight) is None


# ---- whole steps


def exact_in_bits(decoder: Decoder) -> Decoder:
    """Every linear's weights, and the head's, become some that 8 bits hold."""
    for _, _, group in linear_groups(decoder):
        if group.in_features % BLOCK == 0:
            group.weight.data.copy_(on_eight_bits(group.weight.data))
    if decoder.output is None:
        decoder.embedding.data.copy_(on_eight_bits(decoder.embedding.data))
    return decoder


def new_cache(decoder: Decoder, slots: int) -> SlotCache:
    cache = SlotCache(decoder.config, dtype=decoder.embedding.dtype, device=torch.device("cpu"))
    cache.reserve(slots, 100)
    return cache


@torch.inference_mode()
def dense_steps(decoder: Decoder, prompts: Sequence[Tensor], more: Tensor) -> tuple[list[Tensor], SlotCache]:
    """Logits [R, V] after each row of `more` [steps, R], behind prompts; and the cache after that."""
    cache = new_cache(decoder, len(prompts))
    slots, found = list(range(len(prompts))), []
    for tokens in (prompts, *(list(row.split(1)) for row in more)):
        lengths = [len(t) for t in tokens]
        batch = TokenBatch.of_documents(lengths, starts=cache.starts(slots), store=cache.writer(slots, lengths))
        hidden = decoder.hidden(decoder.embed(torch.cat(list(tokens))), batch)
        found.append(decoder.head(hidden[torch.tensor(lengths).cumsum(0) - 1]))
        for slot, own in zip(slots, tokens, strict=True):
            cache.tokens[slot] += own.tolist()
    return found[1:], cache


@torch.inference_mode()
def compiled_steps(few: FewRows, decoder: Decoder, prompts: Sequence[Tensor], more: Tensor) -> list[Tensor]:
    """The same by compiled code, from a cache that torch began."""
    _, cache = dense_steps(decoder, prompts, more[:0])
    slots, found = list(range(len(prompts))), []
    for row in more:
        assert few.can_write(len(slots), anew=True)
        found.append(few.logits(row.tolist(), cache.keys, cache.values, slots, cache.starts(slots)))
        for slot, token in zip(slots, row.tolist(), strict=True):
            cache.tokens[slot].append(token)
    return found


def three_answers() -> tuple[list[Tensor], Tensor]:
    """Prompts of several lengths, longer than the tiny models' windows, and five tokens for each."""
    source = torch.Generator().manual_seed(1)
    prompts = [torch.randint(0, VOCAB, (n,), generator=source) for n in (40, 3, 21)]
    return prompts, torch.randint(0, VOCAB, (5, 3), generator=source)


def assert_the_same(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert_close(one.float(), other.float(), atol=tolerance * float(other.abs().max()), rtol=tolerance)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_family_writes_as_torch_does(variant: str, tmp_path: Path) -> None:
    decoder = exact_in_bits(load_decoder(save_tiny(variant, tmp_path)))
    expected, _ = dense_steps(decoder, *three_answers())
    few = quantise(decoder)
    few.prepare()
    prompts, more = three_answers()
    if few.can_write(1, anew=True):
        assert_the_same(compiled_steps(few, decoder, prompts, more), expected, 5e-4)
    else:
        assert Whole.of(decoder) is None
    assert_the_same(dense_steps(decoder, prompts, more)[0], expected, 5e-4)  # product by product


def test_only_the_oldest_families_are_not_known_whole(tmp_path: Path) -> None:
    unknown = {v for v in VARIANTS if Whole.of(load_decoder(save_tiny(v, tmp_path / v))) is None}
    assert {VARIANTS[v][0] for v in unknown} == {"gpt_neox", "mpt"}


@pytest.mark.parametrize("variant", ["gqa", "tied", "both_biases", "wide_heads", "rope_llama3"])
def test_bfloat16_writes_nearly_as_float32_does(variant: str) -> None:
    exact = exact_in_bits(tiny_decoder(variant))
    expected, _ = dense_steps(exact, *three_answers())
    decoder = exact.to(torch.bfloat16)
    few = quantise(decoder)
    few.prepare()
    found = compiled_steps(few, decoder, *three_answers())
    assert_the_same(found, expected, 0.05)


def with_random_lora(decoder: Decoder, config: LoraConfig) -> Decoder:
    torch.manual_seed(3)
    attach(decoder, config)
    source = torch.Generator().manual_seed(5)
    for group in lora_groups(decoder):
        for b in (*group.lora_b.values(), *group.biases.values()):
            b.data.add_(0.1 * torch.randn(b.shape, generator=source))
    decoder.eval()
    return decoder


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(rank=4),
        LoraConfig(rank=3, targets="v_proj,up_proj"),
        LoraConfig(rank=4, lora_start="pissa"),
        LoraConfig(rank=4, bias="all"),
    ],
)
def test_an_adapter_is_added_as_torch_adds_it(config: LoraConfig) -> None:
    decoder = exact_in_bits(tiny_decoder("both_biases"))
    few = quantise(decoder)
    few.prepare()
    plain = compiled_steps(few, decoder, *three_answers())
    with_random_lora(decoder, config)
    expected, _ = dense_steps(decoder, *three_answers())
    found = compiled_steps(few, decoder, *three_answers())
    assert_the_same(found, expected, 4e-3)  # A and B are float16
    assert not torch.allclose(found[0], plain[0], atol=1e-2)
    detach(decoder)
    assert_the_same(compiled_steps(few, decoder, *three_answers()), plain, 1e-6)


def test_an_adapter_that_learns_on_is_read_anew() -> None:
    decoder = with_random_lora(exact_in_bits(tiny_decoder()), LoraConfig(rank=4))
    few = quantise(decoder)
    few.prepare()
    before = compiled_steps(few, decoder, *three_answers())
    with torch.no_grad():
        for group in lora_groups(decoder):
            for b in group.lora_b.values():
                b.mul_(2)
    expected, _ = dense_steps(decoder, *three_answers())
    found = compiled_steps(few, decoder, *three_answers())
    assert_the_same(found, expected, 4e-3)  # A and B are float16
    assert not torch.allclose(found[0], before[0], atol=1e-2)


def test_what_compiled_code_does_not_know_is_left_to_torch() -> None:
    decoder = with_random_lora(exact_in_bits(tiny_decoder()), LoraConfig(rank=4, dora=True))
    few = quantise(decoder)
    few.prepare()
    assert not few.can_write(1, anew=True)


def test_keys_and_values_are_those_of_torch() -> None:
    decoder = exact_in_bits(tiny_decoder("gqa"))
    prompts, more = three_answers()
    _, expected = dense_steps(decoder, prompts, more)
    few = quantise(decoder)
    few.prepare()
    _, cache = dense_steps(decoder, prompts, more[:0])
    with torch.inference_mode():
        for row in more:
            few.can_write(3, anew=True)
            few.logits(row.tolist(), cache.keys, cache.values, [0, 1, 2], cache.starts([0, 1, 2]))
            for slot, token in enumerate(row.tolist()):
                cache.tokens[slot].append(token)
    assert_close(cache.keys, expected.keys, atol=1e-3, rtol=1e-3)
    assert_close(cache.values, expected.values, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    decoder = exact_in_bits(tiny_decoder("gqa"))
    few = quantise(decoder)
    few.prepare()
    expected = compiled_steps(few, decoder, *three_answers())
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert crew().size == threads
        # Sums in another order differ in the last digit, and then a number may be rounded to the next 1/32767.
        assert_the_same(compiled_steps(few, decoder, *three_answers()), expected, 1e-4)
    finally:
        torch.set_num_threads(before)
