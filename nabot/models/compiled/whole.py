"""A whole decoder for compiled code. In: a decoder whose groups are packed, out: logits of the next token of a few answers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from nabot.models import ops
from nabot.models.attention import Sight
from nabot.models.compiled import step
from nabot.models.compiled.crew import Pace, crew
from nabot.models.compiled.packing import Packed
from nabot.models.compiled.products import BLOCK, TILE
from nabot.models.decoder import Attention, Block, Decoder, Mlp, Norm, WidthNorm
from nabot.models.gemma import GeluMlp, GemmaBlock
from nabot.models.linear import Rowwise, rowwise
from nabot.models.norms_after import BlockWithNormsAfter


class _Layer(NamedTuple):
    """A layer as `step` sees it: any norm may be missing."""

    before_attention: Norm | None
    attention: Attention
    after_attention: Norm | None
    before_mlp: Norm | None
    mlp: Mlp
    after_mlp: Norm | None

    @property
    def groups(self) -> tuple[nn.Module, ...]:
        """In the order that `step` expects."""
        return self.attention.qkv, self.attention.out, self.mlp.gate_up, self.mlp.down


_LAYERS: dict[type[nn.Module], Callable[[Any], _Layer]] = {
    Block: lambda b: _Layer(b.attention_norm, b.attention, None, b.mlp_norm, b.mlp, None),
    GemmaBlock: lambda b: _Layer(
        b.before_attention, b.attention, b.after_attention, b.before_mlp, b.mlp, b.after_mlp
    ),
    BlockWithNormsAfter: lambda b: _Layer(None, b.attention, b.attention_norm, None, b.mlp, b.mlp_norm),
}  # fmt: skip


class Whole:
    """Reads the tables of a decoder once, and again when an adapter or a weight has changed."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder, self._config = decoder, decoder.config
        self._layers = [_LAYERS[type(block)](block) for block in decoder.layers]
        self._of_layers: list[Tensor] = []  # what the tables point to, by table, since one is made anew now and then
        self._of_groups: list[Tensor] = []
        self._parts: list[Rowwise] = []
        self._groups = np.zeros((0, step.GROUP_FIELDS), np.int64)
        self._table = np.array([self._of_layer(n, layer) for n, layer in enumerate(self._layers)], np.int64)
        self._shape = self._numbers()
        self._turns: Any = np.zeros((2, 1, 0, 1), np.float32)
        self._paces: dict[int, Pace] = {}  # by rows
        self._room: tuple[tuple[int, ...], step.Room] | None = None

    @staticmethod
    def of(decoder: Decoder) -> "Whole | None":
        """None if compiled code does not know such layers."""
        known = decoder.embedding.dtype in (torch.float32, torch.bfloat16) and all(
            type(block) in _LAYERS for block in decoder.layers
        )
        config = decoder.config
        return (
            Whole(decoder) if known and not (config.head_width % 2 or config.num_heads % config.num_kv_heads) else None
        )

    def is_current(self) -> bool:
        """Brings the tables up to date; False if a group has become something that compiled code does not know."""
        modules = [group for layer in self._layers for group in layer.groups] + [self._decoder.output]
        parts = [rowwise(module) for module in modules]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return False
        if len(known) != len(self._parts) or any(a is not b for a, b in zip(known, self._parts, strict=True)):
            self._parts, self._room, self._of_groups = known, None, []
            self._groups = np.array([self._of_group(part) for part in known], np.int64)
        return True

    def logits(
        self, x_RD: Tensor, keys_LBKSE: Tensor, values_LBKSE: Tensor, slots: Sequence[int], starts: Sequence[int]
    ) -> Tensor:
        """[R, V] after the embeddings of R new tokens, whose keys and values go to columns `starts` of `slots`."""
        head = self._parts[-1].packed
        logits = torch.empty(len(x_RD), head.tiles * TILE)
        places, longest = np.array(starts), keys_LBKSE.shape[3]
        if longest > self._turns.shape[2]:
            self._turns = self._turns_of(longest)
        # There are no bounds behind this door.
        assert max(starts) < longest
        assert max(slots) < keys_LBKSE.shape[1]
        assert keys_LBKSE.is_contiguous()
        assert values_LBKSE.is_contiguous()
        cos, sin = np.ascontiguousarray(self._turns[:, :, places])
        self._paces.setdefault(len(x_RD), Pace()).run(
            step.run, self._shape, self._groups, self._table, cos, sin, _numbers(keys_LBKSE), _numbers(values_LBKSE),
            np.array(slots), places, x_RD.float().contiguous().numpy(), self._room_for(len(x_RD), longest),
            logits.numpy(),
        )  # fmt: skip
        logits = logits[:, : head.outputs]
        return ops.soft_cap(logits, self._config.logit_cap) if self._config.logit_cap else logits

    def _turns_of(self, longest: int) -> Any:
        """cos and sin of all positions, [2, ropes, positions, E]."""
        tables = [self._decoder.table(rope, torch.arange(longest), torch.float32) for rope in self._decoder.ropes]
        turning = [torch.stack(table).squeeze(2) for table in tables if table is not None]
        return torch.stack(turning, 1).numpy() if turning else np.zeros((2, 1, longest, 1), np.float32)

    def rehearse(self) -> None:
        """A step that nobody sees, so that the next finds compiled code."""
        config = self._config
        shape = (config.num_layers, 1, config.num_kv_heads, 1, config.head_width)
        cache = torch.zeros(shape, dtype=self._decoder.embedding.dtype)
        self.logits(torch.zeros(1, config.width), cache, cache.clone(), [0], [0])
        self._paces.clear()

    # ---- tables

    def _norm(self, norm: Norm | None) -> int:
        return _address(norm.weight.data, self._of_layers) if norm is not None else 0

    def _of_layer(self, number: int, layer: _Layer) -> list[int]:
        row = [0] * step.LAYER_FIELDS
        row[step.BEFORE_ATTENTION] = self._norm(layer.before_attention)
        row[step.AFTER_ATTENTION] = self._norm(layer.after_attention)
        row[step.BEFORE_MLP] = self._norm(layer.before_mlp)
        row[step.AFTER_MLP] = self._norm(layer.after_mlp)
        if layer.attention.head_norm is not None:
            row[step.Q_NORM] = self._norm(layer.attention.head_norm.q)
            row[step.K_NORM] = self._norm(layer.attention.head_norm.k)
        turning = [rope for rope in self._decoder.ropes if rope is not None]
        rope = self._decoder.ropes[self._decoder.rope_of_layer[number]]
        row[step.ROPE] = turning.index(rope) if rope is not None else -1
        row[step.WINDOW] = layer.attention.sight.window
        return row

    def _of_group(self, part: Rowwise) -> list[int]:
        row = [0] * step.GROUP_FIELDS
        packed: Packed = part.packed
        row[step.BITS], row[step.WEIGHTS] = packed.bits, _address(packed.records, self._of_groups, None)
        row[step.BLOCKS], row[step.TILES] = packed.blocks, packed.tiles
        if part.bias is not None:
            padded = torch.zeros(packed.tiles * TILE)
            padded[: packed.outputs] = part.bias
            row[step.BIAS] = _address(padded, self._of_groups)
        if part.down is not None:
            row[step.RANK], row[step.DOWN] = len(part.down), _address(part.down, self._of_groups, torch.float16)
        for number, (ranks, outputs, up) in enumerate(part.up):
            at = step.PAIR + step.PIECE_FIELDS * number
            row[at : at + step.PIECE_FIELDS] = [
                ranks.start,
                ranks.stop,
                outputs.start,
                outputs.stop,
                _address(up, self._of_groups, torch.float16),
            ]
        row[step.PAIRS] = len(part.up)
        return row

    def _numbers(self) -> step.Shape:
        config, layer = self._config, self._layers[0]
        sight: Sight = layer.attention.sight
        together = isinstance(layer.attention.head_norm, WidthNorm)
        return step.Shape(
            width=config.width,
            heads=config.num_heads,
            kv_heads=config.num_kv_heads,
            head_width=config.head_width,
            mlp_width=config.mlp_width,
            is_gelu=isinstance(layer.mlp, GeluMlp),
            heads_normed_together=together,
            eps=config.norm_eps,
            query_scale=config.query_scale * config.head_width**-0.5,
            score_cap=sight.soft_cap,
            last_norm=self._norm(self._decoder.norm),
        )

    def _room_for(self, rows: int, longest: int) -> step.Room:
        """Kept for the next step."""
        threads = crew().size
        sizes = (rows, longest, threads)
        if self._room is None or self._room[0] != sizes:
            config = self._config
            attended = config.num_heads * config.head_width
            blocks = -(-max(config.width, attended, config.mlp_width) // BLOCK)

            def outputs(group: int) -> int:
                return max(part.packed.tiles for part in self._parts[group:-1:4]) * TILE

            def floats(*shape: int) -> Any:
                return np.zeros(shape, np.float32)

            ranks = [len(part.down) for part in self._parts if part.down is not None]
            room = step.Room(
                normed=floats(rows, config.width),
                qkv=floats(rows, outputs(step.QKV)),
                queries=floats(rows, attended),
                attended=floats(rows, attended),
                gate_up=floats(rows, outputs(step.GATE_UP)),
                gated=floats(rows, config.mlp_width),
                added=floats(rows, max(outputs(step.OUT), outputs(step.MLP_DOWN))),
                low=floats(rows, max(ranks, default=1)),
                rounded=np.zeros((blocks, rows, BLOCK), np.int16),
                scale=floats(blocks, rows, 2),
                scores=floats(threads, longest + 2 * BLOCK),  # and more, lest two threads write to one line of a cache
            )
            self._room = sizes, room
        return self._room[1]


def _address(tensor: Tensor, kept: list[Tensor], dtype: torch.dtype | None = torch.float32) -> int:
    """Where its numbers stand as `dtype` (None: as they are), for as long as `kept` is."""
    own = tensor.detach().contiguous() if dtype is None else tensor.detach().to(dtype).contiguous()
    kept.append(own)
    return own.data_ptr()


def _numbers(cache: Tensor) -> Any:
    return cache.view(torch.uint16).numpy() if cache.dtype == torch.bfloat16 else cache.numpy()
