"""The decoder of OLMo 2 and EXAONE 4: norms stand behind attention and MLP. In: token ids, out: logits.

What a layer adds is normed, and what it reads is not (OLMo 2, arXiv 2501.00656 §3.2). All else is `decoder.py`'s.
"""

from torch import Tensor, nn

from nabot.models.batch import TokenBatch
from nabot.models.config import DecoderConfig
from nabot.models.decoder import Attention, Decoder, Mlp, Norm, RopeTable


class BlockWithNormsAfter(nn.Module):
    """One layer: attention, then the MLP, each normed and added to the residual stream."""

    def __init__(self, config: DecoderConfig, layer: int) -> None:
        super().__init__()
        path = f"model.layers.{layer}"
        self.attention = Attention(config, layer)
        self.attention_norm = Norm(f"{path}.post_attention_layernorm", config.width, config.norm_eps)
        self.mlp = Mlp(config, layer)
        self.mlp_norm = Norm(f"{path}.post_feedforward_layernorm", config.width, config.norm_eps)

    def forward(self, x_ND: Tensor, batch: TokenBatch, table: RopeTable) -> Tensor:
        x_ND = x_ND + self.attention_norm(self.attention(x_ND, batch, table))
        return x_ND + self.mlp_norm(self.mlp(x_ND, batch))


class NormsAfter(Decoder):
    """A decoder of such layers."""

    block = BlockWithNormsAfter
