"""What a setting may be written as, and what it means then."""

import pytest

from nabot.recipes.settings import Settings


@pytest.mark.parametrize("seed", [2**53 + 1, 2**63 - 1])
def test_a_large_seed_is_kept_to_the_last_digit(seed: int) -> None:
    assert Settings().with_values({"seed": seed}).train.seed == seed
    assert Settings().with_values({"seed": str(seed)}).train.seed == seed


@pytest.mark.parametrize("eight", [8, "8", 8.0, "8.0", "8e0"])
def test_a_whole_number_may_be_written_in_several_ways(eight: float | str) -> None:
    assert Settings().with_values({"rank": eight}).lora.rank == 8


def test_settings_know_which_keys_were_given() -> None:
    settings = Settings().with_values({"rank": 16}).with_values({"seed": 0})
    assert settings.given == {"rank", "seed"}
    assert settings == Settings()
