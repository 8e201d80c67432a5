"""One tensor of a GGUF file. In: where it stands, out: its weights as numbers, or its bytes as they are."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from nabot.ggufio import GgufTensor
from nabot.models.blocks import Blocks
from nabot.models.dequantise import RowOrder, dequantise_into


@dataclass(frozen=True)
class InFile:
    """One tensor of a file that is not held open: mapped pages would count as this process's memory while it is."""

    path: Path
    info: GgufTensor
    order: RowOrder | None

    def __call__(self, place: Tensor) -> None:
        """Writes the weights, as numbers."""
        with self.path.open("rb") as stream:
            stream.seek(self.info.offset)
            rows = place.view(len(place), -1) if self.order else place  # a bias is a matrix of one column
            dequantise_into(rows, partial(_next_bytes, stream), self.info.kind, self.info.num_bytes, self.order)

    def blocks(self) -> Blocks:
        """The bytes as they are. Blocks end where rows end, so that rows can change places unpacked or not."""
        outputs, inputs = self.info.shape
        with self.path.open("rb") as stream:
            stream.seek(self.info.offset)
            data = _next_bytes(stream, self.info.num_bytes).view(outputs, -1)
        if self.order:
            data = self.order.arranged(data.unflatten(0, (-1, self.order.period))).flatten(0, 1)
        return Blocks(self.info.kind, data, inputs)


def _next_bytes(stream: BinaryIO, num_bytes: int) -> Tensor:
    data = torch.empty(num_bytes, dtype=torch.uint8)
    stream.readinto(data.numpy().data)  # type: ignore[attr-defined]  # all of it: `open_gguf` has measured the file
    return data
