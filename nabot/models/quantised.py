"""Linears of few bits a weight, for a handful of rows. In: a decoder, out: the same decoder, quicker at writing.

Writing one token reads every weight once, so memory sets its speed, and a weight of 4 or 8 bits is read four or eight
times as fast as one of 32. Many rows at once (a prompt, a batch that is tuned) use each weight many times and stay with
the dense ones, which are kept beside the packed.

4 bits: q · scale + zero, one pair for 32 weights of a row; used where that loses nothing, which is so for the files that
store them like this (GGUF's Q4_0, Q4_1 and Q4_K). 8 bits: one scale a row. The kernels are private operators of torch,
or some that it will drop: `available` tries them, and where one is missing the next best product is used.
"""

import warnings
from collections.abc import Callable
from functools import cache
from threading import Lock, Thread, main_thread

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.linear import LinearGroup, linear_groups
from nabot.models.packed import PackedGroup

GROUP = 32  # weights of a row that share scale and zero: the blocks of GGUF
FEW_ROWS = 4  # above, the dense product is faster (docs/log.md, 2026-11-23)
_LEVELS = 15  # steps between the lowest and the highest of 16 levels
_OFF_LEVEL = 0.1  # of a step: what bfloat16 makes of a level; weights on no grid are off by up to a half
_SAMPLE = 16  # rows that show whether weights have levels at all
_ROWS_AT_ONCE = 1024  # few enough that a processor's cache holds them from one operation to the next
_TILE = 16  # the 4-bit kernel takes a multiple of this many outputs
_MANY_WEIGHTS = 1 << 22  # below, what integers win is lost to splitting x
_STEPS = 63  # of 7 bits with a sign, the same to both sides; the range itself goes one further
_ENDS = (-63.0, 64.0)
_LEAST = torch.finfo(torch.float32).tiny

Product = Callable[[Tensor], Tensor]


class QuantisedGroup(LinearGroup):
    """A linear group that multiplies a few rows by its packed weights and many by its dense ones.

    The weights are packed when they are first needed so, or before, in the background (`pack_ahead`). A frozen base
    that is packed already (`nabot.models.packed`) is packed a second time, because the kernels want a form of their own.
    """

    def __init__(self, dense: LinearGroup) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(vars(dense))  # it is the same group, with the same weights, and can do more
        self._product: Product | None = None
        self._is_packed = False
        self._packing = Lock()

    def note_change(self) -> None:
        with self._packing:
            self._product, self._is_packed = None, False

    def pack(self) -> None:
        """Once; whoever comes meanwhile waits."""
        with self._packing:
            if not self._is_packed:
                self._product, self._is_packed = packed(self.weight.data), True

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        if not self._takes(x_ND, batch):
            return super().forward(x_ND, batch)
        if not self._is_packed:
            self.pack()
        if self._product is None:
            return super().forward(x_ND, batch)
        y = self._product(x_ND)
        return y if self.bias is None else y.add_(self.bias)

    def _takes(self, x_ND: Tensor, batch: TokenBatch | None) -> bool:
        # A prompt of a few tokens is dense, too: only where answers are written does speed matter, and the first
        # token need not wait for weights to be packed. Whoever asks the head without a batch asks by the row.
        return (batch is None or batch.writes) and x_ND.shape[0] <= FEW_ROWS and not torch.is_grad_enabled()


class QuantisedPackedGroup(QuantisedGroup, PackedGroup):
    """The same on weights that are unpacked for many rows."""


def quantise(decoder: Decoder) -> None:
    """Gives every linear of the decoder, and its head, packed weights for a few rows. Does nothing off the CPU.

    Whoever changes dense weights afterwards says so by `note_change`, as `overwrite` does.
    """
    if decoder.embedding.device.type != "cpu" or not (available("int8") or available("int4")):
        return
    if decoder.output is None:
        decoder.output = _tied_head(decoder)
    for owner, name, group in list(linear_groups(decoder)):
        kind = QuantisedPackedGroup if isinstance(group, PackedGroup) else QuantisedGroup
        setattr(owner, name, kind(group))


def pack_ahead(decoder: Decoder) -> None:
    """Packs in the background, so that a person who still types waits for nothing later; the head first."""
    groups = [m for m in decoder.modules() if isinstance(m, QuantisedGroup)]
    groups.sort(key=lambda group: group.path != "")

    def work() -> None:
        for group in groups:
            if not main_thread().is_alive():
                return  # the program is leaving, and waits for this thread: one cut off inside torch would crash it
            group.pack()

    Thread(target=work, name="nabot-pack").start()


def _tied_head(decoder: Decoder) -> LinearGroup:
    with torch.device("meta"):
        head = LinearGroup("", {"lm_head": decoder.config.vocab_size}, decoder.config.width)
    head.weight = decoder.embedding
    return head


@torch.inference_mode()
def packed(weight_OD: Tensor) -> Product | None:
    """The product with these weights, x [N, D] → [N, O], of x's dtype; None: there is only the dense one."""
    grid = four_bits(weight_OD) if available("int4") else None
    if grid is not None:
        return int4_product(*grid)
    return int8_product(weight_OD) if available("int8") else None


# ---- 4 bits


def four_bits(weight_OD: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """q [O, D] in 0..15, scale and zero [D / 32, O]: weight = (q - 8) · scale + zero; None if the weights are finer."""
    outputs, inputs = weight_OD.shape
    if inputs % GROUP or _levels(weight_OD[:_SAMPLE]) is None:
        return None
    found = _levels(weight_OD)
    if found is None:
        return None
    level_32G, low_G, step_G = found
    q_OD = level_32G.t().reshape(outputs, inputs)
    scale_GO, zero_GO = (x.view(outputs, -1).t() for x in (step_G, low_G + 8 * step_G))
    return q_OD, scale_GO, zero_GO


def _levels(weight_OD: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Level in 0..15 [32, G], lowest weight and step [G] of each group; None if one has more than 16 levels."""
    # The weights of a group stand apart, so that what is done to all groups runs along memory.
    weight_32G = weight_OD.float().reshape(-1, GROUP).t().contiguous()
    low_G, high_G = weight_32G.amin(0), weight_32G.amax(0)
    span_G = (high_G - low_G).clamp_(min=torch.finfo(torch.float32).tiny)
    step_G = span_G / _LEVELS
    place_32G = weight_32G.sub_(low_G).div_(step_G)
    level_32G = place_32G.round()
    open_M = (_off_level(place_32G, level_32G)).nonzero().squeeze(1)
    for levels in range(_LEVELS - 1, 0, -1):  # a group need not use both of its outermost levels
        if not len(open_M):
            break
        place_32M = place_32G[:, open_M] * (levels / _LEVELS)
        level_32M = place_32M.round()
        off_M = _off_level(place_32M, level_32M)
        fits_M = open_M[~off_M]
        level_32G[:, fits_M] = level_32M[:, ~off_M]
        step_G[fits_M] = span_G[fits_M] / levels
        open_M = open_M[off_M]
    return None if len(open_M) else (level_32G.int(), low_G, step_G)


def _off_level(place_32G: Tensor, level_32G: Tensor) -> Tensor:
    return (place_32G - level_32G).abs_().amax(0) > _OFF_LEVEL


def int4_product(q_OD: Tensor, scale_GO: Tensor, zero_GO: Tensor) -> Product:
    """x ↦ x Wᵀ of 4-bit weights, as `four_bits` gives them. Outputs are padded to what the kernel takes."""
    outputs = len(q_OD)
    extra = -outputs % _TILE
    packed_weight = torch._convert_weight_to_int4pack_for_cpu(F.pad(q_OD, (0, 0, 0, extra)).contiguous(), 1)
    scale_and_zero = F.pad(torch.stack([scale_GO, zero_GO], -1), (0, 0, 0, extra)).bfloat16().contiguous()

    def product(x_ND: Tensor) -> Tensor:
        y_NO = torch._weight_int4pack_mm_for_cpu(x_ND.bfloat16(), packed_weight, GROUP, scale_and_zero).to(x_ND)
        return y_NO[:, :outputs] if extra else y_NO

    return product


# ---- 8 bits


def eight_bits(weight_OD: Tensor) -> tuple[Tensor, Tensor]:
    """q [O, D] int8 and scale [O] bfloat16: weight ≈ q · scale."""
    q_OD = torch.empty(weight_OD.shape, dtype=torch.int8)
    scale_O = torch.empty(len(weight_OD), dtype=torch.bfloat16)
    for weight, q, scale in zip(*(x.split(_ROWS_AT_ONCE) for x in (weight_OD, q_OD, scale_O)), strict=True):
        low, high = weight.aminmax(dim=1)
        scale.copy_(torch.maximum(-low, high).div_(127))
        step = torch.where(scale > 0, scale.float(), 1.0).unsqueeze(1)
        q.copy_((weight / step).round_().clamp_(-127, 127))
    return q_OD, scale_O


def int8_product(weight_OD: Tensor) -> Product:
    """x ↦ x Wᵀ with weights of 8 bits."""
    q_OD, scale_O = eight_bits(weight_OD)
    if weight_OD.numel() >= _MANY_WEIGHTS and available("integers"):
        return integer_product(q_OD, scale_O)
    return lambda x_ND: torch._weight_int8pack_mm(x_ND.bfloat16(), q_OD, scale_O).to(x_ND)


def integer_product(q_OD: Tensor, scale_O: Tensor) -> Product:
    """The same in integers, which takes 0.6 to 0.8 of the time; only x is rounded, to a 16,000th of the largest in its row.

    The kernel takes whole numbers of 7 bits, and finds out itself what their range is. So x goes in as two rows, whole
    steps and what these leave, and two columns of no weight hold the ends of the range.
    """
    q_OI = F.pad(q_OD, (0, len(_ENDS)))
    weight = torch._make_per_channel_quantized_tensor(q_OI, scale_O.double(), torch.zeros(len(q_OI)).long(), 0)
    packed_weight = torch.ops.quantized.linear_prepack(weight, None)
    ends_2 = torch.tensor(_ENDS)

    def product(x_ND: Tensor) -> Tensor:
        rows = x_ND.shape[0]
        step_N1 = x_ND.float().abs().amax(1, keepdim=True).clamp_(min=_LEAST).div_(_STEPS)
        place_ND = x_ND / step_N1
        whole_ND = place_ND.round()
        both_2ND = torch.cat([whole_ND, place_ND.sub_(whole_ND).mul_(2 * _STEPS)])
        y_2NO = torch.ops.quantized.linear_dynamic(
            torch.cat([both_2ND, ends_2.expand(2 * rows, -1)], 1), packed_weight, reduce_range=True
        )
        y_NO = torch.add(y_2NO[:rows], y_2NO[rows:], alpha=1 / (2 * _STEPS)).mul_(step_N1)
        return y_NO.to(x_ND)

    return product


# ---- what this torch and this processor can do


@cache
def available(kind: str) -> bool:
    """Whether torch has the kernel ("int4", "int8" or "integers", which has 8 bits, too) here, and it computes what it
    should."""
    q = torch.arange(_TILE * 2 * GROUP).view(_TILE, 2 * GROUP) % 16
    x = torch.eye(2, 2 * GROUP)
    ones = torch.ones(2, _TILE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # quantised tensors are to leave torch one day; it says so once
            found = _TRIED[kind](q, ones)(x)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.allclose(found, q[:, :2].t().float(), atol=0.1)


_TRIED: dict[str, Callable[[Tensor, Tensor], Product]] = {  # by levels and a scale of 1
    "int4": lambda q, ones: int4_product(q.int(), ones, 8 * ones),
    "int8": lambda q, _: int8_product(q.float()),
    "integers": lambda q, ones: integer_product(q.to(torch.int8), ones[0]),
}
