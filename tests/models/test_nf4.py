"""NormalFloat of 4 bits: the published table, the nearest level, the promised bits."""

from statistics import NormalDist

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nabot.models.nf4 import LEVELS, NormalFloat4


def whole(packed: NormalFloat4) -> Tensor:
    return unpacked(packed, 0, packed.shape[0])


def unpacked(packed: NormalFloat4, start: int, stop: int) -> Tensor:
    place = torch.full((stop - start, packed.shape[1]), torch.nan)
    packed.unpack_into(place, start)
    return place


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def in_blocks(weight: Tensor) -> Tensor:
    flat = weight.flatten()
    return torch.nn.functional.pad(flat, (0, -len(flat) % 64)).view(-1, 64)


def test_the_levels_are_quantiles_of_a_normal_distribution() -> None:
    # QLoRA §3 and `create_normal_map` of bitsandbytes: 8 levels above zero, 7 below, an offset that keeps the ends finite
    offset = 1 - (1 / 30 + 1 / 32) / 2

    def quantiles(levels: int) -> list[float]:
        return [NormalDist().inv_cdf(offset + (0.5 - offset) * n / levels) for n in range(levels)]

    raw = torch.tensor(sorted([*quantiles(8), 0.0, *(-q for q in quantiles(7))]), dtype=torch.float64)
    assert_close(torch.tensor(LEVELS, dtype=torch.float64), raw / raw.max(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(64, 64), (50, 96), (3, 20), (1, 7), (600, 576)])
def test_every_weight_is_at_the_level_that_is_nearest(shape: tuple[int, int]) -> None:
    weight, table = normal(*shape), torch.tensor(LEVELS)
    found, given = in_blocks(whole(NormalFloat4(weight))), in_blocks(weight)
    meant, scale = (blocks.abs().amax(1, keepdim=True) for blocks in (given, found))  # the largest is at level ±1
    # a scale itself has 8 bits: 254 steps between the least and the greatest of 256 of them
    assert float((scale - meant).abs().max()) <= 0.501 * float(meant.max() - meant.min()) / 254 + 1e-6
    nearest = (given.unsqueeze(-1) / scale.unsqueeze(-1) - table).abs().argmin(-1)
    assert_close(found, table[nearest] * scale)


def test_a_weight_costs_little_more_than_four_bits() -> None:
    packed = NormalFloat4(torch.randn(1024, 1024))
    stored = sum(buffer.numel() * buffer.element_size() for buffer in packed.buffers())
    assert 8 * stored / 2**20 < 4.14


def test_weights_that_are_zero_or_all_equal_come_back() -> None:
    for value in (0.0, -0.25, 3.0):
        weight = torch.full((4, 96), value)
        assert_close(whole(NormalFloat4(weight)), weight)


def test_parts_are_the_rows_of_the_whole() -> None:
    packed = NormalFloat4(normal(333, 100))
    parts = [unpacked(packed, start, min(start + 64, 333)) for start in range(0, 333, 64)]
    assert torch.equal(torch.cat(parts), whole(packed))


def test_large_weights_are_packed_part_by_part_as_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = normal(700, 64)
    at_once = whole(NormalFloat4(weight))
    monkeypatch.setattr("nabot.models.nf4._GROUPS_AT_ONCE", 1)
    assert torch.equal(whole(NormalFloat4(weight)), at_once)
