"""The rule by which a load generator says that it measured itself."""

from __future__ import annotations

from .histogram import Percentiles

__all__ = ["CORE_SHARE", "LAG_SHARE", "reasons"]

LAG_SHARE = 0.2
SMALLEST_MS = {"p50": 0.5, "p99": 2.0}  # lags below this are the machine's, whatever the latency
CORE_SHARE = 0.9


def reasons(
    own_lag: Percentiles, loop_lag: Percentiles, latency: Percentiles, cpu_share: float, late: int
) -> list[str]:
    """Why the results are the generator's, not the server's; nothing if they are not.

    Its own lateness is part of each latency that it reports. It fell behind if at the median or at the 99th
    percentile that lateness is more than a fifth of the latency at the same percentile (and more than 0.5 ms and 2 ms
    respectively); if it used more than 0.9 of a core, because what it does is done by one thread; or if requests had
    their time and were never sent for its own fault.

    Args:
        own_lag: how late requests were sent because the event loop was; empty in a closed loop.
        loop_lag: how late its timer rang, and so answers were seen.
        latency: of ok answers; of all requests where there is none.
        cpu_share: of one core.
        late: requests that were never sent because the generator was behind.
    """
    found = []
    for name, lag in (("requests were sent", own_lag), ("the event loop ran", loop_lag)):
        for percentile, smallest in SMALLEST_MS.items():
            late_ms = getattr(lag, percentile)
            latency_ms = getattr(latency, percentile)
            if late_ms > max(smallest, LAG_SHARE * latency_ms):
                found.append(f"{name} {late_ms:.1f} ms late at {percentile}, where the latency is {latency_ms:.1f} ms")
    if cpu_share > CORE_SHARE:
        found.append(f"it used {cpu_share:.0%} of a core")
    if late:
        found.append(f"{late:,} requests had their time and were never sent")
    return found
