"""What a `Sampling` refuses, wherever it comes from: bot.toml, `/set`, Python."""

import math
from typing import Any

import pytest

from nabot.errors import ConfigError
from nabot.textmodel import Sampling


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", 0), ("max_new_tokens", 3.5), ("max_new_tokens", True), ("max_new_tokens", "9"),
        ("repetition_penalty", 0), ("repetition_penalty", math.inf), ("presence_penalty", 2.1), ("presence_penalty", math.nan), ("temperature", -0.1),
        ("temperature", math.nan), ("temperature", 10**400), ("top_k", -1), ("top_k", 2.5), ("top_p", 0),
        ("top_p", 1.1), ("min_p", -0.1), ("min_p", 1.1), ("seed", -1), ("seed", 2**63), ("seed", "x"), ("seed", 1.0),
        ("stop", "abc"), ("stop", 5), ("stop", (5,)), ("stop", ("",)), ("stop", None),
    ],
)  # fmt: skip
def test_an_impossible_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} cannot be .*; expected "):
        Sampling(**{name: value})


def test_the_ends_of_every_range_are_allowed() -> None:
    Sampling(max_new_tokens=1, temperature=0, top_k=0, top_p=1, min_p=0, seed=0, stop=())
    Sampling(repetition_penalty=1, presence_penalty=-2, temperature=2, min_p=1, seed=2**63 - 1, stop=("###", "\n"))
