"""Every operator against a plain twin written here, its gradient against finite differences."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import raw_config
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from nabot.models import ops
from nabot.models.attention import PLAIN, Sight, attention, by_documents
from nabot.models.batch import TokenBatch
from nabot.models.config import RopeConfig
from nabot.models.huggingface import config_from

LENGTHS = {
    "one": [7],
    "equal": [5, 5, 5],
    "one_bucket": [3, 16, 1, 9],
    "buckets": [17, 2, 40, 16, 33, 1],
    "on_the_edges": [16, 32, 17, 31, 15],
}


Way = Callable[..., Tensor]
pytestmark = pytest.mark.usefixtures("operators")


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64, grad: bool = True) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    return drawn.requires_grad_(grad)


def grads_of(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradients of a weighted sum, so that every output has a weight of its own."""
    weights = random(*out.shape, seed=99, dtype=out.dtype, grad=False)
    return torch.autograd.grad((out * weights).sum(), inputs)


def assert_same(ours: Tensor, twin: Tensor, *inputs: Tensor) -> None:
    """The same numbers and the same gradients."""
    tolerance = 1e-10 if ours.dtype == torch.float64 else 1e-5
    assert_close(ours, twin, atol=tolerance, rtol=tolerance)
    for mine, expected in zip(grads_of(ours, *inputs), grads_of(twin, *inputs), strict=True):
        assert_close(mine, expected, atol=tolerance, rtol=tolerance)


# ---- RMSNorm


def plain_rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


@pytest.mark.parametrize("learns", [(True, False), (False, True), (True, True)])
def test_rms_norm_passes_gradcheck(learns: tuple[bool, bool]) -> None:
    x, weight = random(5, 8, grad=learns[0]), random(8, seed=1, grad=learns[1])
    assert gradcheck(lambda *given: ops.rms_norm(*given, 1e-5), (x, weight))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rms_norm_equals_its_formula(dtype: torch.dtype) -> None:
    x, weight = random(33, 64, dtype=dtype), random(64, seed=1, dtype=dtype)
    assert_same(ops.rms_norm(x, weight, 1e-5), plain_rms_norm(x, weight, 1e-5), x, weight)


def test_rms_norm_may_have_a_weight_for_each_head() -> None:
    x, weight = random(9, 4, 8), random(4, 8, seed=1)
    assert_same(ops.rms_norm(x, weight, 1e-5), plain_rms_norm(x, weight, 1e-5), x, weight)


def test_rms_norm_of_zeros_is_zero_with_a_finite_gradient() -> None:
    x = torch.zeros(2, 8, dtype=torch.float64, requires_grad=True)
    out = ops.rms_norm(x, torch.ones(8, dtype=torch.float64), 1e-5)
    out.sum().backward()
    assert out.abs().max() == 0
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_rms_norm_in_bfloat16_takes_its_statistics_in_float32() -> None:
    x, weight = random(64, 512, dtype=torch.bfloat16, grad=False), torch.ones(512, dtype=torch.bfloat16)
    exact = plain_rms_norm(x.double(), weight.double(), 1e-5)
    assert_close(ops.rms_norm(x, weight, 1e-5).double(), exact, atol=0, rtol=2**-8)  # one rounding


# ---- rotary embedding


def table_of(positions: Tensor, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return ops.rope_table(positions, ops.rope_frequencies(RopeConfig(), width), dtype)


def plain_rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    (first, second), half = x.chunk(2, -1), x.shape[-1] // 2
    turned = torch.complex(first, second) * torch.complex(table[0][..., half:], table[1][..., half:])
    return torch.cat((turned.real, turned.imag), -1)


def test_rotate_passes_gradcheck() -> None:
    table = table_of(torch.arange(5), 6, torch.float64)
    assert gradcheck(lambda x: ops.rotate(x, table), (random(5, 3, 6),))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rotate_is_a_complex_product(dtype: torch.dtype) -> None:
    x, table = random(9, 4, 16, dtype=dtype), table_of(torch.arange(9), 16, dtype)
    assert_same(ops.rotate(x, table), plain_rotate(x, table), x)


def test_rotate_reads_slices_of_a_wider_tensor() -> None:
    wide, table = random(9, 12, 16), table_of(torch.arange(9), 16, torch.float64)
    assert_same(ops.rotate(wide[:, 2:9], table), plain_rotate(wide[:, 2:9], table), wide)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    q, k = random(1, 1, 16, grad=False), random(1, 1, 16, seed=1, grad=False)

    def product(at: int, other: int) -> Tensor:
        tables = (table_of(torch.tensor([n]), 16, torch.float64) for n in (at, other))
        return (ops.rotate(q, next(tables)) * ops.rotate(k, next(tables))).sum()

    assert_close(product(3, 1), product(103, 101), atol=1e-4, rtol=0)  # angles are float32


@pytest.mark.parametrize("variant", ["mha", "rope_linear", "rope_llama3", "other_theta"])
def test_frequencies_equal_those_of_transformers(variant: str) -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    raw = raw_config(variant)
    theirs = LlamaRotaryEmbedding(LlamaConfig(**{k: raw[k] for k in raw if k not in ("architectures", "model_type")}))
    config = config_from(raw, Path())
    assert_close(ops.rope_frequencies(config.rope, config.head_width), theirs.inv_freq, atol=0, rtol=1e-6)


# ---- SwiGLU


def plain_swiglu(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, -1)
    return gate * torch.sigmoid(gate) * up


def test_swiglu_passes_gradcheck() -> None:
    assert gradcheck(ops.swiglu, (random(5, 12),))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_swiglu_equals_its_formula(dtype: torch.dtype) -> None:
    x = (3 * random(33, 96, grad=False)).to(dtype).requires_grad_()
    assert_same(ops.swiglu(x), plain_swiglu(x), x)


def plain_geglu(x: Tensor) -> Tensor:
    gate, up = x.chunk(2, -1)
    return 0.5 * gate * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (gate + 0.044715 * gate**3))) * up


def test_geglu_passes_gradcheck() -> None:
    assert gradcheck(ops.geglu, (random(5, 12),))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_geglu_equals_its_formula(dtype: torch.dtype) -> None:
    x = (3 * random(33, 96, grad=False)).to(dtype).requires_grad_()
    assert_same(ops.geglu(x), plain_geglu(x), x)


# ---- attention


def plain_attention(
    q: Tensor, k: Tensor, v: Tensor, lengths: list[int], shared: int = 0, sight: Sight = PLAIN
) -> Tensor:
    """One dense mask over the whole run, every head with keys and values of its own; document −1 is seen by all."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    document = torch.repeat_interleave(torch.arange(-1, len(lengths)), torch.tensor([shared, *lengths]))
    other = (document[:, None] != document[None, :]) & (document[None, :] >= 0)
    hidden = other | torch.ones(len(document), len(document)).triu(1).bool()
    if sight.window:
        at = torch.cat([torch.arange(shared), *(torch.arange(shared, shared + n) for n in lengths)])
        hidden |= at[:, None] - at[None, :] >= sight.window
    scores = torch.einsum("nhe,mhe->hnm", q, k) / q.shape[-1] ** 0.5
    if sight.slopes:
        at = torch.cat([torch.arange(shared), *(torch.arange(shared, shared + n) for n in lengths)])
        scores = scores + torch.tensor(sight.slopes).view(-1, 1, 1) * (at[None, :] - at[:, None])
    if sight.soft_cap:
        scores = sight.soft_cap * torch.tanh(scores / sight.soft_cap)
    return torch.einsum("hnm,mhe->nhe", scores.masked_fill(hidden, -torch.inf).softmax(-1), v)


def qkv(tokens: int, heads: int, kv_heads: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    return (
        random(tokens, heads, width, seed=1, dtype=dtype),
        random(tokens, kv_heads, width, seed=2, dtype=dtype),
        random(tokens, kv_heads, width, seed=3, dtype=dtype),
    )


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("shape", LENGTHS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("way", [attention, by_documents])
def test_attention_equals_a_dense_mask(way: Way, shape: str, kv_heads: int, dtype: torch.dtype) -> None:
    lengths = LENGTHS[shape]
    inputs = qkv(sum(lengths), 4, kv_heads, 8, dtype)
    ours = way(*inputs, TokenBatch.of_documents(lengths), 0)
    assert_same(ours, plain_attention(*inputs, lengths), *inputs)


@pytest.mark.parametrize("shared", [0, 3])
@pytest.mark.parametrize("lengths", [[3, 3], [4, 1, 2], [17, 2]])
def test_attention_passes_gradcheck(lengths: list[int], shared: int) -> None:
    batch = TokenBatch.of_documents(lengths, shared=shared)
    inputs = qkv(shared + sum(lengths), 2, 1, 2, torch.float64)
    many = sum(lengths) > 10  # then along random directions, not number by number
    assert gradcheck(lambda q, k, v: attention(q, k, v, batch, 0), inputs, fast_mode=many)


@pytest.mark.parametrize("kv_heads", [4, 1])
@pytest.mark.parametrize("shape", LENGTHS)
@pytest.mark.parametrize("shared", [1, 5, 40])
@pytest.mark.parametrize("way", [attention, by_documents])
def test_a_shared_beginning_is_seen_by_every_document(way: Way, shape: str, kv_heads: int, shared: int) -> None:
    lengths = LENGTHS[shape]
    inputs = qkv(shared + sum(lengths), 4, kv_heads, 8, torch.float64)
    ours = way(*inputs, TokenBatch.of_documents(lengths, shared=shared), 0)
    assert_same(ours, plain_attention(*inputs, lengths, shared), *inputs)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    shared=st.integers(0, 9),
    window=st.integers(0, 50),
    soft_cap=st.sampled_from([0.0, 0.7]),
    step=st.sampled_from([1, 8, 256]),
)
@settings(max_examples=40, deadline=None)
def test_windows_and_soft_caps_equal_a_dense_mask(
    lengths: list[int], shared: int, window: int, soft_cap: float, step: int
) -> None:
    sight = Sight(window, soft_cap)
    inputs = qkv(shared + sum(lengths), 4, 2, 8, torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nabot.models.attention._QUERIES_AT_ONCE", step)
        ours = attention(*inputs, TokenBatch.of_documents(lengths, shared=shared), 0, sight)
    assert_same(ours, plain_attention(*inputs, lengths, shared, sight), *inputs)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    shared=st.integers(0, 9),
    window=st.sampled_from([0, 5]),
    kv_heads=st.sampled_from([1, 4]),
)
@settings(max_examples=30, deadline=None)
def test_scores_that_fall_with_distance_equal_a_dense_bias(
    lengths: list[int], shared: int, window: int, kv_heads: int
) -> None:
    sight = Sight(window, slopes=(0.5, 0.25, 0.125, 0.0625))
    inputs = qkv(shared + sum(lengths), 4, kv_heads, 8, torch.float64)
    ours = attention(*inputs, TokenBatch.of_documents(lengths, shared=shared), 0, sight)
    assert_same(ours, plain_attention(*inputs, lengths, shared, sight), *inputs)


@torch.no_grad()
def test_far_distances_do_not_collide_in_bfloat16() -> None:
    sight, lengths = Sight(slopes=(0.5, 1.0)), [600, 3]
    q, k, v = (x.bfloat16() for x in qkv(603, 2, 2, 8, torch.float64))
    ours = attention(q, k, v, TokenBatch.of_documents(lengths), 0, sight)
    exact = plain_attention(q.float(), k.float(), v.float(), lengths, sight=sight)
    assert_close(ours.float(), exact, atol=0.03, rtol=0.02)


@pytest.mark.parametrize("heads", [1, 4, 6, 12, 32, 71])
def test_slopes_are_those_of_transformers(heads: int) -> None:
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    theirs = build_mpt_alibi_tensor(heads, 2)[:, 0, 0]  # at a distance of one
    assert_close(torch.tensor(ops.alibi_slopes(heads, 8)), -theirs)


def test_no_document_sees_another_one() -> None:
    lengths = [5, 18, 9]
    batch = TokenBatch.of_documents(lengths)
    inputs = qkv(sum(lengths), 4, 2, 8, torch.float64)
    out = attention(*inputs, batch, 0)
    for q_grad in torch.autograd.grad(out[5:23].sum(), inputs):
        assert q_grad[:5].abs().max() == 0
        assert q_grad[23:].abs().max() == 0
        assert q_grad[5:23].abs().max() > 0


def test_documents_without_tokens_change_nothing() -> None:
    inputs = qkv(20, 4, 2, 8, torch.float64)
    with_empty = attention(*inputs, TokenBatch.of_documents([0, 13, 0, 7]), 0)
    assert_close(with_empty, attention(*inputs, TokenBatch.of_documents([13, 7]), 0), atol=0, rtol=0)
