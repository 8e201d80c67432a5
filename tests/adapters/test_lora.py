"""LoRA on linear groups: its own backward against plain autograd, its arithmetic, what may be targeted."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import random_tokens, tiny_decoder, with_lora
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from nabot.adapters import LoraConfig, fuse, has_learned, lora_groups
from nabot.adapters.lora import LoraGroup, shape_of
from nabot.adapters.lora import attach_lora as attach
from nabot.adapters.lora import detach_lora as detach
from nabot.adapters.lora_linear import LoraLinear, Slot
from nabot.adapters.targets import layer_of
from nabot.errors import ConfigError
from nabot.models.decoder import Decoder
from nabot.models.linear import LinearGroup
from nabot.train.step import trainable

MEMBERS = {"q_proj": 8, "k_proj": 4, "v_proj": 4}  # grouped queries
WIDTH = 6


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Holder(nn.Module):
    def __init__(self, bias: bool = False, seed: int = 0) -> None:
        super().__init__()
        self.qkv = LinearGroup("layer.attention", MEMBERS, WIDTH, bias=bias)
        self.qkv.weight.data.copy_(random(16, WIDTH, seed=seed + 1))
        if self.qkv.bias is not None:
            self.qkv.bias.data.copy_(random(16, seed=seed + 2))


def slots_of(ranks: dict[str, int]) -> tuple[Slot, ...]:
    """Adapted members with these ranks; every one has another scale."""
    slots, row, place = [], 0, 0
    for number, (name, size) in enumerate(MEMBERS.items()):
        if name in ranks:
            rank = slice(row, row + ranks[name])
            slots.append(Slot(name, slice(place, place + size), rank, 0.5 + number))
            row += ranks[name]
        place += size
    return tuple(slots)


def plain_lora(
    x: Tensor, group: LinearGroup, slots: Sequence[Slot], mask: Tensor | None, a: Tensor, *bs: Tensor
) -> Tensor:
    """The formula, one member after the other, for autograd."""
    dropped = x if mask is None else x * mask
    place, pieces = 0, []
    for slot, b in zip(slots, bs, strict=True):
        pieces.append(torch.zeros(len(x), slot.out.start - place, dtype=x.dtype))
        pieces.append(slot.scale * (dropped @ a[slot.rank].t() @ b.t()))
        place = slot.out.stop
    pieces.append(torch.zeros(len(x), len(group.weight) - place, dtype=x.dtype))
    return F.linear(x, group.weight, group.bias) + torch.cat(pieces, 1)


CASES = [
    ({"q_proj": 2, "k_proj": 2, "v_proj": 2}, False, None),
    ({"q_proj": 2, "k_proj": 2, "v_proj": 2}, True, 0.5),
    ({"q_proj": 3, "v_proj": 1}, False, 0.3),
    ({"k_proj": 2}, True, None),
    ({"q_proj": 1, "k_proj": 4, "v_proj": 2}, True, 0.5),
]


def inputs_of(
    ranks: dict[str, int], has_bias: bool, dropout: float | None, x_learns: bool, seed: int = 0
) -> tuple[object, ...]:
    slots = slots_of(ranks)
    x = random(5, WIDTH, seed=seed).requires_grad_(x_learns)
    group = Holder(has_bias, seed).double().qkv
    mask = None if dropout is None else (random(5, WIDTH, seed=seed + 3) > 0).double() / (1 - dropout)
    a = random(slots[-1].rank.stop, WIDTH, seed=seed + 4).requires_grad_()
    bs = [random(MEMBERS[s.name], ranks[s.name], seed=seed + 5 + n).requires_grad_() for n, s in enumerate(slots)]
    return (x, group, slots, mask, a, *bs)


@pytest.mark.parametrize("x_learns", [True, False])  # False: the lowest layer, whose input is frozen
@pytest.mark.parametrize(("ranks", "has_bias", "dropout"), CASES)
def test_the_own_backward_passes_gradcheck(
    ranks: dict[str, int], has_bias: bool, dropout: float | None, x_learns: bool
) -> None:
    x, group, slots, mask, *learning = inputs_of(ranks, has_bias, dropout, x_learns)

    def apply(x: Tensor, *learning: Tensor) -> Tensor:
        return LoraLinear.apply(x, group, slots, mask, *learning)

    assert gradcheck(apply, (x, *learning))


@settings(deadline=None, max_examples=40)
@given(
    ranks=st.dictionaries(st.sampled_from(list(MEMBERS)), st.integers(1, 5), min_size=1),
    has_bias=st.booleans(),
    dropout=st.sampled_from([None, 0.1, 0.5]),
    x_learns=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_it_equals_plain_autograd(
    ranks: dict[str, int], has_bias: bool, dropout: float | None, x_learns: bool, seed: int
) -> None:
    inputs = inputs_of(ranks, has_bias, dropout, x_learns, seed)
    learning = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    ours, twin = LoraLinear.apply(*inputs), plain_lora(*inputs)  # type: ignore[arg-type]
    assert_close(ours, twin, atol=1e-10, rtol=1e-10)
    upstream = random(*ours.shape, seed=seed + 77)
    mine, expected = (torch.autograd.grad(out, learning, upstream) for out in (ours, twin))
    for one, other in zip(mine, expected, strict=True):
        assert_close(one, other, atol=1e-10, rtol=1e-10)


# ---- the group


def lora_group(holder: Holder) -> LoraGroup:
    return next(lora_groups(holder))


@pytest.mark.parametrize("bias", [False, True])
def test_a_group_is_base_plus_scaled_product(bias: bool) -> None:
    holder = Holder(bias).double()
    before = holder.qkv
    config = LoraConfig(
        rank=2, alpha=6, targets="q_proj,v_proj", rank_pattern={"v_proj": 3}, alpha_pattern={"q_proj": 1}
    )
    attach(holder, config)
    x = random(5, WIDTH, seed=9)
    expected = F.linear(x, before.weight, before.bias)
    for name, rank, scale, rows in (("q_proj", 2, 1 / 2, slice(0, 8)), ("v_proj", 3, 6 / 3, slice(12, 16))):
        tensors = {full: (a, b) for full, a, b in lora_group(holder).tensors()}
        a, b = tensors[f"layer.attention.{name}"]
        assert a.shape == (rank, WIDTH)
        b.copy_(random(*b.shape, seed=rank))
        expected[:, rows] += scale * (x @ a.t() @ b.t())
    assert_close(holder.qkv(x, None), expected, atol=1e-10, rtol=1e-10)


OPTIONS = [
    {},
    {"rslora": True},
    {"dora": True},
    {"lora_start": "pissa"},
    {"targets": "v_proj,down_proj"},
    {"bias": "all"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_few_rows_are_answered_as_many_and_after_a_change_as_changed(options: dict[str, Any]) -> None:
    decoder = with_lora(tiny_decoder("gqa", torch.float64), LoraConfig(rank=4, alpha=8, **options))
    tokens_BT = random_tokens(1, 7)
    expected = decoder(tokens_BT).detach()  # with autograd's bookkeeping: the way of many rows
    with torch.no_grad():
        assert_close(decoder(tokens_BT), expected, atol=1e-10, rtol=1e-10)
        next(lora_groups(decoder)).lora_a.mul_(1.5)
        changed = decoder(tokens_BT)
    assert (changed - expected).abs().max() > 1e-6
    assert_close(changed, decoder(tokens_BT).detach(), atol=1e-10, rtol=1e-10)


def test_dropout_acts_in_training_alone_and_keeps_the_mean() -> None:
    holder = Holder().double()
    attach(holder, LoraConfig(rank=2, dropout=0.25))
    for b in lora_group(holder).lora_b.values():
        b.data.copy_(random(*b.shape))
    x = random(3, WIDTH, seed=9)
    still = holder.eval().qkv(x, None)
    assert torch.equal(still, holder.qkv(x, None))
    holder.train()
    torch.manual_seed(0)
    noisy = torch.stack([holder.qkv(x, None) for _ in range(2000)])
    error = noisy.std(0) / 2000**0.5
    assert error.max() > 0
    assert ((noisy.mean(0) - still).abs() <= 5 * error + 1e-12).all()


def test_dropout_of_the_adapter_leaves_the_frozen_path_whole() -> None:
    holder = Holder().double()
    attach(holder, LoraConfig(rank=2, dropout=0.9))
    x = random(3, WIDTH, seed=9)
    assert_close(holder.train().qkv(x, None), F.linear(x, lora_group(holder).base.weight), atol=0, rtol=0)


def test_the_adapter_of_a_bfloat16_base_learns_in_float32() -> None:
    holder = Holder().bfloat16()
    attach(holder, LoraConfig(rank=2))
    holder.qkv(random(3, WIDTH).bfloat16(), None).sum().backward()
    learned = [p for p in holder.parameters() if p.requires_grad]
    assert {p.dtype for p in learned} == {torch.float32}
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in learned)


def test_only_the_adapter_learns() -> None:
    decoder = with_lora(tiny_decoder("both_biases"))
    names = {name for name, p in decoder.named_parameters() if p.requires_grad}
    assert names
    assert all("lora_" in name for name in names)


def test_a_fresh_adapter_has_a_random_a_of_the_usual_size_and_a_zero_b() -> None:
    decoder = tiny_decoder("gqa")
    attach(decoder, LoraConfig(rank=32))
    assert not has_learned(decoder)
    for group in lora_groups(decoder):
        bound = group.base.in_features**-0.5
        for _, a, b in group.tensors():
            assert a.abs().max() <= bound
            assert a.std() == pytest.approx(bound / 3**0.5, rel=0.1)
            assert b.abs().max() == 0


def test_the_same_seed_gives_the_same_start() -> None:
    starts = []
    for _ in range(2):
        torch.manual_seed(5)
        decoder = tiny_decoder("gqa")
        attach(decoder, LoraConfig(rank=2))
        starts.append(torch.cat([a.flatten() for g in lora_groups(decoder) for _, a, _ in g.tensors()]))
    assert torch.equal(*starts)


@pytest.mark.parametrize("scale", [{"alpha": 8.0}, {"alpha": 3.0, "rslora": True}])
def test_pissa_starts_with_the_largest_part_of_the_weights(scale: dict[str, Any]) -> None:
    holder = Holder().double()
    attach(holder, LoraConfig(rank=2, lora_start="pissa", **scale))
    group = lora_group(holder)
    for slot, (_, a, b) in zip(group.slots, group.tensors(), strict=True):
        u, values, vh = torch.linalg.svd(group.base.member(slot.name))
        assert_close(slot.scale * b @ a, u[:, :2] * values[:2] @ vh[:2], atol=1e-10, rtol=0)
        assert_close(a @ a.t(), b.t() @ b, atol=1e-10, rtol=0)  # shared evenly


def test_pissa_of_wide_weights_comes_near_their_largest_part() -> None:
    holder = nn.Module()
    holder.group = LinearGroup("layer", {"up_proj": 300}, 400)
    decay = 0.98 ** torch.arange(300)
    u, v = (torch.linalg.qr(torch.randn(n, 300, generator=torch.Generator().manual_seed(n)))[0] for n in (300, 400))
    holder.group.weight.data.copy_(u * decay @ v.t())
    attach(holder, LoraConfig(rank=16, alpha=16, lora_start="pissa"))
    ((_, a, b),) = next(lora_groups(holder)).tensors()
    expected = u[:, :16] * decay[:16] @ v[:, :16].t()
    assert (b @ a - expected).norm() < 1e-3 * expected.norm()


def test_pissa_has_learned_once_it_has_moved() -> None:
    decoder = tiny_decoder("gqa")
    attach(decoder, PISSA)
    assert not has_learned(decoder)
    next(lora_groups(decoder)).lora_b["v_proj"].data.mul_(1.01)
    assert has_learned(decoder)


def test_the_start_of_pissa_does_not_learn() -> None:
    decoder = tiny_decoder("gqa")
    attach(decoder, LoraConfig(rank=4))
    names = set(trainable(decoder))
    detach(decoder)
    attach(decoder, PISSA)
    assert set(trainable(decoder)) == names


# ---- targets


def adapted(config: LoraConfig) -> dict[str, int]:
    """Module → rank."""
    decoder = tiny_decoder("gqa")
    attach(decoder, config)
    return {name: a.shape[0] for group in lora_groups(decoder) for name, a, _ in group.tensors()}


def test_all_linear_means_every_linear_but_the_head() -> None:
    names = set(adapted(LoraConfig()))
    assert len(names) == 2 * 7
    assert not any("lm_head" in name for name in names)


@pytest.mark.parametrize(
    ("targets", "count"),
    [
        ("q_proj", 2),
        ("q_proj, v_proj", 4),
        ("model.layers.1.mlp.down_proj", 1),
        ("/.*layers\\.1\\..*/", 7),
        ("/.*(gate|up)_proj/", 4),
    ],
)
def test_targets_are_names_or_a_pattern(targets: str, count: int) -> None:
    assert len(adapted(LoraConfig(targets=targets))) == count


@pytest.mark.parametrize("targets", ["q_prj", "q_proj,lm_head", "proj", "/q_proj/", ""])
def test_a_target_that_names_nothing_is_an_error(targets: str) -> None:
    decoder = tiny_decoder("gqa")
    with pytest.raises(ConfigError, match="Known: "):
        attach(decoder, LoraConfig(targets=targets))
    assert not any(lora_groups(decoder))


def test_patterns_set_ranks_by_module() -> None:
    ranks = adapted(LoraConfig(rank=2, rank_pattern={"layers.1.mlp.up_proj": 5, "k_proj": 3}))
    assert ranks["model.layers.1.mlp.up_proj"] == 5
    assert ranks["model.layers.0.mlp.up_proj"] == 2
    assert ranks["model.layers.0.self_attn.k_proj"] == 3


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [("0", {0}), ("1,3", {1, 3}), ("1-3", {1, 2, 3}), (" 0 , 2 - 3 ", {0, 2, 3}), ("", {0, 1, 2, 3})],
)
def test_layers_are_numbers_and_ranges(layers: str, numbers: set[int]) -> None:
    names = shape_of(tiny_decoder("gqa", num_hidden_layers=4), LoraConfig(layers=layers))
    assert {layer_of(name) for name in names} == numbers
    assert len(names) == 7 * len(numbers)


@pytest.mark.parametrize("layers", ["2", "0-2", "1-0", "x", "0,", "-1", "1.0", "0-99999999999"])
def test_layers_that_are_not_there_are_an_error(layers: str) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        attach(tiny_decoder("gqa"), LoraConfig(layers=layers))


def test_a_target_that_is_in_none_of_the_layers_is_an_error() -> None:
    with pytest.raises(ConfigError, match="layers 0"):
        attach(tiny_decoder("gqa"), LoraConfig(targets=r"/.*layers\.1\..*/", layers="0"))


def test_the_way_back_ends_at_the_lowest_layer_that_learns() -> None:
    decoder = with_lora(tiny_decoder("gqa", num_hidden_layers=4), LoraConfig(rank=2, layers="2-3"))
    learns = []
    for block in decoder.layers:
        block.register_forward_hook(lambda _, __, out: learns.append(out.requires_grad))
    decoder(TOKENS_BT)
    assert learns == [False, False, True, True]


@pytest.mark.parametrize("rank_pattern", [{}, {"mlp.up_proj": 65}])
def test_a_rank_above_the_smaller_side_of_a_layer_is_refused_by_name(rank_pattern: dict[str, int]) -> None:
    decoder = tiny_decoder("gqa")  # 64 wide; keys and values 32
    rank = 4 if rank_pattern else 33
    told = "65 is more than .*up_proj has: 64" if rank_pattern else r"33 is more than model\.layers\.0.*k_proj has: 32"
    with pytest.raises(ConfigError, match=told):
        attach(decoder, LoraConfig(rank=rank, rank_pattern=rank_pattern))
    assert not any(lora_groups(decoder))


@pytest.mark.parametrize(
    "other", [{"dora": True}, {"rslora": True}, {"bias": "all"}, {"layers": "0"}, {"lora_start": "pissa"}]
)
def test_each_option_makes_another_shape(other: dict[str, Any]) -> None:
    decoder = tiny_decoder("gqa")
    assert shape_of(decoder, LoraConfig(rank=4, **other)) != shape_of(decoder, LoraConfig(rank=4))


def test_a_second_adapter_is_refused() -> None:
    decoder = with_lora(tiny_decoder("gqa"))
    with pytest.raises(ConfigError, match="already"):
        attach(decoder, LoraConfig())


# ---- identities


TOKENS_BT = random_tokens(2, 19)
SOME = LoraConfig(rank=3, alpha=5, targets="q_proj,down_proj,up_proj", rank_pattern={"q_proj": 1})
DORA = LoraConfig(rank=4, alpha=8, dora=True)
DORA_OF_SOME = LoraConfig(rank=3, alpha=5, targets="k_proj,down_proj", dora=True, rslora=True)
PISSA = LoraConfig(rank=4, alpha=8, lora_start="pissa")
PISSA_OF_SOME = LoraConfig(rank=3, alpha=5, targets="k_proj,down_proj", dora=True, rslora=True, lora_start="pissa")
BIASES = LoraConfig(rank=4, alpha=8, targets="up_proj,k_proj", bias="all")
CONFIGS = [LoraConfig(rank=4, alpha=8), SOME, DORA, DORA_OF_SOME, PISSA, PISSA_OF_SOME, BIASES]


@pytest.mark.parametrize("variant", ["mha", "gqa", "tied", "both_biases"])
@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_a_fresh_adapter_changes_nothing(variant: str, config: LoraConfig) -> None:
    decoder = tiny_decoder(variant, torch.float64)
    before = decoder(TOKENS_BT)
    attach(decoder, config)
    assert not has_learned(decoder)
    tolerance = 1e-10 if config.lora_start == "pissa" else 0  # there, what is added is taken off again
    assert_close(decoder(TOKENS_BT), before, atol=tolerance, rtol=0)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("variant", ["mha", "gqa", "tied", "both_biases"])
@torch.no_grad()
def test_detaching_gives_the_base_back(variant: str, config: LoraConfig) -> None:
    decoder = tiny_decoder(variant, torch.float64)
    before = decoder(TOKENS_BT)
    with_lora(decoder, config)
    assert (decoder(TOKENS_BT) - before).abs().max() > 0.1
    detach(decoder)
    assert torch.equal(decoder(TOKENS_BT), before)
    assert not any(p.requires_grad for p in decoder.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("variant", ["mha", "gqa", "tied", "both_biases"])
@torch.no_grad()
def test_fused_equals_attached(variant: str, config: LoraConfig, dtype: torch.dtype) -> None:
    decoder = with_lora(tiny_decoder(variant, dtype), config)
    attached = decoder(TOKENS_BT)
    fuse(decoder)
    assert not any(lora_groups(decoder))
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5 * attached.abs().max().item()
    assert_close(decoder(TOKENS_BT), attached, atol=tolerance, rtol=0)


def with_biases() -> Decoder:
    decoder = with_lora(tiny_decoder("both_biases", torch.float64), BIASES)
    for group in lora_groups(decoder):
        for _, bias in group.learned_biases():
            bias.add_(random(*bias.shape))
    return decoder


@torch.no_grad()
def test_biases_that_have_learned_are_fused() -> None:
    decoder = with_biases()
    attached = decoder(TOKENS_BT)
    assert len(fuse(decoder)) == 8  # also the groups in which nothing is adapted
    assert_close(decoder(TOKENS_BT), attached, atol=1e-10, rtol=0)


@torch.no_grad()
def test_biases_that_have_learned_are_taken_off() -> None:
    decoder, plain = with_biases(), tiny_decoder("both_biases", torch.float64)
    assert (
        decoder(TOKENS_BT) - with_lora(tiny_decoder("both_biases", torch.float64), BIASES)(TOKENS_BT)
    ).abs().max() > 0.1
    detach(decoder)
    assert torch.equal(decoder(TOKENS_BT), plain(TOKENS_BT))


def test_without_biases_none_learns() -> None:
    decoder = tiny_decoder("gqa")
    attach(decoder, BIASES)
    assert all("lora_" in name for name in trainable(decoder))
    assert len(list(lora_groups(decoder))) == 4


def test_writing_token_by_token_is_what_learning_computes() -> None:
    decoder = with_lora(tiny_decoder("both_biases", torch.float64), DORA)
    for scale in (1.0, 2.0):  # the norms that were kept are of other matrices now
        for group in lora_groups(decoder):
            for _, _, b in group.tensors():
                b.mul_(scale)
        learning = decoder(TOKENS_BT)
        with torch.no_grad():
            assert_close(decoder(TOKENS_BT), learning, atol=1e-10, rtol=0)
