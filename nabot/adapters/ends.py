"""Embedding and head that learn wholly beside LoRA. In: a decoder and their names, out: the same with copies that learn.

Whoever added tokens needs it: LoRA on the layers between cannot give a token what its own row should say. The copies are
float32 whatever the base is computed in or packed as, because in bfloat16 most updates would round away; the base's own
weights stay as they are. PEFT's `modules_to_save`. Where tokens were added, their rows alone learn: the gradient of a
head reaches every row a little, and Adam would move all of them as far as those that are meant.
"""

from collections.abc import Collection, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nabot.adapters.targets import ENDS
from nabot.models.batch import TokenBatch
from nabot.models.decoder import Decoder
from nabot.models.linear import LinearGroup

_EMBED, _HEAD = ENDS


class LearnedEmbedding(nn.Module):
    """Reads tokens with a weight of its own, [V, D], and gives embeddings in the base's dtype."""

    base = None  # what a decoder has in this place

    def __init__(self, embedding: nn.Parameter, name: str, first: int) -> None:
        super().__init__()
        self._name = name  # as Hugging Face calls the tensor
        self._base_weight = (embedding,)  # a tuple, because it is the decoder's parameter and not one of this module
        self.learned = _copy(embedding, first)

    def forward(self, tokens_N: Tensor, weight_VD: Tensor) -> Tensor:
        return F.embedding(tokens_N, self.learned).to(weight_VD.dtype)

    def start(self) -> Tensor:
        """The base's weight."""
        return self._base_weight[0].data

    def write_into_base(self) -> None:
        """Rounds to the base's dtype."""
        self.start().copy_(self.learned.data)

    def base_slots(self) -> Iterator[tuple[str, Tensor]]:
        """What `write_into_base` changes."""
        yield self._name, self.start()


class LearnedHead(nn.Module):
    """A head with a weight of its own, [V, D]; `base` is None where the embedding is the head, too."""

    path = ""

    def __init__(
        self, base: LinearGroup | None, embedding: nn.Parameter, learned: nn.Parameter | None, first: int
    ) -> None:
        super().__init__()
        self._frozen = (
            base,
            embedding,
        )  # a tuple, because they are not of this module: nobody learns or packs them here
        self.learned = _copy(self.start(), first) if learned is None else learned
        self.members = {_HEAD: len(self.learned)}
        self._rounded: Tensor | None = (
            None  # in fewer bits, for answering: a vocabulary is too much to round for each token
        )

    @property
    def base(self) -> LinearGroup | None:
        return self._frozen[0]

    def forward(self, x_ND: Tensor, batch: TokenBatch | None) -> Tensor:
        return F.linear(x_ND, self._weight(x_ND.dtype))

    def _weight(self, dtype: torch.dtype) -> Tensor:
        if self.training or torch.is_grad_enabled() or dtype == self.learned.dtype:
            return self.learned.to(dtype)
        if self._rounded is None or self._rounded.dtype != dtype:
            self._rounded = self.learned.detach().to(dtype)
        return self._rounded

    def train(self, mode: bool = True) -> "LearnedHead":
        self._rounded = None
        return super().train(mode)

    def start(self) -> Tensor:
        """The base's weight."""
        base, embedding = self._frozen
        return embedding.data if base is None else base.member(_HEAD)

    def write_into_base(self) -> None:
        """A tied one is written as the embedding. Raises ConfigError if the base is packed."""
        if self.base is not None:
            self.base.overwrite(_HEAD, self.learned.data)

    def base_slots(self) -> Iterator[tuple[str, Tensor]]:
        """What `write_into_base` changes."""
        if self.base is not None:
            yield from self.base.slots()


End = LearnedEmbedding | LearnedHead


def modules_of_ends(decoder: Decoder) -> dict[str, str]:
    """Name → how Hugging Face calls the module in this family."""
    return {_EMBED: decoder.embedding_name.removesuffix(".weight"), _HEAD: decoder.head_name}


def attach_ends(decoder: Decoder, names: Collection[str]) -> None:
    """Lets the ends of these names learn, from where the base's are.

    A tied model has one weight for both, and goes on having one: whichever is named, both are meant.
    """
    put_ends(decoder, meant_ends(decoder, names), as_one=is_tied(decoder))


def meant_ends(decoder: Decoder, names: Collection[str]) -> frozenset[str]:
    """Both, where one weight is both."""
    return frozenset(ENDS if is_tied(decoder) and names else names)


def put_ends(decoder: Decoder, names: Collection[str], *, as_one: bool) -> None:
    """The same for exactly these; `as_one`: both with one weight. PEFT unties a tied model unless told otherwise."""
    first = decoder.config.first_new_token
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
    """Name → weight [V, D], not a copy, of the ends that learn."""
    names = {"reader": _EMBED, "output": _HEAD}
    return {names[attribute]: end.learned.data for _, attribute, end in end_places(decoder)}


def ends_have_learned(decoder: Decoder) -> bool:
    """Whether one of them is not as it began."""
    return any(not torch.equal(end.learned, end.start().to(end.learned)) for _, _, end in end_places(decoder))


def learn_as_one(decoder: Decoder) -> bool:
    """Whether both ends learn, and with one weight."""
    weights = {id(end.learned) for _, _, end in end_places(decoder)}
    return len(weights) < len(list(end_places(decoder)))


def is_tied(decoder: Decoder) -> bool:
    """Whether the base reads and writes with one weight."""
    return decoder.config.tie_embeddings


def _copy(weight: Tensor, first: int) -> nn.Parameter:
    """Of which the rows from `first` on learn."""
    copy = nn.Parameter(weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True))
    if first:
        copy.register_post_accumulate_grad_hook(lambda own: _forget(own.grad, first))
    return copy


def _forget(grad: Tensor | None, first: int) -> None:
    if grad is not None:
        grad[:first] = 0
