"""The decoder of Gemma 2 and 3. In: token ids, out: logits.

Norms stand on both sides of attention and MLP, the MLP is gated by GELU, embeddings are multiplied by √D, and the logits
may have a soft cap (Gemma 2, arXiv 2408.00118 §2; Gemma 3, arXiv 2503.19786 §2). All else is `decoder.py`'s.
"""

import torch
from torch import Tensor, nn

from nabot.models import ops
from nabot.models.batch import TokenBatch
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Attention, Decoder, DenseHead, Mlp, Norm, RopeTable


class GeluMlp(Mlp):
    """GeGLU feed-forward."""

    def forward(self, x_ND: Tensor, batch: TokenBatch) -> Tensor:
        return self.down(ops.geglu(self.gate_up(x_ND, batch)), batch)


class GemmaBlock(nn.Module):
    """One layer: attention, then the MLP, each normed before and behind and added to the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, eps = f"model.layers.{layer}", config.width, config.norm_eps
        self.before_attention = Norm(f"{path}.input_layernorm", width, eps)
        self.attention = Attention(config, layer)
        self.after_attention = Norm(f"{path}.post_attention_layernorm", width, eps)
        self.before_mlp = Norm(f"{path}.pre_feedforward_layernorm", width, eps)
        self.mlp = GeluMlp(config, layer)
        self.after_mlp = Norm(f"{path}.post_feedforward_layernorm", width, eps)

    def forward(self, x_ND: Tensor, batch: TokenBatch, table: RopeTable) -> Tensor:
        x_ND = x_ND + self.after_attention(self.attention(self.before_attention(x_ND), batch, table))
        return x_ND + self.after_mlp(self.mlp(self.before_mlp(x_ND), batch))


class Gemma(Decoder):
    """A decoder of such layers."""

    block = GemmaBlock

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.embedding_scale = config.width**0.5

    def embed(self, tokens_N: Tensor) -> Tensor:
        x_ND = super().embed(tokens_N)
        # Rounded to the dtype first, as the model was trained: in bfloat16 √640 is 25.25.
        return x_ND * torch.tensor(self.embedding_scale, dtype=x_ND.dtype, device=x_ND.device)

    def head(self, hidden_ND: Tensor, batch: TokenBatch | None = None) -> Tensor:
        logits_NV = super().head(hidden_ND, batch)
        return ops.soft_cap(logits_NV, self.config.logit_cap) if self.config.logit_cap else logits_NV

    @property
    def dense_head(self) -> DenseHead | None:
        return None if self.config.logit_cap else super().dense_head
