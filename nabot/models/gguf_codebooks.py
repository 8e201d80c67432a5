"""GGUF's blocks of indices into tables → numbers. In: uint8 [blocks, bytes of a block], out: float32 [blocks, …].

IQ4 and FP4 look up one weight at a time, among 16 values; IQ1, IQ2 and IQ3 look up 8 (or 4) weights at once, a row of a
table ("grid") with up to 2,048 rows. Those tables are the ones that the `gguf` package ships; it is imported only when
such a type is met. Layouts stand at the head of each function.   Source: ggml/src/ggml-quants.c, dequantize_row_iq*.
"""

from functools import cache

import torch
from torch import Tensor

from nabot.models.gguf_blocks import Unpack, field, nibbles, scale, shifts

# ggml's kvalues_iq4nl: closer together around zero, as weights are
_IQ4_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
# FP4 (sign, two bits of exponent, one of mantissa), doubled so that all are whole: the scales are halved instead
_FP4_VALUES = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
_IQ1_DELTA = 0.125


def _rows(table: Tensor, indices: Tensor) -> Tensor:
    """Rows of `table` [N, W] at uint8, int16 or int32 indices of any shape: [*indices.shape, W]."""
    return table.index_select(0, indices.reshape(-1).int()).view(*indices.shape, table.shape[1])


@cache
def _grid(kind: str) -> Tensor:
    """The table of an IQ type, from the `gguf` package: float32 [rows, weights of a row]."""
    from gguf import quants

    owner = getattr(quants, kind)
    owner.init_grid()
    return torch.from_numpy(owner.grid.reshape(owner.grid_shape).copy())


@cache
def _signs() -> Tensor:
    """Byte → eight signs, bit i set where weight i is negative: float32 [256, 8] of 1 and -1."""
    return 1.0 - 2.0 * ((torch.arange(256).unsqueeze(1) >> torch.arange(8)) & 1)


@cache
def _even_signs() -> Tensor:
    """Seven bits → eight signs: the eighth makes the number of minuses even. float32 [128, 8]."""
    index = torch.arange(128)
    parity = ((index.unsqueeze(1) >> torch.arange(7)) & 1).sum(1) & 1
    return _signs()[index | (parity << 7)]


@cache
def _pairs(values: tuple[int, ...]) -> Tensor:
    """Byte → the two values at its low and its high nibble: float32 [2, 256]."""
    byte = torch.arange(256)
    table = torch.tensor(values, dtype=torch.float32)
    return torch.stack((table[byte & 15], table[byte >> 4]))


def _looked_up(packed: Tensor, values: tuple[int, ...]) -> Tensor:
    """Bytes of nibbles [blocks, groups, width] → float32 [blocks, groups, 2 · width], low nibbles first."""
    index = packed.reshape(-1).int()
    low, high = (table.index_select(0, index).view(packed.shape) for table in _pairs(values))
    return torch.cat((low, high), dim=2)


def _iq4_nl(blocks: Tensor) -> Tensor:
    """scale f16 · 16 bytes of nibbles"""
    return _looked_up(blocks[:, None, 2:], _IQ4_VALUES).mul_(scale(blocks, 0).unsqueeze(1))


def _iq4_xs(blocks: Tensor) -> Tensor:
    """scale of scales f16 · high two bits of 8 scales · their low nibbles · 8 of 16 bytes of nibbles"""
    high = (field(blocks, 2, 2, torch.int16).int() >> shifts(8, 2)) & 3
    scales = (nibbles(blocks[:, 4:8]) | (high << 4)).float().sub_(32).mul_(scale(blocks, 0))
    values = _looked_up(blocks[:, 8:].reshape(-1, 8, 16), _IQ4_VALUES)
    return values.mul_(scales.unsqueeze(-1))


@cache
def _half_powers() -> Tensor:
    """E8M0 byte → 2^(byte - 128), in float32; the two smallest are subnormal. [256, 1]"""
    byte = torch.arange(256, dtype=torch.int32)
    bits = torch.where(byte < 2, 0x00200000 << byte, (byte - 1) << 23)
    return bits.view(torch.float32).unsqueeze(1)


def _mxfp4(blocks: Tensor) -> Tensor:
    """scale E8M0 · 16 bytes of nibbles"""
    return _looked_up(blocks[:, None, 1:], _FP4_VALUES).mul_(_rows(_half_powers(), blocks[:, :1]))


@cache
def _half_ue4m3() -> Tensor:
    """Unsigned E4M3 byte → half its value, in float32; 0x7F is no number and counts as 0. [256, 1]"""
    byte = torch.arange(256)
    exponent, mantissa = ((byte >> 3) & 15).float(), (byte & 7).float()
    value = torch.where(exponent == 0, mantissa * 2**-9, (1 + mantissa / 8) * torch.exp2(exponent - 7))
    return torch.where((byte == 0) | (byte == 0x7F), 0.0, value * 0.5).unsqueeze(1)


def _nvfp4(blocks: Tensor) -> Tensor:
    """4 scales UE4M3 · 4 of 8 bytes of nibbles"""
    values = _looked_up(blocks[:, 4:].reshape(-1, 4, 8), _FP4_VALUES)
    return values.mul_(_rows(_half_ue4m3(), blocks[:, :4]))


def _seven_bit_signs(words: Tensor) -> Tensor:
    """int32 [blocks, 8] whose low 28 bits are four indices of signs → [blocks, 8, 4, 8]."""
    return _rows(_even_signs(), (words.unsqueeze(-1) >> shifts(4, 7)) & 127)


def _iq2_xxs(blocks: Tensor) -> Tensor:
    """scale f16 · 8 times (4 grid indices · four times 7 bits of signs, 4 bits of scale)"""
    words = field(blocks, 2, 64, torch.int32)[:, 1::2]
    scales = scale(blocks, 0) * (((words >> 28) & 15).float() + 0.5) * 0.25
    values = _rows(_grid("IQ2_XXS"), blocks[:, 2:].reshape(-1, 8, 8)[:, :, :4])
    return values.mul_(_seven_bit_signs(words)).mul_(scales[:, :, None, None])


def _iq2_xs(blocks: Tensor) -> Tensor:
    """scale f16 · 32 times (9 bits of grid index, 7 bits of signs) · 16 scales of four bits"""
    codes = field(blocks, 2, 64, torch.int16).int()
    scales = scale(blocks, 0) * (nibbles(blocks[:, 66:74]) + 0.5) * 0.25
    values = _rows(_grid("IQ2_XS"), codes & 511).mul_(_rows(_even_signs(), (codes >> 9) & 127))
    return values.view(-1, 16, 16).mul_(scales.unsqueeze(-1))


def _iq2_s(blocks: Tensor) -> Tensor:
    """scale f16 · 32 bytes of grid index · 32 bytes of signs · 8 bytes of two more index bits · 16 scales of 4 bits"""
    high = (blocks[:, 66:74].int().unsqueeze(-1) >> shifts(4, 2)) & 3
    index = blocks[:, 2:34] | (high.flatten(1) << 8)
    scales = scale(blocks, 0) * (nibbles(blocks[:, 74:82]) + 0.5) * 0.25
    values = _rows(_grid("IQ2_S"), index).mul_(_rows(_signs(), blocks[:, 34:66]))
    return values.view(-1, 16, 16).mul_(scales.unsqueeze(-1))


def _iq3_xxs(blocks: Tensor) -> Tensor:
    """scale f16 · 64 grid indices · 8 times (four times 7 bits of signs, 4 bits of scale)"""
    words = field(blocks, 66, 32, torch.int32)
    scales = scale(blocks, 0) * (((words >> 28) & 15).float() + 0.5) * 0.5
    values = _rows(_grid("IQ3_XXS"), blocks[:, 2:66]).view(-1, 8, 4, 8)
    return values.mul_(_seven_bit_signs(words)).mul_(scales[:, :, None, None])


def _iq3_s(blocks: Tensor) -> Tensor:
    """scale f16 · 64 bytes of grid index · 8 bytes of ninth bits · 32 bytes of signs · 8 scales of four bits"""
    ninth = (blocks[:, 66:74].int().unsqueeze(-1) >> shifts(8, 1)) & 1
    index = blocks[:, 2:66] | (ninth.flatten(1) << 8)
    scales = scale(blocks, 0) * (nibbles(blocks[:, 106:110]) * 2 + 1)
    values = _rows(_grid("IQ3_S"), index).view(-1, 32, 8).mul_(_rows(_signs(), blocks[:, 74:106]))
    return values.view(-1, 8, 32).mul_(scales.unsqueeze(-1))


def _iq1_s(blocks: Tensor) -> Tensor:
    """scale f16 · 32 bytes of grid index · 8 times (four times 3 more index bits, 3 bits of scale, sign of delta)"""
    words = field(blocks, 34, 16, torch.int16).int()
    high = (words.unsqueeze(-1) >> shifts(4, 3)) & 7
    index = blocks[:, 2:34] | (high.flatten(1) << 8)
    scales = scale(blocks, 0) * (((words >> 12) & 7) * 2 + 1)
    deltas = torch.where(words < 0, -_IQ1_DELTA, _IQ1_DELTA)  # the sign bit of int16
    values = _rows(_grid("IQ1_S"), index).view(-1, 8, 32)
    return values.add_(deltas.unsqueeze(-1)).mul_(scales.unsqueeze(-1))


def _iq1_m(blocks: Tensor) -> Tensor:
    """32 grid indices · 32 times (3 more index bits, sign of delta) · 4 times (4 scales of 3 bits, ¼ of an f16)"""
    words = field(blocks, 48, 8, torch.int16).int()
    quarters = ((words >> 12) & 15) << shifts(4, 4)
    whole = quarters.sum(1, keepdim=True).to(torch.int16).view(torch.float16).float()
    scales = whole * (((words.unsqueeze(-1) >> shifts(4, 3)) & 7).flatten(1) * 2 + 1)
    high = nibbles(blocks[:, 32:48]).int()
    deltas = torch.where(high & 8 == 0, _IQ1_DELTA, -_IQ1_DELTA)
    values = _rows(_grid("IQ1_M"), blocks[:, :32] | ((high & 7) << 8)).add_(deltas.unsqueeze(-1))
    return values.view(-1, 16, 16).mul_(scales.unsqueeze(-1))


CODEBOOK_KINDS: dict[str, Unpack] = {
    "IQ4_NL": _iq4_nl,
    "IQ4_XS": _iq4_xs,
    "MXFP4": _mxfp4,
    "NVFP4": _nvfp4,
    "IQ2_XXS": _iq2_xxs,
    "IQ2_XS": _iq2_xs,
    "IQ2_S": _iq2_s,
    "IQ3_XXS": _iq3_xxs,
    "IQ3_S": _iq3_s,
    "IQ1_S": _iq1_s,
    "IQ1_M": _iq1_m,
}
