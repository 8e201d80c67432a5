"""The decoder of MPT. In: token ids, out: logits.

No positions but ALiBi, LayerNorm without biases, q, k and v in one module, a plain MLP with GELU, no biases at all
(MosaicML 2023, mosaicml/llm-foundry). All else is `decoder.py`'s. Tensor names are those of Hugging Face's
MptForCausalLM.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from nabot.models import ops
from nabot.models.attention import Sight, attention
from nabot.models.batch import TokenBatch
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Decoder, RopeTable
from nabot.models.layer_norm import LayerNorm
from nabot.models.linear import LinearGroup


class MptAttention(nn.Module):
    """Attention over the documents of a batch, by scores that fall with distance."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, heads_width = (
            f"transformer.blocks.{layer}.attn",
            config.width,
            config.num_heads * config.head_width,
        )
        self.layer, self.num_heads = layer, config.num_heads
        self.clip, self.query_scale = config.clip_qkv, config.query_scale
        self.sight = Sight(slopes=ops.alibi_slopes(config.num_heads, config.alibi))
        self.qkv = LinearGroup(path, {"Wqkv": 3 * heads_width}, width)
        self.out = LinearGroup(path, {"out_proj": width}, heads_width)

    def forward(self, x_ND: Tensor, batch: TokenBatch) -> Tensor:
        qkv_NO = self.qkv(x_ND, batch)
        if self.clip:
            qkv_NO = qkv_NO.clamp(-self.clip, self.clip)
        q_NHE, k_NHE, v_NHE = qkv_NO.unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        if self.query_scale != 1:
            q_NHE = q_NHE * self.query_scale
        return self.out(attention(q_NHE, k_NHE, v_NHE, batch, self.layer, self.sight).flatten(1), batch)


class MptMlp(nn.Module):
    """Feed-forward with GELU."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path = f"transformer.blocks.{layer}.ffn"
        self.up = LinearGroup(path, {"up_proj": config.mlp_width}, config.width)
        self.down = LinearGroup(path, {"down_proj": config.width}, config.mlp_width)

    def forward(self, x_ND: Tensor, batch: TokenBatch) -> Tensor:
        return self.down(F.gelu(self.up(x_ND, batch)), batch)


class MptBlock(nn.Module):
    """One layer: attention, then the MLP, each added to the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path, width, eps = f"transformer.blocks.{layer}", config.width, config.norm_eps
        self.attention_norm = LayerNorm(f"{path}.norm_1", width, eps, bias=False)
        self.attention = MptAttention(config, layer)
        self.mlp_norm = LayerNorm(f"{path}.norm_2", width, eps, bias=False)
        self.mlp = MptMlp(config, layer)

    def forward(self, x_ND: Tensor, batch: TokenBatch, table: RopeTable) -> Tensor:
        x_ND = x_ND + self.attention(self.attention_norm(x_ND), batch)
        return x_ND + self.mlp(self.mlp_norm(x_ND), batch)


class Mpt(Decoder):
    """A decoder of such layers."""

    block = MptBlock
    embedding_name = "transformer.wte.weight"

    @staticmethod
    def last_norm(config: DecoderConfig) -> LayerNorm:
        return LayerNorm("transformer.norm_f", config.width, config.norm_eps, bias=False)
