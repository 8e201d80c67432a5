"""What can be afforded."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.conversation import Conversation, Message
from nabot.errors import ConfigError
from nabot.synth.budget import Budget, Tokens, most_tokens
from nabot.textmodel import Sampling


@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        ({"max_tokens": 0}, "--max-tokens-total 0"),
        ({"max_cost": 0.0, "price_in": 1}, "--max-cost 0"),
        ({"max_cost": math.nan, "price_in": 1}, "--max-cost nan"),
        ({"max_cost": -1.0, "price_in": 1}, "--max-cost -1"),
        ({"price_out": -1.0}, "--price-out -1"),
        ({"price_in": math.inf}, "--price-in inf"),
        ({"max_cost": 5.0}, "--price-in"),
    ],
)
def test_a_budget_that_allows_nothing_or_cannot_be_reckoned_is_refused(limits, seen):
    with pytest.raises(ConfigError, match=seen):
        Budget(**limits)


def test_cost_is_that_of_millions_of_tokens():
    assert Budget(price_in=2.0, price_out=10.0).cost(Tokens(1_000_000, 500_000)) == 7.0


def test_both_limits_hold():
    budget = Budget(max_tokens=100, max_cost=1e-3, price_out=20.0)
    assert budget.affords(Tokens(50, 50))
    assert not budget.affords(Tokens(51, 50))
    assert not budget.affords(Tokens(0, 51))
    assert Budget().affords(Tokens(10**12, 10**12))


@given(st.text(max_size=60), st.text(max_size=60))
def test_what_is_set_aside_is_never_too_little(content, context):
    prompt = Conversation((Message("user", content, context),))
    most = most_tokens(prompt, Sampling(max_new_tokens=9))
    assert most.answer == 9
    assert most.prompt >= len(f"<|user|>{content}\n\n{context}<|end|>".encode()) - 16  # one token a byte is the worst
