"""Batch sizes and waits from the measured load; the quality ladder; what is measured."""

from __future__ import annotations

import dataclasses
import random

import pytest

from fastpre.serve.scheduling.ladder import Ladder
from fastpre.serve.scheduling.measures import ArrivalRate, Average, ServiceCurve
from fastpre.serve.scheduling.policy import Adaptive, Choice, Load


def curve(fixed_s: float, each_s: float) -> ServiceCurve:
    line = ServiceCurve()
    for size in (1, 2, 4, 8):
        line.add(size, fixed_s + each_s * size)
    return line


def load(rate: float, line: ServiceCurve, *, preprocess_s: float = 0.0, cores: int = 0) -> Load:
    return Load(rate, line, preprocess_s, 1, cores)


def test_a_quiet_server_does_not_wait() -> None:
    assert Adaptive(0.05, 16).choose(load(10, curve(0.005, 0.001))).wait_s == 0


def test_nothing_measured_is_no_reason_to_wait() -> None:
    assert Adaptive(0.05, 16).choose(load(1000, ServiceCurve())) == Choice(16, 0.0)


def test_a_busy_server_waits_for_larger_batches_within_the_target() -> None:
    line = curve(0.005, 0.0005)
    choice = Adaptive(0.05, 16).choose(load(400, line))  # alone, each takes 5.5 ms: 182/s at most
    assert choice.batch > 1
    assert choice.wait_s == pytest.approx((choice.batch - 1) / 400)
    assert choice.wait_s + 2 * line.seconds(choice.batch) <= 0.05
    assert 400 * line.seconds(choice.batch) / choice.batch <= 0.95


def test_no_larger_batch_than_the_target_allows() -> None:
    line = curve(0.001, 0.004)
    choice = Adaptive(0.03, 64).choose(load(200, line))
    assert choice.wait_s + 2 * line.seconds(choice.batch) <= 0.03
    assert Adaptive(0.001, 64).choose(load(100, line)).batch == 1


def test_if_the_target_is_out_of_reach_throughput_counts() -> None:
    assert Adaptive(0.03, 64).choose(load(1000, curve(0.001, 0.004))).batch == 64


def test_what_is_left_of_a_burst_is_not_answered_one_by_one() -> None:
    slow = curve(0.04, 0.0)  # two batches take longer than the target
    calm = Load(5.0, slow, 0.0, 1, 0)
    assert Adaptive(0.05, 16).choose(calm).batch == 1
    assert Adaptive(0.05, 16).choose(dataclasses.replace(calm, waiting=1)).batch == 1
    assert Adaptive(0.05, 16).choose(dataclasses.replace(calm, waiting=100)) == Choice(16, 0.0)


def test_a_pause_of_the_machine_moves_the_curve_little() -> None:
    line = curve(0.005, 0.002)
    for _ in range(8):
        line.add(2, 0.009)
    line.add(2, 5.0)
    assert line.seconds(2) < 0.012


def test_cores_that_preprocessing_uses_are_busy_too() -> None:
    line = curve(0.0005, 0.0001)
    alone = Adaptive(0.05, 16).choose(load(1000, line))
    shared = Adaptive(0.05, 16).choose(load(1000, line, preprocess_s=0.0014, cores=2))
    assert alone.wait_s == 0
    assert shared.wait_s > 0


@pytest.mark.parametrize("rate", [50.0, 150.0, 300.0, 600.0])
def test_the_target_holds_in_a_simulation(rate: float) -> None:
    """Poisson arrivals, one instance, the scheduler's rule of dispatch: p99 within the target at every stable load."""
    line = curve(0.004, 0.0008)
    policy, draws = Adaptive(0.06, 16), random.Random(int(rate))
    arrivals, now = [], 0.0
    for _ in range(5000):
        now += draws.expovariate(rate)
        arrivals.append(now)
    choice = policy.choose(load(rate, line))
    taken, free_at, latencies = 0, 0.0, []
    while taken < len(arrivals):
        due = arrivals[taken] + choice.wait_s
        full = taken + choice.batch - 1
        begin = max(free_at, min(due, arrivals[full]) if full < len(arrivals) else due)
        size = 0
        while taken + size < len(arrivals) and size < choice.batch and arrivals[taken + size] <= begin:
            size += 1
        free_at = begin + line.seconds(size)
        latencies += [free_at - at for at in arrivals[taken : taken + size]]
        taken += size
    latencies.sort()
    assert latencies[int(0.99 * len(latencies))] <= 0.06


def test_the_service_curve_is_the_line_through_what_was_measured() -> None:
    fixed, each = curve(0.005, 0.002).line()
    assert (fixed, each) == (pytest.approx(0.005), pytest.approx(0.002))


def test_the_service_curve_forgets() -> None:
    line = curve(0.005, 0.002)
    for _ in range(300):  # slower than what counts of a single one: it takes some batches more
        line.add(1, 0.1)
        line.add(4, 0.1)
    assert line.seconds(2) == pytest.approx(0.1, rel=0.05)


def test_one_size_alone_is_all_for_each_image() -> None:
    line = ServiceCurve()
    line.add(4, 0.008)
    assert line.line() == (0.0, pytest.approx(0.002))
    falling = ServiceCurve()  # noise: the larger batch was quicker
    falling.add(1, 0.01)
    falling.add(8, 0.005)
    fixed, each = falling.line()
    assert fixed >= 0
    assert each == 0


def test_the_arrival_rate() -> None:
    rate = ArrivalRate(half_life_s=1.0)
    assert rate.per_second(0.0) == 0
    draws, now = random.Random(1), 0.0
    while now < 20:
        now += draws.expovariate(200)
        rate.add(1, now)
    assert rate.per_second(now) == pytest.approx(200, rel=0.15)
    assert rate.per_second(now + 5) < 10
    young = ArrivalRate()
    for i in range(100):
        young.add(1, i / 1000)
    assert young.per_second(0.1) == pytest.approx(1000, rel=0.15)


def test_an_average_begins_with_its_first_value() -> None:
    average = Average(5.0, weight=0.5)
    assert average.value == 5.0
    average.add(1.0)
    assert average.value == 1.0
    average.add(2.0)
    assert average.value == 1.5


def test_the_ladder_steps_one_rung_at_a_time_and_not_back_and_forth() -> None:
    ladder = Ladder(3, down_s=0.1, up_s=0.02, hold_s=1.0)
    assert ladder.choose(0.05, 0.0) == 0
    assert ladder.choose(0.2, 0.1) == 1
    assert ladder.choose(0.2, 0.5) == 1  # the step has had no time to show
    assert ladder.choose(0.2, 1.2) == 2
    assert ladder.choose(0.2, 9.0) == 2  # the last one
    assert ladder.choose(0.05, 10.5) == 2  # between the bounds nothing changes
    assert ladder.choose(0.01, 11.0) == 1
    assert ladder.choose(0.01, 12.5) == 0
    with pytest.raises(ValueError, match="below down_s"):
        Ladder(2, down_s=0.1, up_s=0.1)
