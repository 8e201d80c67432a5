"""Embedding and head that learn beside LoRA. In: a decoder and their names, out: the same with rows that learn.

Whoever added tokens needs it: LoRA on the layers between cannot give a token what its own row should say. The rows are
float32 whatever the base is computed in or packed as, because in bfloat16 most updates would round away; the base's own
weights stay as they are. All rows learn, PEFT's `modules_to_save`, or, where tokens were added, theirs alone, PEFT's
`trainable_token_indices`: the gradient of a head reaches every row a little, and Adam would move all of them as far as
those that are meant.
"""

from collections.abc import Collection, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nabot.adapters.targets import ENDS
from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder, DenseHead
from nabot.models.linear import LinearGroup

_EMBED, _HEAD = ENDS


class LearnedEmbedding(nn.Module):
    """Reads the tokens from `first` on with rows of its own, `learned` [V - first, D], and the others with the base's."""

    base = None  # what a decoder has in this place

    def __init__(self, embedding: nn.Parameter, name: str, first: int) -> None:
        super().__init__()
        self._name = name  # as Hugging Face calls the tensor
        self._base_weight = (embedding,)  # a tuple, because it is the decoder's parameter and not one of this module
        self.first = first
        self.learned = _copy(embedding, first)

    def forward(self, tokens_N: Tensor, weight_VD: Tensor) -> Tensor:
        own_ND = F.embedding((tokens_N - self.first).clamp(min=0), self.learned).to(weight_VD.dtype)
        if not self.first:
            return own_ND
        return torch.where((tokens_N >= self.first).unsqueeze(1), own_ND, F.embedding(tokens_N, weight_VD))

    def start(self) -> Tensor:
        """The base's weight."""
        return self._base_weight[0].data

    def write_into_base(self) -> None:
        """Rounds to the base's dtype."""
        self.start()[self.first :] = self.learned.data

    def base_slots(self) -> Iterator[tuple[str, Tensor]]:
        """What `write_into_base` changes."""
        yield self._name, self.start()


class LearnedHead(nn.Module):
    """A head whose rows from `first` on are its own, `learned` [V - first, D].

    `base` is None where the embedding is the head, too.
    """

    path = ""

    def __init__(
        self, base: LinearGroup | None, embedding: nn.Parameter, learned: nn.Parameter | None, first: int
    ) -> None:
        super().__init__()
        self._frozen = (
            base,
            embedding,
        )  # a tuple, because they are not of this module: nobody learns or packs them here
        self.first = first
        self.learned = _copy(self.start(), first) if learned is None else learned
        self.members = {_HEAD: first + len(self.learned)}
        self._whole: tuple[Tensor, int] | None = None  # all rows, rounded, and the version of `learned` that is in it

    @property
    def base(self) -> LinearGroup | None:
        return self._frozen[0]

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        if not torch.is_grad_enabled():
            return F.linear(x_ND, self._all_rows(x_ND.dtype))
        product: Tensor = _Product.apply(x_ND, self._together(x_ND.dtype), self.learned)  # type: ignore[no-untyped-call]
        return product

    @property
    def dense(self) -> DenseHead:
        """What a loss needs that computes its own gradients. The weight is written anew the next time that it is asked for."""
        base, embedding = self._frozen
        return DenseHead(self._all_rows(embedding.dtype if base is None else base.dtype), self.learned)

    @torch.no_grad()
    def _all_rows(self, dtype: torch.dtype) -> Tensor:
        """[V, D], kept: a vocabulary is too much to put together for each token."""
        now, learning = self.learned._version, self.training or torch.is_grad_enabled()
        if self._whole is None or self._whole[0].dtype != dtype:
            self._whole = self._together(dtype), now
        elif learning or self._whole[1] != now:  # a fused optimizer leaves the version as it was
            self._whole[0][self.first :] = self.learned
            self._whole = self._whole[0], now
        return self._whole[0]

    @torch.no_grad()
    def _together(self, dtype: torch.dtype) -> Tensor:
        return torch.cat([self.start()[: self.first].to(dtype), self.learned.to(dtype)])

    def train(self, mode: bool = True) -> "LearnedHead":
        self._whole = None
        return super().train(mode)

    def start(self) -> Tensor:
        """The base's weight."""
        base, embedding = self._frozen
        return embedding.data if base is None else base.member(_HEAD)

    def write_into_base(self) -> None:
        """A tied one is written as the embedding. Raises ConfigError if the base is packed."""
        if self.base is not None:
            self.base.overwrite(_HEAD, self._together(self.learned.dtype))

    def base_slots(self) -> Iterator[tuple[str, Tensor]]:
        """What `write_into_base` changes."""
        if self.base is not None:
            yield from self.base.slots()


class _Product(torch.autograd.Function):
    """x · Wᵀ where the last rows of W learn, which are rounded from `learned`."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, weight_VD: Tensor, learned: Tensor) -> Tensor:
        ctx.save_for_backward(x_ND, weight_VD)
        ctx.first, ctx.kind = len(weight_VD) - len(learned), learned.dtype
        return F.linear(x_ND, weight_VD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NV: Tensor) -> tuple[Tensor, None, Tensor]:
        x_ND, weight_VD = ctx.saved_tensors
        return grad_NV @ weight_VD, None, (grad_NV[:, ctx.first :].t() @ x_ND).to(ctx.kind)


End = LearnedEmbedding | LearnedHead


def modules_of_ends(decoder: Decoder) -> dict[str, str]:
    """Name → how Hugging Face calls the module in this family."""
    return {_EMBED: decoder.embedding_name.removesuffix(".weight"), _HEAD: decoder.head_name}


def attach_ends(decoder: Decoder, names: Collection[str]) -> None:
    """Lets the ends of these names learn, from where the base's are; of a longer vocabulary the new rows alone.

    A tied model has one weight for both, and goes on having one: whichever is named, both are meant.
    """
    put_ends(decoder, meant_ends(decoder, names), as_one=is_tied(decoder), first=decoder.config.first_new_token)


def meant_ends(decoder: Decoder, names: Collection[str]) -> frozenset[str]:
    """Both, where one weight is both."""
    return frozenset(ENDS if is_tied(decoder) and names else names)


def put_ends(decoder: Decoder, names: Collection[str], *, as_one: bool, first: int = 0) -> None:
    """The same for exactly these, and the rows from `first` on; `as_one`: both with one weight.

    PEFT unties a tied model whose ends learn wholly unless told otherwise.
    """
    if _EMBED in names:
        decoder.reader = LearnedEmbedding(decoder.embedding, decoder.embedding_name, first).train(decoder.training)
    if _HEAD in names:
        shared = decoder.reader.learned if as_one and isinstance(decoder.reader, LearnedEmbedding) else None
        base = decoder.output
        assert base is None or isinstance(base, LinearGroup), type(base)
        decoder.output = LearnedHead(base, decoder.embedding, shared, first).train(decoder.training)


def end_places(decoder: Decoder) -> Iterator[tuple[nn.Module, str, End]]:
    """What learns at the ends, with where it is: owner and attribute."""
    for attribute, end in (("reader", decoder.reader), ("output", decoder.output)):
        if isinstance(end, End):
            yield decoder, attribute, end


def learned_ends(decoder: Decoder) -> dict[str, Tensor]:
    """Name → the rows that learn, [n, D], not a copy."""
    names = {"reader": _EMBED, "output": _HEAD}
    # Unlike `.data` this counts as the same tensor when somebody writes to it.
    return {names[attribute]: end.learned.detach() for _, attribute, end in end_places(decoder)}


def first_that_learns(decoder: Decoder) -> int:
    """The token from which on rows of the ends learn; 0: all of them, or none."""
    return next((end.first for _, _, end in end_places(decoder)), 0)


def ends_have_learned(decoder: Decoder) -> bool:
    """Whether one of them is not as it began."""
    ends = (end for _, _, end in end_places(decoder))
    return any(not torch.equal(end.learned, end.start()[end.first :].to(end.learned)) for end in ends)


def learn_as_one(decoder: Decoder) -> bool:
    """Whether both ends learn, and with one weight."""
    weights = {id(end.learned) for _, _, end in end_places(decoder)}
    return len(weights) < len(list(end_places(decoder)))


def is_tied(decoder: Decoder) -> bool:
    """Whether the base reads and writes with one weight."""
    return decoder.config.tie_embeddings


def _copy(weight: Tensor, first: int) -> nn.Parameter:
    """The rows from `first` on."""
    own = weight.detach()[first:]
    return nn.Parameter(own.to(torch.promote_types(weight.dtype, torch.float32), copy=True))
