"""Arrivals have the rate and the burstiness that were asked for, and are the same for the same seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastpre.load import Plan, constant, gamma, jittered, poisson, read_trace, replayed
from fastpre.load.arrivals import due_times

N = 20_000


def first(arrivals: Iterator[float], count: int = N) -> np.ndarray:
    return np.fromiter(itertools.islice(arrivals, count), np.float64)


def gaps(times: np.ndarray) -> np.ndarray:
    return np.diff(times, prepend=0.0)


def distance(values: np.ndarray, distribution: np.ndarray) -> float:
    """Kolmogorov-Smirnov's: the largest difference from a distribution, given as its value at each sorted value."""
    steps = np.arange(len(values) + 1) / len(values)
    return float(max((steps[1:] - distribution).max(), (distribution - steps[:-1]).max()))


def test_constant_is_evenly_spaced() -> None:
    times = first(constant(250.0))
    assert times[0] == 0
    np.testing.assert_allclose(np.diff(times), 1 / 250, rtol=1e-9)


def test_poisson_gaps_are_exponential() -> None:
    rate = 80.0
    values = np.sort(gaps(first(poisson(rate, 3))))
    assert values.mean() == pytest.approx(1 / rate, rel=3 / math.sqrt(N))
    assert distance(values, 1 - np.exp(-rate * values)) < 1.63 / math.sqrt(N)  # the 1% point
    counts = np.bincount(first(poisson(rate, 3)).astype(int))[:-1]
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.3)  # index of dispersion


@pytest.mark.parametrize("cv", [0.25, 1.0, 2.0, 4.0])
def test_gamma_gaps_have_the_mean_and_the_variation(cv: float) -> None:
    rate = 50.0
    values = gaps(first(gamma(rate, cv, 11)))
    assert (values >= 0).all()
    assert values.mean() == pytest.approx(1 / rate, rel=4 * cv / math.sqrt(N))
    assert values.std() / values.mean() == pytest.approx(cv, rel=0.06)
    # Skewness tells a Gamma distribution (2 cv) from others, such as the lognormal (3 cv + cv³).
    skewness = ((values - values.mean()) ** 3).mean() / values.std() ** 3
    assert skewness == pytest.approx(2 * cv, rel=0.2)


def test_bursts_show_in_the_counts_of_seconds() -> None:
    def dispersion(cv: float) -> float:
        counts = np.bincount(first(gamma(100.0, cv, 5)).astype(int))[:-1]
        return float(counts.var() / counts.mean())

    assert dispersion(0.2) < 0.2 < 0.7 < dispersion(1.0) < 1.4 < 6 < dispersion(3.0)


def test_a_seed_decides() -> None:
    np.testing.assert_array_equal(first(gamma(9.0, 2.0, 1)), first(gamma(9.0, 2.0, 1)))
    assert (first(gamma(9.0, 2.0, 1)) != first(gamma(9.0, 2.0, 2))).any()
    np.testing.assert_array_equal(first(poisson(9.0, 1)), first(gamma(9.0, 1.0, 1)))


def test_whole_seconds_are_jittered_within_the_second() -> None:
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(1_000_000, 1_001_000, N)).astype(float)
    times = np.array(jittered([float(s) for s in seconds], 7))
    assert (np.diff(times) >= 0).all()
    np.testing.assert_array_equal(np.floor(times), seconds - seconds[0])
    fractions = np.sort(times % 1)
    assert distance(fractions, fractions) < 1.63 / math.sqrt(N)
    assert jittered(list(seconds), 7) == list(times)
    assert jittered(list(seconds), 8) != list(times)


def test_stamps_with_fractions_are_left_alone() -> None:
    assert jittered([10.5, 12.0, 11.25], 0) == [0.5, 1.25, 2.0]


def test_a_trace_is_stretched_to_the_rate() -> None:
    stamps = np.cumsum(np.random.default_rng(2).gamma(0.3, 10.0, 5000)).tolist()
    times = first(replayed(stamps, 200.0, 1000), 1000)
    assert times[0] == 0
    assert times[-1] < 1000 / 200
    shape = (np.array(stamps[:1000]) - stamps[0]) / (stamps[999] - stamps[0])
    np.testing.assert_allclose(times / times[-1], shape)
    # The gap after the last one counts: the next 1,000 begin at 5 s.
    assert (1000 / 200 - times[-1]) / (stamps[1000] - stamps[999]) == pytest.approx(times[1] / (stamps[1] - stamps[0]))


def test_a_short_trace_begins_again() -> None:
    times = first(replayed([0.0, 1.0, 3.0], 10.0, 9), 9)
    assert times[-1] < 0.9
    np.testing.assert_allclose(times[3:6] - times[:3], 0.3)
    np.testing.assert_allclose(np.diff(times[:3]), [0.2 / 3, 0.4 / 3])


def test_one_stamp_and_equal_stamps_have_a_rate_too() -> None:
    np.testing.assert_allclose(first(replayed([0.0], 10.0, 3), 3), [0, 0.1, 0.2])
    times = first(replayed([0.0, 0.0], 10.0, 4), 4)
    np.testing.assert_allclose(times, [0, 0, 0.2, 0.2])


def test_without_a_rate_a_trace_is_replayed_as_it_is() -> None:
    assert list(replayed([0.5, 1.0], None, None)) == [0.5, 1.0]


def test_a_plan_says_which_arrivals(tmp_path: Path) -> None:
    def plan(**options: object) -> Plan:
        return Plan(url="http://127.0.0.1:1", **options)  # type: ignore[arg-type]

    assert next(due_times(plan(rate=4, arrivals="constant"))) == 0
    np.testing.assert_array_equal(first(due_times(plan(rate=4, seed=9)), 50), first(poisson(4, 9), 50))
    bursts = plan(rate=4, arrivals="gamma", cv=3, seed=9)
    np.testing.assert_array_equal(first(due_times(bursts), 50), first(gamma(4, 3, 9), 50))
    trace = [float(s // 7) for s in range(7000)]
    replay = plan(rate=100, arrivals="a.csv", duration_s=3, warmup_s=1)
    times = first(due_times(replay, trace), 400)
    assert 3.5 < times[-1] < 4  # as many as fit into four seconds
    assert len(list(due_times(plan(arrivals="a.csv"), trace))) == 7000


# The header of BurstGPT's files, of Azure's LLM traces, and of others.
TRACES = {
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,1,2,3,API\n45,GPT-4,1,2,3,API\n": [
        5,
        45,
    ],
    "TIMESTAMP,ContextTokens\n2023-11-16 18:15:46.6805900,1\n2023-11-16 18:15:48.1805901,2\n": [0.0, 1.5],
    "\ufeffid;x,arrival_time\n1,0.25\n\n2,0.5\n": [0.25, 0.5],
    "time,start time\n1,2024-01-01T00:00:00Z\n1,2024-01-01T00:00:02+00:00\n": [0, 2],
}


@pytest.mark.parametrize("text", TRACES)
def test_time_stamps_are_found_by_their_header(text: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    stamps = read_trace(str(path))
    expected = TRACES[text]
    offset = stamps[0] - expected[0] if stamps[0] > 1e6 else 0.0
    assert [s - offset for s in stamps] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column of its header is called Timestamp"),
        ("model,tokens\n1,2\n", "no column of its header is called Timestamp or the like: model, tokens"),
        ("Timestamp,x\n", "has no rows"),
        ("Timestamp,x\n1,2\nsoon,2\n", r"line 3: no time stamp in 'soon,2'"),
        ("x,Timestamp\n1,2\n1\n", r"line 3: no time stamp in '1'"),
        ("Timestamp\nnan\n", "line 2: no time stamp"),
        ("Timestamp\ninf\n", "line 2: no time stamp"),
    ],
)
def test_a_trace_that_cannot_be_read_says_where(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_trace(str(path))
