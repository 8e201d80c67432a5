"""Weights that stay in the blocks of GGUF. In: a tensor's bytes as the file has them, or numbers; out: a packed weight.

So a person tunes on exactly the file that they run. The same blocks serve where weights come as numbers and are to
take 8 bits (`eight_bits`): GGUF's Q8_0 is one scale for 32 weights, several times as close as one scale a row.
"""

import torch
from torch import Tensor

from nabot.errors import CheckpointError, ConfigError
from nabot.models.dequantise import KNOWN_KINDS, dequantise_into, reader
from nabot.models.packed import PIECE, PackedWeight
from nabot.text import say

_Q8_0 = "Q8_0"
_GROUP, _BYTES = 32, 34  # weights of a row that share a scale, and what they take
_ROWS_AT_ONCE = 1024


class Blocks(PackedWeight):
    """A weight of any type in KNOWN_KINDS: `data` uint8 [O, bytes of a row], rows in the order of Hugging Face."""

    data: Tensor

    def __init__(self, kind: str, data: Tensor, in_features: int) -> None:
        super().__init__()
        if kind not in KNOWN_KINDS:
            raise CheckpointError(say("dequantise.kind", kind=kind, known=", ".join(KNOWN_KINDS)))
        self.kind, self.shape = kind, (len(data), in_features)
        self.register_buffer("data", data)

    def unpack_into(self, place: Tensor, start: int) -> None:
        data = self.data[start : start + len(place)]
        rows_at_once = max(PIECE // self.shape[1], 1)
        for rows, some in zip(place.split(rows_at_once), data.split(rows_at_once), strict=True):
            dequantise_into(rows, reader(some.view(-1)), self.kind, some.numel())

    def repacked(self, weight_OD: Tensor) -> "Blocks | None":
        import gguf

        try:
            data = gguf.quants.quantize(weight_OD.float().cpu().numpy(), gguf.GGMLQuantizationType[self.kind])
        except NotImplementedError:
            return None
        return Blocks(self.kind, torch.from_numpy(data.view("uint8")), weight_OD.shape[1])


def eight_bits(weight_OD: Tensor) -> Blocks:
    """The nearest blocks of Q8_0: q · scale, q in -127..127, the scale a float16.

    Raises ConfigError if the rows are not whole blocks.   Source: ggml/src/ggml-quants.c, quantize_row_q8_0_ref.
    """
    outputs, inputs = weight_OD.shape
    if inputs % _GROUP:
        raise ConfigError(say("models.pack_width", width=inputs, bits="int8", group=_GROUP))
    data = torch.empty(outputs, inputs // _GROUP * _BYTES, dtype=torch.uint8, device=weight_OD.device)
    for weight, place in zip(weight_OD.split(_ROWS_AT_ONCE), data.split(_ROWS_AT_ONCE), strict=True):
        place.view(-1, _BYTES).copy_(_q8_0(weight.float().reshape(-1, _GROUP)))
    return Blocks(_Q8_0, data, inputs)


def _q8_0(weight_GE: Tensor) -> Tensor:
    scale_G1 = weight_GE.abs().amax(1, keepdim=True) / 127
    inverse_G1 = torch.where(scale_G1 > 0, 1 / scale_G1, 0.0)
    q_GE = (weight_GE * inverse_G1).round_().to(torch.int8)
    return torch.cat([scale_G1.half().view(torch.uint8), q_GE.view(torch.uint8)], 1)
