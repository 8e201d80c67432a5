"""The decoder of LLaMA and of all that differ from it in numbers. In: token ids, out: logits. The whole forward is here.

Pre-norm RMSNorm, rotary embeddings, grouped-query attention, SwiGLU, tied or untied head (Touvron et al. 2023, arXiv
2302.13971 §2.2; Grattafiori et al. 2024, arXiv 2407.21783 §3.2); as numbers also windows, normed queries and keys, fused
modules. A family whose layers are built otherwise gives `Decoder` another `block`. Tensor names are those of Hugging
Face, by way of `slots`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nabot.models import ops
from nabot.models.attention import PLAIN, Sight, attention
from nabot.models.batch import KeysAndValues, Recorder, TokenBatch
from nabot.models.config import DecoderConfig, RopeConfig
from nabot.models.linear import LinearGroup, Part
from nabot.models.recompute import Recompute, run_block

RopeTable = tuple[Tensor, Tensor] | None  # None: nothing turns


class Norm(Part):
    """RMSNorm with its weight."""

    def __init__(self, path: str, width: int, eps: float) -> None:
        super().__init__()
        self.path, self.eps = path, eps
        self.weight = nn.Parameter(torch.empty(width), requires_grad=False)

    def forward(self, x_ND: Tensor) -> Tensor:
        return ops.rms_norm(x_ND, self.weight, self.eps)

    def slots(self) -> Iterator[tuple[str, Tensor]]:
        yield f"{self.path}.weight", self.weight.data


class Attention(Part):
    """Grouped-query attention over the documents of a batch."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, head_width = f"model.layers.{layer}.self_attn", config.width, config.head_width
        self.layer, self.num_heads, self.num_kv_heads = layer, config.num_heads, config.num_kv_heads
        kv_width = config.num_kv_heads * head_width
        qkv = {"q_proj": config.num_heads * head_width, "k_proj": kv_width, "v_proj": kv_width}
        if config.fused:
            qkv = {"qkv_proj": sum(qkv.values())}
        self.qkv = LinearGroup(path, qkv, width, bias=config.qkv_bias)
        self.head_norm = _head_norm(config, path)
        self.sight = _sight(config, layer)
        self.query_scale = config.query_scale
        self.out = LinearGroup(path, {"o_proj": width}, config.num_heads * head_width, bias=config.out_bias)

    def forward(self, x_ND: Tensor, batch: TokenBatch, table: RopeTable) -> Tensor:
        heads, kv_heads = self.num_heads, self.num_kv_heads
        qkv_NJE = self.qkv(x_ND, batch).view(x_ND.shape[0], heads + 2 * kv_heads, -1)
        qk_NJE, v_NKE = torch.split_with_sizes(qkv_NJE, [heads + kv_heads, kv_heads], 1)
        if self.head_norm is not None:
            qk_NJE = self.head_norm(qk_NJE)
        if table is not None:
            qk_NJE = ops.rotate(qk_NJE, table)
        q_NHE, k_NKE = torch.split_with_sizes(qk_NJE, [heads, kv_heads], 1)
        if self.query_scale != 1:
            q_NHE = q_NHE * self.query_scale
        out_NHE = attention(q_NHE, k_NKE, v_NKE, batch, self.layer, self.sight)
        return self.out(out_NHE.flatten(1), batch)


class HeadNorm(Part):
    """Queries and keys normed, each head alone: one product, in which every head has its weight."""

    def __init__(self, path: str, heads: int, kv_heads: int, width: int, eps: float) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.eps = heads, kv_heads, eps
        self.q, self.k = Norm(f"{path}.q_norm", width, eps), Norm(f"{path}.k_norm", width, eps)

    def forward(self, qk_NJE: Tensor) -> Tensor:
        weight_JE = torch.cat([self.q.weight.expand(self.heads, -1), self.k.weight.expand(self.kv_heads, -1)])
        return ops.rms_norm(qk_NJE, weight_JE, self.eps)


class WidthNorm(Part):
    """Queries and keys normed, all heads as one."""

    def __init__(self, path: str, heads: int, kv_heads: int, width: int, eps: float) -> None:
        super().__init__()
        self.sizes = [heads, kv_heads]
        self.q, self.k = Norm(f"{path}.q_norm", heads * width, eps), Norm(f"{path}.k_norm", kv_heads * width, eps)

    def forward(self, qk_NJE: Tensor) -> Tensor:
        q_NHE, k_NKE = qk_NJE.split(self.sizes, 1)
        both = torch.cat([self.q(q_NHE.flatten(1)), self.k(k_NKE.flatten(1))], 1)
        return both.unflatten(1, (sum(self.sizes), -1))


def _head_norm(config: DecoderConfig, path: str) -> HeadNorm | WidthNorm | None:
    sizes = config.num_heads, config.num_kv_heads, config.head_width, config.norm_eps
    if config.head_norm == "none":
        return None
    return HeadNorm(path, *sizes) if config.head_norm == "head" else WidthNorm(path, *sizes)


def _sight(config: DecoderConfig, layer: int) -> Sight:
    window = config.local.window if config.local is not None and config.local.layers[layer] else 0
    return Sight(window, config.score_cap) if window or config.score_cap else PLAIN


class Mlp(Part):
    """SwiGLU feed-forward."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, inner = f"model.layers.{layer}.mlp", config.width, config.mlp_width
        gate_up = {"gate_up_proj": 2 * inner} if config.fused else {"gate_proj": inner, "up_proj": inner}
        self.gate_up = LinearGroup(path, gate_up, width, bias=config.mlp_bias)
        self.down = LinearGroup(path, {"down_proj": width}, inner, bias=config.mlp_bias)

    def forward(self, x_ND: Tensor, batch: TokenBatch) -> Tensor:
        return self.down(ops.swiglu(self.gate_up(x_ND, batch)), batch)


class Block(nn.Module):
    """One layer: attention, then the MLP, each added to the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path = f"model.layers.{layer}"
        self.attention_norm = Norm(f"{path}.input_layernorm", config.width, config.norm_eps)
        self.attention = Attention(config, layer)
        self.mlp_norm = Norm(f"{path}.post_attention_layernorm", config.width, config.norm_eps)
        self.mlp = Mlp(config, layer)

    def forward(self, x_ND: Tensor, batch: TokenBatch, table: RopeTable) -> Tensor:
        x_ND = x_ND + self.attention(self.attention_norm(x_ND), batch, table)
        return x_ND + self.mlp(self.mlp_norm(x_ND), batch)


class Beginning(Protocol):
    """What stands before every document and is none of its tokens: embeddings, or keys and values for each layer."""

    @property
    def length(self) -> int:
        """The positions that it takes, P."""
        ...

    def embeddings(self) -> Tensor:
        """[P, D]; P is 0 where there are keys and values."""
        ...

    def keys_and_values(self) -> Sequence[KeysAndValues]:
        """[P, K, E] each, keys rotated already; empty where there are embeddings."""
        ...


class DenseHead(NamedTuple):
    """Logits are hidden · weightᵀ; a gradient reaches its last rows, if they learn, through `learned` alone."""

    weight_VD: Tensor
    learned: nn.Parameter | None = None  # the last rows of the weight, [n, D], before they were rounded


class Decoder(nn.Module):
    """Token ids to logits; frozen as it is made: what learns is attached from outside (`nabot.adapters`)."""

    block: type[nn.Module] = Block  # (config, layer) → one layer; a family of another structure has its own
    embedding_name, head_name = "model.embed_tokens.weight", "lm_head"
    embedding_scale = 1.0  # what every row of the embedding is multiplied by as it is read

    checkpoint: Recompute = "none"  # what of a block is computed again in the backward pass, and so not kept for it

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.beginning: Beginning | None = None  # set from outside
        self.reader: nn.Module | None = None  # the same: (tokens [N], embedding [V, D]) → [N, D]
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.width), requires_grad=False)
        self.layers = nn.ModuleList(self.block(config, layer) for layer in range(config.num_layers))
        self.norm = self.last_norm(config)
        ropes = [config.rope_of(layer) for layer in range(config.num_layers)]
        self.ropes = list(dict.fromkeys(ropes))
        self.rope_of_layer = [self.ropes.index(rope) for rope in ropes]
        head = None if config.tie_embeddings else LinearGroup("", {self.head_name: config.vocab_size}, config.width)
        self.output: nn.Module | None = head  # a `Projection`

    @staticmethod
    def last_norm(config: DecoderConfig) -> Norm:
        """What stands before the head."""
        return Norm("model.norm", config.width, config.norm_eps)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Logits [B, T, V] of B rows of T tokens, each row a document of its own."""
        rows, length = tokens_BT.shape
        batch = TokenBatch.of_documents([length] * rows, device=tokens_BT.device)
        return self.head(self.hidden(self.embed(tokens_BT.flatten()), batch)).unflatten(0, (rows, length))

    def embed(self, tokens_N: Tensor) -> Tensor:
        """[N] → [N, D]."""
        read = F.embedding if self.reader is None else self.reader
        return read(tokens_N, self.embedding)

    def hidden(self, x_ND: Tensor, batch: TokenBatch) -> Tensor:
        """Embeddings → what the head reads, [N, D], normed. A cache is expected to hold the beginning already."""
        own = len(x_ND)
        if self.beginning is not None and batch.store is None:
            before_PD = self.beginning.embeddings().to(x_ND.dtype)
            x_ND, batch = torch.cat([before_PD, x_ND]), batch.behind(len(before_PD), self.beginning.keys_and_values())
        tables = [self.table(rope, batch.positions_N, x_ND.dtype) for rope in self.ropes]
        recompute: Recompute = self.checkpoint if torch.is_grad_enabled() else "none"
        for block, kind in zip(self.layers, self.rope_of_layer, strict=True):
            x_ND = run_block(recompute, block, x_ND, batch, tables[kind])
        return self.norm(x_ND[len(x_ND) - own :])

    def table(self, rope: RopeConfig | None, positions_N: Tensor, dtype: torch.dtype) -> RopeTable:
        """How queries and keys at these positions turn."""
        if rope is None:
            return None
        width = self.config.rotary_width or self.config.head_width
        frequencies = ops.rope_frequencies(rope, width).to(positions_N.device)
        return ops.rope_table(positions_N, frequencies, dtype, rope.attention_factor)

    @property
    def longest(self) -> int:
        """The most tokens of one document."""
        return self.config.max_positions - (self.beginning.length if self.beginning is not None else 0)

    def keys_and_values(self, x_ND: Tensor) -> list[KeysAndValues]:
        """What every layer remembers of one document, given as embeddings."""
        recorder = Recorder()
        self.hidden(x_ND, TokenBatch.of_documents([len(x_ND)], store=recorder, device=x_ND.device))
        return recorder.kept

    def head(self, hidden_ND: Tensor, batch: TokenBatch | None = None) -> Tensor:
        """[N, D] → logits [N, V] in the dtype of the weights; ask only for the tokens that matter. `batch` is where they
        come from, if an answer goes on."""
        if self.output is None:
            return F.linear(hidden_ND, self.embedding)
        return self.output(hidden_ND, batch)

    @property
    def dense_head(self) -> DenseHead | None:
        """Of a head that is nothing but one dense product, frozen but for its last rows; else None."""
        if getattr(self.output, "is_packed", False):
            return None
        dense = getattr(self.output, "dense", None)
        if isinstance(dense, DenseHead):
            return dense
        head = self.embedding if self.output is None else getattr(self.output, "weight", None)
        return DenseHead(head) if isinstance(head, Tensor) and not head.requires_grad else None

    def slots(self) -> Iterator[tuple[str, Tensor]]:
        """(Hugging Face tensor name, where it lives) for every weight: loaders write there, exporters read there."""
        yield self.embedding_name, self.embedding.data
        for module in self.modules():
            if isinstance(module, LinearGroup | Norm):
                yield from module.slots()
