"""When requests are due in an open loop: seconds from the start, as pure functions of their arguments."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from . import plan as plans

__all__ = ["constant", "due_times", "gamma", "jittered", "poisson", "replayed"]

BLOCK = 1024  # gaps drawn at a time


def constant(rate: float) -> Iterator[float]:
    """Evenly spaced arrivals, `rate` a second, without end."""
    return (i / rate for i in itertools.count())


def poisson(rate: float, seed: int) -> Iterator[float]:
    """Arrivals of many independent clients, `rate` a second in the mean: gaps are exponential. Without end."""
    return gamma(rate, 1.0, seed)


def gamma(rate: float, cv: float, seed: int) -> Iterator[float]:
    """Arrivals in bursts, without end: gaps are Gamma-distributed with mean 1 / `rate` and shape 1 / `cv`².

    That is how BurstGPT (Wang et al. 2024, arXiv 2401.17644) and vLLM's benchmark describe bursty traffic. A `cv`
    (standard deviation of the gaps by their mean) of 1 is a Poisson process.
    """
    rng = np.random.default_rng(seed)
    shape, scale = cv**-2, cv**2 / rate
    last = 0.0
    while True:
        times = last + np.cumsum(rng.gamma(shape, scale, BLOCK))
        last = float(times[-1])
        yield from times.tolist()


def jittered(stamps: Sequence[float], seed: int) -> list[float]:
    """A trace's time stamps in order, from 0 on.

    Where all of them are whole seconds each is moved to a uniform random place within its second: requests that a
    trace has put into one second did not come at its beginning, all at once.
    """
    times = np.sort(np.asarray(stamps, np.float64))
    times -= np.floor(times[0])
    if (times == np.floor(times)).all():
        times = np.sort(times + np.random.default_rng(seed).random(len(times)))
    return [float(t) for t in times]


def replayed(times: Sequence[float], rate: float | None, count: int | None) -> Iterator[float]:
    """A trace's arrivals.

    Args:
        times: in order, from 0 on.
        rate: requests a second in the mean of what is replayed, to which time is stretched or squeezed; None: time
            stays as it is, and the arrivals end with the trace.
        count: how many arrivals are wanted with a rate: the first so many are taken, so that they have this rate
            among them; None: all. A trace with fewer begins again.
    """
    if rate is None:
        yield from times
        return
    taken = np.asarray(times[: count or len(times)], np.float64)
    taken = taken - taken[0]
    # Up to the arrival after the last one taken; where there is none, one mean gap.
    span = float(times[len(taken)] - times[0]) if len(times) > len(taken) else 0.0
    if span <= 0:
        span = float(taken[-1]) * len(taken) / max(1, len(taken) - 1)
    length = len(taken) / rate
    scaled = (taken * (length / span if span > 0 else 0.0)).tolist()
    for turn in itertools.count():
        for t in scaled:
            yield turn * length + t


def due_times(plan: plans.Plan, trace: Sequence[float] = ()) -> Iterator[float]:
    """The arrivals that an open-loop plan asks for, from the beginning of its warm-up; `trace`: its file's stamps."""
    if plan.trace:
        count = None
        if plan.rate is not None:
            by_time = None if plan.duration_s is None else plan.rate * (plan.warmup_s + plan.duration_s)
            by_count = None if plan.requests is None else plan.rate * plan.warmup_s + plan.requests
            count = max(1, round(min(n for n in (by_time, by_count) if n is not None)))
        return replayed(jittered(trace, plan.seed), plan.rate, count)
    assert plan.rate is not None
    if plan.arrivals == plans.CONSTANT:
        return constant(plan.rate)
    return gamma(plan.rate, plan.cv if plan.arrivals == plans.GAMMA else 1.0, plan.seed)
