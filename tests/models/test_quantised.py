"""Packed weights against the dense ones that they came from; the real model's answers in nats."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_decoder
from torch import Tensor
from torch.testing import assert_close

from nabot.adapters import LoraConfig, attach, lora_groups
from nabot.engine.cache import SlotCache
from nabot.models import quantised
from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.linear import linear_groups
from nabot.models.loading import load_decoder
from nabot.models.quantised import (
    GROUP,
    QuantisedGroup,
    available,
    eight_bits,
    four_bits,
    int4_product,
    int8_product,
    integer_product,
    pack_ahead,
    quantise,
)
from nabot.tokenizer import load_tokenizer

HELD_OUT = (
    "The lighthouse at the end of the pier was built in a time when most ships still carried sails. Every evening, an "
    "hour before sunset, its keeper climbed the stairs with a can of oil, cleaned the glass, and lit the lamp. On clear "
    "nights the light could be seen from the hills behind the town, where farmers used it to tell the time. When the "
    "railway came, fewer ships called at the harbour, and the oil was replaced by a gas flame, later by an electric "
    "bulb that needed no keeper at all. Today the building is a small museum. Children like to count the steps, and "
    "older visitors sit on the bench below, look at the water, and talk about the storms that they remember."
)


def on_a_grid(outputs: int, inputs: int, seed: int, levels: int = 15) -> Tensor:
    """Weights of `levels` + 1 levels a group, as a file of 4 bits holds them."""
    source = torch.Generator().manual_seed(seed)
    q = torch.randint(0, levels + 1, (outputs, inputs // GROUP, GROUP), generator=source)
    scale, low = (torch.rand(outputs, inputs // GROUP, 1, generator=source) for _ in range(2))
    return ((0.01 + scale) * q - 7 * low).reshape(outputs, inputs)


def rebuilt(q_OD: Tensor, scale_GO: Tensor, zero_GO: Tensor) -> Tensor:
    groups = q_OD.unflatten(1, (-1, GROUP)) - 8
    return (groups * scale_GO.t().unsqueeze(-1) + zero_GO.t().unsqueeze(-1)).flatten(1)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(2, 15), st.integers(0, 1000))
def test_weights_of_sixteen_levels_or_fewer_are_recovered(outputs: int, groups: int, levels: int, seed: int) -> None:
    weight = on_a_grid(outputs, groups * GROUP, seed, levels)
    found = four_bits(weight)
    assert found is not None
    assert int(found[0].min()) >= 0
    assert int(found[0].max()) <= 15
    assert_close(rebuilt(*found), weight, atol=1e-5, rtol=1e-5)


def test_a_group_of_equal_weights_is_recovered() -> None:
    weight = on_a_grid(4, 64, seed=0)
    weight[1, :GROUP], weight[2, GROUP:] = 0.0, -3.5
    found = four_bits(weight)
    assert found is not None
    assert_close(rebuilt(*found), weight, atol=1e-5, rtol=1e-5)


def test_weights_that_are_finer_are_not_taken_for_four_bits() -> None:
    weight = on_a_grid(40, 64, seed=0)
    assert four_bits(torch.randn(40, 64)) is None
    levels = weight[39, :GROUP].unique()
    weight[39, 5] = (levels[3] + levels[4]) / 2  # one weight, beyond the rows that are looked at first
    assert four_bits(weight) is None
    assert four_bits(torch.zeros(4, GROUP + 1)) is None


@pytest.mark.parametrize("outputs", [1, 16, 24, 50])
@pytest.mark.parametrize("rows", [1, 3])
def test_four_bits_multiply_as_the_dense_weights_do(outputs: int, rows: int) -> None:
    weight, x = on_a_grid(outputs, 128, seed=outputs), torch.randn(rows, 128).bfloat16()
    found = four_bits(weight)
    assert found is not None
    expected = x.float() @ weight.t()
    assert_close(int4_product(*found)(x).float(), expected, atol=0.02 * float(expected.abs().max()), rtol=0)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 4), st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_integers_multiply_as_the_weights_of_eight_bits_do(
    outputs: int, inputs: int, rows: int, size: float, seed: int
) -> None:
    if not available("integers"):
        pytest.skip("torch has no such kernel here")
    source = torch.Generator().manual_seed(seed)
    q, scale = eight_bits(torch.randn(outputs, inputs, generator=source))
    x = torch.randn(rows, inputs, generator=source) * size
    x[:, 0] *= 20  # one that stands out, as in real activations
    exact = x.double() @ (q.double() * scale.double().unsqueeze(1)).t()
    step = x.abs().amax(1, keepdim=True).double() / (63 * 126)
    most = step * 0.51 * (q.double() * scale.double().unsqueeze(1)).abs().sum(1)
    assert bool(((integer_product(q, scale)(x).double() - exact).abs() <= most + 1e-5 * exact.abs().max()).all())


def test_a_row_of_zeros_stays_one_in_integers() -> None:
    if not available("integers"):
        pytest.skip("torch has no such kernel here")
    q, scale = eight_bits(torch.randn(8, 32))
    assert torch.equal(integer_product(q, scale)(torch.zeros(2, 32)), torch.zeros(2, 8))


def test_eight_bits_are_off_by_half_a_step_at_the_most() -> None:
    weight = torch.randn(50, 96)
    weight[7] = 0
    q, scale = eight_bits(weight)
    off = (q.float() * scale.float().unsqueeze(1) - weight).abs()
    assert bool((off <= (0.5 + 0.3) * scale.float().unsqueeze(1)).all())  # 0.3: the largest may round beyond 127 steps
    x = torch.randn(2, 96).bfloat16()
    expected = x.float() @ weight.t()
    assert_close(int8_product(weight)(x).float(), expected, atol=0.02 * float(expected.abs().max()), rtol=0)


# ---- in a decoder


def read(decoder: Decoder, tokens: list[int]) -> Tensor:
    """Logits [N, V] of a prompt, all at once."""
    with torch.inference_mode():
        batch = TokenBatch.of_documents([len(tokens)])
        return decoder.head(decoder.hidden(decoder.embed(torch.tensor(tokens)), batch))


def written(decoder: Decoder, tokens: list[int]) -> Tensor:
    """The same one token at a time, as an answer is written."""
    cache = SlotCache(decoder.config, dtype=torch.float32, device=torch.device("cpu"))
    cache.reserve(1, len(tokens))
    rows = []
    with torch.inference_mode():
        for n, token in enumerate(tokens):
            batch = TokenBatch.of_documents([1], starts=[n], store=cache.writer([0], [1]))
            rows.append(decoder.head(decoder.hidden(decoder.embed(torch.tensor([token])), batch)))
            cache.tokens[0].append(token)
    return torch.cat(rows)


TOKENS = [5, 1, 17, 3, 9, 22, 4]


def test_a_prompt_is_read_with_dense_weights_and_an_answer_is_near_it() -> None:
    dense, packed = tiny_decoder(), tiny_decoder()
    quantise(packed)
    assert torch.equal(read(dense, TOKENS), read(packed, TOKENS))
    exact, found = written(dense, TOKENS), written(packed, TOKENS)
    assert not torch.equal(exact, found)
    assert_close(exact, found, atol=0.05, rtol=0.05)


def test_packing_ahead_changes_nothing() -> None:
    late, ahead = tiny_decoder(), tiny_decoder()
    quantise(late)
    quantise(ahead)
    pack_ahead(ahead)
    assert torch.equal(written(late, TOKENS), written(ahead, TOKENS))


def test_a_program_that_leaves_while_weights_are_packed_leaves_in_peace() -> None:
    script = (
        "from nabot.models.quantised import pack_ahead, quantise; from tiny_models import tiny_decoder;"
        "decoder = tiny_decoder(num_hidden_layers=24, intermediate_size=16384);"
        "quantise(decoder); pack_ahead(decoder)"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    child = subprocess.run([sys.executable, "-c", script], env=here, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")


def test_where_gradients_are_wanted_the_dense_weights_count() -> None:
    dense, packed = tiny_decoder(), tiny_decoder()
    quantise(packed)
    for decoder in (dense, packed):
        torch.manual_seed(3)
        attach(decoder, LoraConfig(rank=2))
    tokens, batch = torch.tensor(TOKENS[:1]), TokenBatch.of_documents([1])
    one, other = (d.head(d.hidden(d.embed(tokens), batch)) for d in (dense, packed))
    assert torch.equal(one.detach(), other.detach())


def test_an_adapter_stays_on_top_of_packed_weights() -> None:
    decoder = tiny_decoder()
    quantise(decoder)
    before = written(decoder, TOKENS)
    attach(decoder, LoraConfig(rank=2))
    assert all(isinstance(group, QuantisedGroup) for _, _, group in linear_groups(decoder))
    assert torch.equal(before, written(decoder, TOKENS))  # B is zero
    for group in lora_groups(decoder):
        for weight in group.lora_b.values():
            weight.data.fill_(0.05)
    assert_close(read(decoder, TOKENS), written(decoder, TOKENS), atol=0.1, rtol=0.05)


def test_without_the_kernels_everything_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "available", lambda kind: False)
    dense, same = tiny_decoder(), tiny_decoder()
    quantise(same)
    assert torch.equal(written(dense, TOKENS), written(same, TOKENS))


def test_a_kernel_that_is_not_there_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    quantised.available.cache_clear()
    monkeypatch.delattr(torch, "_weight_int8pack_mm")
    assert not quantised.available("int8")
    quantised.available.cache_clear()


# ---- on the real model


@pytest.fixture(scope="module")
def real(smollm2_gguf: Path) -> Decoder:
    return load_decoder(smollm2_gguf)


def test_the_real_files_linears_are_four_bits_exactly(real: Decoder) -> None:
    groups = [group for _, _, group in linear_groups(real)]
    assert len(groups) == 120
    for group in groups:
        found = four_bits(group.weight.data)
        assert found is not None, group.path
        assert_close(rebuilt(*found), group.weight.data, atol=1e-6, rtol=1e-5)


def test_the_real_model_writes_nearly_the_same_with_packed_weights(real: Decoder, smollm2_gguf: Path) -> None:
    tokens = load_tokenizer(smollm2_gguf).encode(HELD_OUT)
    dense = read(real, tokens).log_softmax(-1)
    quantise(real)
    packed = written(real, tokens).log_softmax(-1)
    divergence = float((dense.exp() * (dense - packed)).sum(-1).mean())
    print(f"{divergence:.2e} nats a token")
    assert divergence <= 1e-2
