"""One packed product on its own, for decoders that are not known whole. In: rows, out: rows."""

import numpy as np
import torch
from torch import Tensor

from nabot.models.compiled.crew import crew
from nabot.models.compiled.packing import Packed
from nabot.models.compiled.products import BLOCK, TILE
from nabot.models.compiled.step import multiply_alone


def product(x_ND: Tensor, packed: Packed) -> Tensor:
    """x Wᵀ [N, O], of x's dtype."""
    x = x_ND.detach().float().contiguous().numpy()
    y_NO = torch.zeros(len(x), packed.tiles * TILE)
    rounded = np.empty((packed.blocks, len(x), BLOCK), np.int16)
    scale = np.empty((packed.blocks, len(x), 2), np.float32)
    address = packed.records.data_ptr()
    crew().run(multiply_alone, packed.bits, address, packed.blocks, packed.tiles, x, rounded, scale, y_NO.numpy())
    return y_NO[:, : packed.outputs].to(x_ND.dtype)
