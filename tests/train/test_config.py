"""What is chosen where a person sets nothing."""

import pytest

from nabot.train.config import TrainConfig


@pytest.mark.parametrize(
    ("rows", "epochs", "steps"),
    [
        (13, 8.0, 13),  # hardly anything to learn: often, but not for ever
        (500, 5.6, 350),
        (750, 3.7, 347),
        (5_000, 3.0, 1875),
    ],
)
def test_small_files_are_learned_more_often(rows: int, epochs: float, steps: int) -> None:
    config = TrainConfig()
    assert config.epochs_for(rows) == epochs
    assert config.steps_for(rows) == steps


def test_epochs_that_are_set_are_kept() -> None:
    config = TrainConfig(epochs=0.5, batch_size=3)
    assert config.epochs_for(10) == 0.5
    assert config.looks_at(10) == 5
    assert config.steps_for(10) == 2


def test_wider_models_get_a_lower_rate() -> None:
    config = TrainConfig()
    assert config.rate_for(576) == pytest.approx(2e-3)
    assert config.rate_for(4096) == pytest.approx(4.3e-4, rel=0.01)
    assert TrainConfig(learning_rate=1e-5).rate_for(4096) == 1e-5
