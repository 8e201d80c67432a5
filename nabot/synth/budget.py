"""What a run may cost. In: limits and prices, out: whether one more request can still be afforded.

A request is paid for when it is answered, and how much it takes is known only then. So before it is sent, the most that it
can take is set aside, and a request for which that is too much is never sent.
"""

import math
from dataclasses import dataclass, replace

from nabot.conversation import Conversation
from nabot.errors import ConfigError
from nabot.text import say
from nabot.textmodel import Sampling

_AROUND_A_MESSAGE = 16  # tokens that a chat template puts around it: in those of today at most about ten


@dataclass(frozen=True)
class Tokens:
    """Read and written by a teacher."""

    prompt: int = 0
    answer: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.prompt + other.prompt, self.answer + other.answer)

    @property
    def total(self) -> int:
        return self.prompt + self.answer


def most_tokens(prompt: Conversation, sampling: Sampling) -> Tokens:
    """The most that a request can take: no tokenizer makes more tokens of a text than it has bytes in UTF-8."""
    texts = (text for message in prompt.messages for text in (message.content, message.context))
    num_bytes = sum(len(text.encode()) for text in texts)
    return Tokens(num_bytes + _AROUND_A_MESSAGE * (len(prompt.messages) + 1), sampling.max_new_tokens)


@dataclass(frozen=True)
class Budget:
    """None: no limit. Prices are for a million tokens, in the person's currency, which is also the unit of `max_cost`.

    Raises ConfigError for a limit that allows nothing, and for one of money without a price.
    """

    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        for flag, limit in (("--max-tokens-total", self.max_tokens), ("--max-cost", self.max_cost)):
            if limit is not None and not (limit > 0 and math.isfinite(limit)):
                raise ConfigError(say("budget.nothing", flag=flag, seen=limit))
        for flag, price in (("--price-in", self.price_in), ("--price-out", self.price_out)):
            if not (price >= 0 and math.isfinite(price)):
                raise ConfigError(say("budget.bad_price", flag=flag, seen=price))
        if self.max_cost is not None and not self.has_prices:
            raise ConfigError(say("budget.no_price"))

    @property
    def has_prices(self) -> bool:
        return bool(self.price_in or self.price_out)

    def cost(self, tokens: Tokens) -> float:
        """In the currency of the prices."""
        return (tokens.prompt * self.price_in + tokens.answer * self.price_out) / 1e6

    def affords(self, tokens: Tokens) -> bool:
        """Whether all of this stays within both limits."""
        return (self.max_tokens is None or tokens.total <= self.max_tokens) and (
            self.max_cost is None or self.cost(tokens) <= self.max_cost
        )

    def less(self, spent: Tokens) -> "Budget | None":
        """What is left of it; None if nothing is."""
        tokens = None if self.max_tokens is None else self.max_tokens - spent.total
        cost = None if self.max_cost is None else self.max_cost - self.cost(spent)
        is_spent = (tokens is not None and tokens <= 0) or (cost is not None and cost <= 0)
        return None if is_spent else replace(self, max_tokens=tokens, max_cost=cost)


UNLIMITED = Budget()
