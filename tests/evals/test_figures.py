"""The loss curve: readable ticks, everything inside the frame, nothing smoothed away."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nabot.evals.figures import Losses, loss_curve, running_mean, thin, ticks

RUN = [{"step": 0, "held_out_loss": 4.0}] + [{"step": i, "loss": 4 / i} for i in range(1, 101)]
LOSSES = st.lists(st.floats(0, 1e4), min_size=1, max_size=60)


def series(values, first=1):
    return tuple((float(i), v) for i, v in enumerate(values, first))


def coordinates(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


# reading metrics


def test_training_and_held_out_losses_are_told_apart():
    metrics = [
        {"step": 0, "held_out_loss": 3.5},
        {"step": 1, "loss": 3.0, "tokens": 9},
        {"step": 1, "held_out_loss": 2},
    ]
    assert Losses.of(metrics) == Losses(((1.0, 3.0),), ((0.0, 3.5), (1.0, 2.0)))


def test_a_step_that_was_done_twice_counts_once_and_losses_that_are_no_numbers_not_at_all():
    metrics = [
        {"step": 2, "loss": 2.0},
        {"step": 1, "loss": 3.0},
        {"step": 2, "loss": 1.0},
        {"step": 3, "loss": math.nan},
    ]
    assert Losses.of([*metrics, {"step": 4, "loss": None}]).training == ((1.0, 3.0), (2.0, 1.0))


def test_without_losses_there_is_no_curve():
    assert loss_curve(Losses.of([{"step": 1, "tokens": 5}])) is None


# geometry


@given(LOSSES, LOSSES, st.sampled_from([(760, 320), (360, 260)]))
def test_everything_lies_within_the_frame(training, held_out, size):
    curve = loss_curve(Losses(series(training), series(held_out, first=0)), *size)
    points = coordinates(curve.raw) + coordinates(curve.smooth) + list(curve.dots)
    assert all(curve.left - 0.1 <= x <= curve.right + 0.1 for x, _ in points)
    assert all(curve.top - 0.1 <= y <= curve.bottom + 0.1 for _, y in points)
    assert (curve.y_ticks[0].at, curve.y_ticks[-1].at) == pytest.approx((curve.bottom, curve.top))


@given(LOSSES, st.integers(1, 10**6), st.sampled_from([(760, 320), (360, 260)]))
def test_labels_do_not_overlap(training, last_step, size):
    points = (*series(training), (float(last_step + 60), 1.0))
    curve = loss_curve(Losses(points, ()), *size)
    width = 8 * max(len(t.label) for t in curve.x_ticks)  # a digit of 13 pixels' type is 7-8 wide
    assert all(b.at - a.at > width for a, b in zip(curve.x_ticks, curve.x_ticks[1:], strict=False))
    assert all(a.at - b.at > 16 for a, b in zip(curve.y_ticks, curve.y_ticks[1:], strict=False))
    assert len({t.label for t in curve.y_ticks}) == len(curve.y_ticks)


def test_the_held_out_loss_of_step_0_stands_on_the_axis():
    curve = loss_curve(Losses.of(RUN))
    assert curve.dots == ((curve.left, curve.top),)
    assert [t.label for t in curve.y_ticks] == ["0", "1", "2", "3", "4"]


def test_a_run_of_one_step_is_a_dot():
    curve = loss_curve(Losses.of([{"step": 1, "loss": 2.0}]))
    assert curve.smooth.endswith(" h0")
    assert [t.label for t in curve.x_ticks] == ["0", "1"]


def test_losses_of_zero_are_drawn():
    assert loss_curve(Losses.of([{"step": 1, "loss": 0.0}, {"step": 2, "loss": 0.0}])).y_ticks[-1].label == "1.0"


# ticks, smoothing, thinning


@given(st.floats(1e-6, 1e9), st.integers(2, 10))
def test_ticks_are_round_numbers_that_reach_the_highest(highest, count):
    found = ticks(highest, count)
    assert found[0] == 0
    assert found[-2] < highest <= found[-1] * (1 + 1e-6)
    assert len(found) <= count + 2
    assert f"{found[1]:.0e}"[0] in "125"


@pytest.mark.parametrize("highest", [0.0, 5e-324])
def test_next_to_nothing_has_ticks_up_to_one(highest):
    assert ticks(highest, 5)[-1] == 1


@given(st.integers(1, 10**7), st.integers(2, 10))
def test_ticks_of_steps_are_whole(last, count):
    assert all(value == round(value) for value in ticks(last, count, whole=True))


def test_the_running_mean_of_a_straight_line_is_that_line_but_for_its_ends():
    line = series([float(i) for i in range(100)])
    assert [loss for _, loss in running_mean(line)][10:90] == pytest.approx([loss for _, loss in line][10:90])


@given(LOSSES)
def test_the_running_mean_stays_between_lowest_and_highest(values):
    smooth = [loss for _, loss in running_mean(series(values))]
    assert min(values) - 1e-6 <= min(smooth)
    assert max(smooth) <= max(values) + 1e-6


def test_thinning_keeps_a_spike_and_both_ends():
    values = [1.0] * 10_000
    values[4321] = 9.0
    kept = thin(series(values), 300)
    assert len(kept) <= 1200
    assert (kept[0], kept[-1]) == ((1.0, 1.0), (10_000.0, 1.0))
    assert (4322.0, 9.0) in kept
    assert kept == sorted(kept)


def test_a_short_run_is_not_thinned():
    assert thin(series([3.0, 2.0, 1.0]), 300) == list(series([3.0, 2.0, 1.0]))
