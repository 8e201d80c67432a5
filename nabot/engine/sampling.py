"""The next token. In: logits of one place and a `Sampling`, out: a token id. Every field has an effect."""

from collections.abc import Collection

import torch
from torch import Tensor

from nabot.textmodel import Sampling

_LIKELY = 256  # tokens among which top-p nearly always ends


def generator(sampling: Sampling) -> torch.Generator:
    """The random numbers of one answer: the same seed gives the same answer; no seed, another one each time."""
    rng = torch.Generator()
    if sampling.seed is None:
        rng.seed()
    else:
        rng.manual_seed(sampling.seed)
    return rng


def choose(logits_V: Tensor, sampling: Sampling, seen: Tensor, rng: torch.Generator, said: Collection[int] = ()) -> int:
    """One token id. `seen` are the ids of prompt and answer so far, which the repetition penalty looks at; `said` those of
    the answer alone, for the presence penalty."""
    if sampling.repetition_penalty != 1.0:
        logits_V = penalised(logits_V, seen, sampling.repetition_penalty)
    if sampling.presence_penalty != 0.0:
        logits_V = less_present(logits_V, said, sampling.presence_penalty)
    if sampling.temperature <= 0:
        return int(logits_V.argmax())
    probabilities = filtered(logits_V.float() / sampling.temperature, sampling).softmax(-1)
    return _drawn(probabilities.cpu(), rng)


def _drawn(probabilities_V: Tensor, rng: torch.Generator) -> int:
    """The token in whose share of the line from 0 to 1 a random number falls; `torch.multinomial` draws one for each."""
    ends_V = probabilities_V.cumsum(-1, dtype=torch.float64)
    place = torch.rand(1, dtype=torch.float64, generator=rng) * ends_V[-1]
    return min(int(torch.searchsorted(ends_V, place, right=True)), len(ends_V) - 1)


def penalised(logits_V: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits of seen tokens divided by the penalty, or multiplied where negative.   Source: Keskar et al. 2019, §4.1."""
    logits_V = logits_V.clone()
    seen = seen[seen < len(logits_V)]  # virtual tokens are never said
    picked = logits_V[seen]
    logits_V[seen] = torch.where(picked > 0, picked / penalty, picked * penalty)
    return logits_V


def less_present(logits_V: Tensor, said: Collection[int], penalty: float) -> Tensor:
    """Logits of the tokens in `said` less `penalty`, however often they stand there.

    Source: OpenAI's API reference, "presence_penalty"; that of the answer's tokens alone, as there.
    """
    logits_V = logits_V.clone()
    logits_V[torch.tensor(sorted(set(said)), dtype=torch.long, device=logits_V.device)] -= penalty
    return logits_V


def filtered(logits_V: Tensor, sampling: Sampling) -> Tensor:
    """−∞ for every token that top-k, top-p or min-p leaves out; the most likely one always stays."""
    if 0 < sampling.top_k < len(logits_V):
        least = logits_V.topk(sampling.top_k).values[-1]
        logits_V = logits_V.masked_fill(logits_V < least, -torch.inf)
    if sampling.top_p < 1.0:
        logits_V = _nucleus(logits_V, sampling.top_p)
    if sampling.min_p > 0.0:
        probabilities = logits_V.softmax(-1)
        logits_V = logits_V.masked_fill(probabilities < sampling.min_p * probabilities.max(), -torch.inf)
    return logits_V


def _nucleus(logits_V: Tensor, top_p: float) -> Tensor:
    """−∞ for every token whose better ones have a probability of `top_p` together."""
    whole = logits_V.logsumexp(-1)
    for count in (_LIKELY, len(logits_V)):  # sorting a whole vocabulary takes a fifth of a step of a small model
        ordered, places = logits_V.topk(min(count, len(logits_V)))
        shares = (ordered - whole).exp()
        before = shares.cumsum(-1) - shares  # probability of all better tokens
        if before[-1] >= top_p:
            break
    kept = places[(before < top_p) | (before <= 0)]
    return torch.full_like(logits_V, -torch.inf).index_copy_(0, kept, logits_V[kept])
