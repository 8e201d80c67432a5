"""Virtual tokens: what learns stands before every conversation or inside of it, and no weight of the model changes.

- prompt: P embeddings (Lester, Al-Rfou & Constant 2021, arXiv 2104.08691 §2)
- ptuning: P embeddings, written by a small network while they learn (Liu et al. 2021, arXiv 2103.10385 §3.2)
- prefix: P keys and values in every layer (Li & Liang 2021, arXiv 2101.00190 §4), by way of a small network if asked

They begin as real text, since the same methods lose up to 29 points from a random start (PEFT's own comparison on
MetaMathQA), and best as text that already says what is to be learned (Eyuboglu et al. 2025, "Cartridges", arXiv
2506.06266 §4). What is added to that start is zero at first, so a fresh adapter is what its text would be. Saved is
the sum, as in PEFT; a network that writes it stays in the run's checkpoints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nabot.errors import ConfigError
from nabot.models.batch import KeysAndValues
from nabot.models.decoder import Decoder
from nabot.text import say

VirtualMethod = Literal["prompt", "ptuning", "prefix"]
Start = Literal["text", "vocab", "random"]
Places = Literal["front", "question"]
_COMMON_TOKENS = 5_000  # Lester et al., §3.2: virtual tokens start as some of the most common ones
_LENGTHS = {"prompt": 256, "ptuning": 256, "prefix": 512}
_MEASURED_TOKENS = 64  # from all over the vocabulary, to see how far apart a model's numbers lie
_AROUND_A_QUESTION = 6  # Liu et al., §3.1: three and three
_ENCODERS: dict[str, tuple[str, ...]] = {  # by method; the first is the one that is taken if none is named
    "prompt": ("none",),
    "ptuning": ("mlp", "lstm", "none"),  # none: rows out of a file, whose network is not saved
    "prefix": ("none", "mlp"),
}


@dataclass(frozen=True)
class VirtualConfig:
    """How many virtual tokens, where they stand, and what they begin as.

    `places`: "front", before every conversation, as in PEFT; or "question", half of them right before and half right
    behind the words of every user turn (Liu et al., §3.1 and fig. 2), where the renderer puts them (`question_ids`).

    `start`: "text" (`start_text`, repeated or cut to the length), "vocab" (common tokens, drawn), "random" (drawn with
    the mean and spread of the model's own embeddings). A prefix begins as the keys and values of such tokens.
    `encoder`: the network that writes them: "mlp" or "lstm" for ptuning, "none" or "mlp" for prefix; "": the first.
    """

    method: VirtualMethod = "prompt"
    virtual_tokens: int = 0  # 0: what suits the method, see `length_for`
    start: Start = "text"
    start_text: str = ""  # "": the system prompt, then the answers that are to be learned
    encoder: Literal["", "none", "mlp", "lstm"] = ""
    encoder_width: int = 0  # of its hidden layer; 0: as wide as the model
    places: Places = "front"

    def length_for(self, longest: int, text: Sequence[int]) -> int:
        """How many virtual tokens stand before a model that reads `longest`; if it is not set, no more than `text` has
        and a quarter of what the model reads."""
        if self.virtual_tokens or self.places == "question":
            return self.virtual_tokens or _AROUND_A_QUESTION
        most = min(_LENGTHS[self.method], longest // 4)
        return min(most, len(text)) if self.start == "text" and text else most

    def chosen_encoder(self) -> str:
        """The network's kind. Raises ConfigError for one that this method does not have."""
        known = _ENCODERS[self.method]
        if self.encoder and self.encoder not in known:
            allowed = f"{', '.join(known)} ({self.method})"
            raise ConfigError(say("settings.bad_value", key="encoder", value=self.encoder, allowed=allowed))
        return self.encoder or known[0]


# ---- where the rows come from


class Rows(nn.Module):
    """The table [P, W], float32 at least: where it begins, and what is added to that, counted in units of `unit_PW`.

    The units are how far apart the model's own numbers lie: a rate that counts in them suits the first layer's small
    values and the last one's large ones, and models of all sizes.
    """

    def __init__(self, start_PW: Tensor, unit_PW: Tensor, added: "Table | Encoded") -> None:
        super().__init__()
        self.register_buffer("start", start_PW)
        self.register_buffer("unit", unit_PW)
        self.added = added

    def forward(self) -> Tensor:
        added_PW: Tensor = self.added()
        return torch.addcmul(self.get_buffer("start"), self.get_buffer("unit"), added_PW)


class Table(nn.Module):
    """What is added learns directly."""

    def __init__(self, like_PW: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros_like(like_PW))

    def forward(self) -> Tensor:
        return self.rows


class Encoded(nn.Module):
    """What is added is written by a network: nothing, before it has learned."""

    def __init__(self, network: nn.Module, last: nn.Linear, inputs_PD: Tensor) -> None:
        super().__init__()
        self.inputs = nn.Parameter(inputs_PD)
        self.network = network
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self) -> Tensor:
        added_PW: Tensor = self.network(self.inputs)
        return added_PW


class Lstm(nn.Module):
    """Two bidirectional layers and an MLP: Liu et al. 2021, eq. 4-5."""

    def __init__(self, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(2 * hidden, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, outputs))

    def forward(self, inputs_PD: Tensor) -> Tensor:
        rows: Tensor = self.mlp(self.lstm(inputs_PD.unsqueeze(0))[0].squeeze(0))
        return rows


def _mlp_of_ptuning(width: int, hidden: int, outputs: int) -> nn.Sequential:
    """As PEFT's."""
    inner = [nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*inner, nn.Linear(hidden, outputs))


def _mlp_of_prefix(width: int, hidden: int, outputs: int) -> nn.Sequential:
    """Li & Liang's, §4.3, as in their code: a tanh between two layers."""
    return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, outputs))


# ---- what stands before the documents, or inside


class VirtualTokens(nn.Module):
    """What learns, as a decoder meets it: `method`, and the table's rows."""

    base = None  # what a decoder has in this place

    def __init__(self, method: VirtualMethod, rows: Rows) -> None:
        super().__init__()
        self.method = method
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows.get_buffer("start"))

    def table(self) -> Tensor:
        """What is saved: [P, D], or for a prefix [P, layers · (key, value) · K · E]."""
        rows: Tensor = self.rows()
        return rows

    def has_learned(self) -> bool:
        """Whether the rows are not what they began as."""
        return not torch.equal(self.table(), self.rows.get_buffer("start"))


class FrontTokens(VirtualTokens):
    """A `Beginning` that learns: embeddings, or keys and values."""

    def __init__(self, method: VirtualMethod, rows: Rows, decoder: Decoder) -> None:
        super().__init__(method, rows)
        self.length = len(self)
        self._width = decoder.config.width
        self._heads = (decoder.config.num_layers, 2, decoder.config.num_kv_heads, decoder.config.head_width)

    def embeddings(self) -> Tensor:
        return self.rows.get_buffer("start").new_empty(0, self._width) if self.method == "prefix" else self.table()

    def keys_and_values(self) -> Sequence[KeysAndValues]:
        if self.method != "prefix":
            return ()
        return [(kv[0], kv[1]) for kv in self.table().unflatten(1, self._heads).permute(1, 2, 0, 3, 4)]


class QuestionTokens(VirtualTokens):
    """A reader of ids from V on, wherever they stand among the others.

    The table holds what the first layer is to read; a decoder that multiplies all that is read gets it divided.
    """

    def __init__(self, method: VirtualMethod, rows: Rows, embedding_scale: float) -> None:
        super().__init__(method, rows)
        self._scale = embedding_scale

    def forward(self, tokens_N: Tensor, weight_VD: Tensor) -> Tensor:
        """Rows of the model's embedding, and of the table, however often they stand there: [N, D]."""
        own_N = tokens_N >= len(weight_VD)
        # Where something learns, a pass without a question has a gradient, too: zero.
        if not (torch.is_grad_enabled() or bool(own_N.any())):
            return F.embedding(tokens_N, weight_VD)
        x_ND = F.embedding(tokens_N.masked_fill(own_N, 0), weight_VD)
        # Looked up before it is rounded, so that the gradients of many uses are added up in the table's own dtype.
        x_ND[own_N] = F.embedding(tokens_N[own_N] - len(weight_VD), self.table() / self._scale).to(x_ND.dtype)
        return x_ND


def attach_virtual(decoder: Decoder, config: VirtualConfig, text: Sequence[int] = ()) -> None:
    """Puts virtual tokens before or into what the decoder reads. `text`: the token ids that they may begin as.

    Draws from torch's RNG. Raises ConfigError if they leave no room for a conversation, cannot stand where they are
    wanted, or there is no text to begin as.
    """
    method, longest = config.method, decoder.config.max_positions
    count = config.length_for(longest, text)
    if method == "prefix" and config.places != "front":
        raise ConfigError(say("settings.bad_value", key="places", value=config.places, allowed="front (prefix)"))
    least = 1 if config.places == "front" else 2  # one on either side
    if not least <= count < longest:
        allowed = f"{least} … {longest - 1}"
        raise ConfigError(say("settings.bad_value", key="virtual_tokens", value=count, allowed=allowed))
    kind = config.chosen_encoder()
    begun_PD = _begun(decoder, config.start, count, text)
    start_PW = _as_table(decoder, method, begun_PD)
    added: Table | Encoded = Table(start_PW)
    if kind != "none":
        added = _encoded(method, kind, start_PW.shape[1], begun_PD, config.encoder_width)
    _put(decoder, method, config.places, start_PW, added.to(start_PW))


def restore_virtual(decoder: Decoder, method: VirtualMethod, table_PW: Tensor, places: Places) -> None:
    """The same with rows that have been learned already."""
    start_PW = table_PW.to(decoder.embedding.device, torch.promote_types(table_PW.dtype, torch.float32))
    _put(decoder, method, places, start_PW, Table(start_PW))


def _put(decoder: Decoder, method: VirtualMethod, places: Places, start_PW: Tensor, added: "Table | Encoded") -> None:
    rows = Rows(start_PW, _unit(decoder, method, len(start_PW)).to(start_PW), added)
    if places == "front":
        decoder.beginning = FrontTokens(method, rows, decoder)
    else:
        decoder.reader = QuestionTokens(method, rows, decoder.embedding_scale)


def virtual_places(decoder: Decoder) -> Iterator[tuple[nn.Module, str, VirtualTokens]]:
    """Those that are attached, with where they are: owner and attribute."""
    for attribute, found in (("beginning", decoder.beginning), ("reader", decoder.reader)):
        if isinstance(found, VirtualTokens):
            yield decoder, attribute, found


def virtual_tokens(decoder: Decoder) -> VirtualTokens | None:
    """Those that are attached."""
    return next((tokens for _, _, tokens in virtual_places(decoder)), None)


def question_ids(decoder: Decoder) -> tuple[range, range]:
    """The ids of what is to stand before and behind every question: above the vocabulary, so that no text has them."""
    found, first = decoder.reader, decoder.config.vocab_size
    count = len(found) if isinstance(found, QuestionTokens) else 0
    middle = first + count // 2
    return range(first, middle), range(middle, first + count)


def table_width(decoder: Decoder, method: VirtualMethod) -> int:
    """W: how wide the rows of this method are."""
    c = decoder.config
    return c.num_layers * 2 * c.num_kv_heads * c.head_width if method == "prefix" else c.width


@torch.no_grad()
def _unit(decoder: Decoder, method: VirtualMethod, count: int) -> Tensor:
    """How far apart the base's own numbers lie, [P, W]: its embeddings, or each layer's keys and each layer's values.

    Of the base, and not of the start, so that a bot that is gone on with learns at the rate that its parent had.
    A prefix's first keys and values have none and stay: every later token leans on them (Xiao et al. 2023, arXiv
    2309.17453 §3.1, "attention sinks"; Eyuboglu et al. keep them, too).
    """
    vocab = len(decoder.embedding)
    some_MD = decoder.embed(torch.arange(0, vocab, max(vocab // _MEASURED_TOKENS, 1), device=decoder.embedding.device))
    own_MW = _as_table(decoder, method, some_MD[: decoder.config.max_positions])
    own_MNW = own_MW.unflatten(1, (2 * decoder.config.num_layers if method == "prefix" else 1, -1))
    unit_PW = own_MNW.std((0, 2), keepdim=True).expand_as(own_MNW[:1]).flatten(1).repeat(count, 1)
    if method == "prefix" and count > 1:
        unit_PW[0] = 0
    return unit_PW


@torch.no_grad()
def _as_table(decoder: Decoder, method: VirtualMethod, rows_PD: Tensor) -> Tensor:
    """What the rows of the table would be for a text with these embeddings, [P, W], float32 at least."""
    if method != "prefix":
        return rows_PD.to(torch.promote_types(rows_PD.dtype, torch.float32))
    pairs = decoder.keys_and_values(rows_PD.to(decoder.embedding.dtype))
    table_PW = torch.stack([x_PKE for pair in pairs for x_PKE in pair], 1).flatten(1)
    return table_PW.to(torch.promote_types(table_PW.dtype, torch.float32))


@torch.no_grad()
def _begun(decoder: Decoder, start: Start, count: int, text: Sequence[int]) -> Tensor:
    """Embeddings [P, D], float32 at least, of the tokens that the virtual ones begin as."""
    weight_VD = decoder.embedding
    kind = torch.promote_types(weight_VD.dtype, torch.float32)
    if start == "random":
        rows_PD = torch.randn(count, weight_VD.shape[1], dtype=kind)
        some_VD = decoder.embed(torch.arange(min(_COMMON_TOKENS, len(weight_VD)), device=weight_VD.device)).to(kind)
        return rows_PD.to(weight_VD.device) * some_VD.std(0) + some_VD.mean(0)
    if start == "vocab":
        ids = torch.randint(min(_COMMON_TOKENS, len(weight_VD)), (count,))
    elif text:
        ids = torch.tensor([text[i % len(text)] for i in range(count)])
    else:
        raise ConfigError(say("adapters.no_start_text"))
    return decoder.embed(ids.to(weight_VD.device)).to(kind)


def _encoded(method: VirtualMethod, kind: str, outputs: int, inputs_PD: Tensor, hidden: int) -> Encoded:
    width = inputs_PD.shape[1]
    hidden = hidden or width
    if kind == "lstm":
        lstm = Lstm(width, hidden, outputs)
        network: nn.Module = lstm
        layers = lstm.mlp
    else:
        network = layers = (_mlp_of_prefix if method == "prefix" else _mlp_of_ptuning)(width, hidden, outputs)
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    return Encoded(network, last, inputs_PD.clone())
