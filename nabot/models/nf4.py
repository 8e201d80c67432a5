"""4-bit NormalFloat: 16 levels where weights of a normal distribution are equally likely. In: numbers, out: a packed weight.

A level for each weight, a scale for 64 weights, and the scales themselves in 8 bits, a step and a middle for 256 of
them: 4.13 bits a weight.   Source: Dettmers et al. 2023, QLoRA, arXiv 2305.14314 §3 and appendix E.
"""

from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from nabot.models.packed import PIECE, PackedWeight

LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
_BLOCK = 64  # weights that share a scale
_SCALES = 256  # scales that share a step and a middle
_GROUPS_AT_ONCE = 64  # of blocks that share a step: bounds the temporaries


class NormalFloat4(PackedWeight):
    """`levels` uint8 [B, 32]: two weights a byte, the first in the high half; blocks run over the ends of rows, as
    bitsandbytes has them, and the last is filled up with zeros. `scales` int8 [S, 256], `steps` float32 [S, 2]: the
    scale of a block is middle + scales · step.
    """

    levels: Tensor
    scales: Tensor
    steps: Tensor

    def __init__(self, weight_OD: Tensor) -> None:
        super().__init__()
        outputs, inputs = weight_OD.shape
        self.shape = (outputs, inputs)
        flat = weight_OD.reshape(-1)
        blocks_BE = F.pad(flat, (0, -len(flat) % _BLOCK)).view(-1, _BLOCK)
        groups = -(-len(blocks_BE) // _SCALES)
        place = partial(torch.empty, device=weight_OD.device)
        self.register_buffer("levels", place(len(blocks_BE), _BLOCK // 2, dtype=torch.uint8))
        self.register_buffer("scales", place(groups, _SCALES, dtype=torch.int8))
        self.register_buffer("steps", place(groups, 2))
        for first in range(0, groups, _GROUPS_AT_ONCE):
            some = slice(first, first + _GROUPS_AT_ONCE)
            blocks = slice(first * _SCALES, some.stop * _SCALES)
            self.levels[blocks], self.scales[some], self.steps[some] = _packed(blocks_BE[blocks].float())

    def unpack_into(self, place: Tensor, start: int) -> None:
        inputs = self.shape[1]
        rows_at_once = max(PIECE // inputs // _BLOCK, 1) * _BLOCK
        for rows in place.split(rows_at_once):
            first, last = start * inputs // _BLOCK, -(-(start + len(rows)) * inputs // _BLOCK)
            pairs = _pairs(place.device).index_select(0, self.levels[first:last].view(-1).int())
            weight_BE = pairs.view(-1, _BLOCK).mul_(self._scales(first, last))
            rows.copy_(weight_BE.view(-1)[: rows.numel()].view_as(rows))
            start += len(rows)

    def repacked(self, weight_OD: Tensor) -> "NormalFloat4":
        return NormalFloat4(weight_OD)

    def _scales(self, first: int, last: int) -> Tensor:
        """Of the blocks from first to last, [blocks, 1]."""
        groups = slice(first // _SCALES, -(-last // _SCALES))
        before = groups.start * _SCALES
        return _unpacked_scales(self.scales[groups], self.steps[groups])[first - before : last - before]


def _packed(weight_BE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`levels`, `scales` and `steps` of these blocks."""
    scales_SG, steps_S2 = _packed_scales(weight_BE.abs().amax(1))
    # Levels are chosen for the scales that will be used, not for those that were meant.
    used_B1 = _unpacked_scales(scales_SG, steps_S2)[: len(weight_BE)]
    share_BE = weight_BE / torch.where(used_B1 > 0, used_B1, 1.0)
    table = torch.tensor(LEVELS, device=weight_BE.device)
    level_BE = torch.bucketize(share_BE, (table[1:] + table[:-1]) / 2, out_int32=True).to(torch.uint8)
    return (level_BE[:, ::2] << 4) | level_BE[:, 1::2], scales_SG, steps_S2


def _packed_scales(scale_B: Tensor) -> tuple[Tensor, Tensor]:
    """The second quantisation: scales are positive, so that steps count from their middle (§3, "Double Quantization")."""
    scale_SG = F.pad(scale_B, (0, -len(scale_B) % _SCALES), value=float(scale_B.mean())).view(-1, _SCALES)
    low_S1, high_S1 = scale_SG.amin(1, keepdim=True), scale_SG.amax(1, keepdim=True)
    middle_S1, step_S1 = (low_S1 + high_S1) / 2, (high_S1 - low_S1) / 254
    away_SG = (scale_SG - middle_S1) / torch.where(step_S1 > 0, step_S1, 1.0)
    return away_SG.round_().to(torch.int8), torch.cat([middle_S1, step_S1], 1)


def _unpacked_scales(scales_SG: Tensor, steps_S2: Tensor) -> Tensor:
    """[256 · S, 1]"""
    middle_S1, step_S1 = steps_S2.split(1, 1)
    return (middle_S1 + scales_SG * step_S1).view(-1, 1)


@cache
def _pairs(device: torch.device) -> Tensor:
    """Byte → its two levels, float32 [256, 2]."""
    table = torch.tensor(LEVELS, device=device)
    return torch.cartesian_prod(table, table)
