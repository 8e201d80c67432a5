"""LayerNorm, for decoders older than RMSNorm. In: x_ND, out: the same, normed.

Source: Ba et al. 2016, arXiv 1607.06450.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nabot.models.decoder import Norm


class LayerNorm(Norm):
    """(x - mean) / √(variance + eps) · weight (+ bias)."""

    def __init__(self, path: str, width: int, eps: float, *, bias: bool) -> None:
        super().__init__(path, width, eps)
        self.bias = nn.Parameter(torch.empty(width), requires_grad=False) if bias else None

    def forward(self, x_ND: Tensor) -> Tensor:
        return F.layer_norm(x_ND, self.weight.shape, self.weight, self.bias, self.eps)

    def slots(self) -> Iterator[tuple[str, Tensor]]:
        yield from super().slots()
        if self.bias is not None:
            yield f"{self.path}.bias", self.bias.data
