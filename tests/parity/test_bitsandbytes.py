"""NF4 agrees with bitsandbytes, whose weights QLoRA was published with."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nabot.models.nf4 import LEVELS, NormalFloat4

theirs = pytest.importorskip("bitsandbytes.functional", reason="bitsandbytes has no wheel for this system")


def weight() -> Tensor:
    return torch.randn(512, 576, generator=torch.Generator().manual_seed(0)) * 0.05


def unpacked(packed: NormalFloat4) -> Tensor:
    place = torch.empty(*packed.shape)
    packed.unpack_into(place, 0)
    return place


def error(found: Tensor) -> float:
    return float((found - weight()).norm() / weight().norm())


def test_the_levels_are_theirs() -> None:
    assert_close(theirs.get_4bit_type("nf4", device="cpu"), torch.tensor(LEVELS), atol=0, rtol=0)


def test_the_same_weights_stand_at_the_same_levels_but_where_the_rounded_scale_moves_the_nearest_one() -> None:
    levels, _ = theirs.quantize_4bit(weight(), quant_type="nf4", blocksize=64)
    same = levels.flatten() == NormalFloat4(weight()).levels.flatten()
    assert same.double().mean() > 0.99  # two weights a byte


def test_no_more_is_lost_than_by_their_double_quantisation() -> None:
    levels, state = theirs.quantize_4bit(weight(), quant_type="nf4", blocksize=64, compress_statistics=True)
    assert error(unpacked(NormalFloat4(weight()))) <= error(theirs.dequantize_4bit(levels, state))
