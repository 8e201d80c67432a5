"""The decoder of GPT-NeoX, Pythia and Polyglot-ko. In: token ids, out: logits.

LayerNorm, a part of each head that turns, q, k and v in one module head by head, a plain MLP with GELU, which stands
beside attention rather than behind it (Black et al. 2022, arXiv 2204.06745 §2.1). All else is `decoder.py`'s. Tensor
names are those of Hugging Face's GPTNeoXForCausalLM.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nabot.models import ops
from nabot.models.attention import attention
from nabot.models.batch import TokenBatch
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Decoder, RopeTable
from nabot.models.layer_norm import LayerNorm
from nabot.models.linear import LinearGroup


class NeoxAttention(nn.Module):
    """Attention over the documents of a batch."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, heads_width = (
            f"gpt_neox.layers.{layer}.attention",
            config.width,
            config.num_heads * config.head_width,
        )
        self.layer, self.num_heads, self.rotary_width = layer, config.num_heads, config.rotary_width
        self.qkv = LinearGroup(path, {"query_key_value": 3 * heads_width}, width, bias=config.qkv_bias)
        self.out = LinearGroup(path, {"dense": width}, heads_width, bias=config.out_bias)

    def forward(self, x_ND: Tensor, batch: TokenBatch, table: RopeTable) -> Tensor:
        q_NHE, k_NHE, v_NHE = self.qkv(x_ND, batch).unflatten(-1, (self.num_heads, 3, -1)).unbind(2)
        q_NHE, k_NHE = self._turned(q_NHE, table), self._turned(k_NHE, table)
        return self.out(attention(q_NHE, k_NHE, v_NHE, batch, self.layer).flatten(1), batch)

    def _turned(self, x_NHE: Tensor, table: RopeTable) -> Tensor:
        if table is None:
            return x_NHE
        turns = ops.rotate(x_NHE[..., : self.rotary_width], table)
        return torch.cat([turns, x_NHE[..., self.rotary_width :]], -1)


class NeoxMlp(nn.Module):
    """Feed-forward with GELU."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, inner = f"gpt_neox.layers.{layer}.mlp", config.width, config.mlp_width
        self.up = LinearGroup(path, {"dense_h_to_4h": inner}, width, bias=config.mlp_bias)
        self.down = LinearGroup(path, {"dense_4h_to_h": width}, inner, bias=config.mlp_bias)

    def forward(self, x_ND: Tensor, batch: TokenBatch) -> Tensor:
        return self.down(F.gelu(self.up(x_ND, batch)), batch)


class NeoxBlock(nn.Module):
    """One layer: attention and the MLP, both added to the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, eps = f"gpt_neox.layers.{layer}", config.width, config.norm_eps
        self.parallel = config.parallel
        self.attention_norm = LayerNorm(f"{path}.input_layernorm", width, eps, bias=True)
        self.attention = NeoxAttention(config, layer)
        self.mlp_norm = LayerNorm(f"{path}.post_attention_layernorm", width, eps, bias=True)
        self.mlp = NeoxMlp(config, layer)

    def forward(self, x_ND: Tensor, batch: TokenBatch, table: RopeTable) -> Tensor:
        attended_ND = x_ND + self.attention(self.attention_norm(x_ND), batch, table)
        return attended_ND + self.mlp(self.mlp_norm(x_ND if self.parallel else attended_ND), batch)


class Neox(Decoder):
    """A decoder of such layers."""

    block = NeoxBlock
    embedding_name = "gpt_neox.embed_in.weight"

    @staticmethod
    def last_norm(config: DecoderConfig) -> LayerNorm:
        return LayerNorm("gpt_neox.final_layer_norm", config.width, config.norm_eps, bias=True)
