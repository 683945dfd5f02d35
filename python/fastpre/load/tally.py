"""Counting while requests are under way: constant memory for each kind of request, a few bytes for each second."""

from __future__ import annotations

import array
from collections import Counter
from typing import Any

from . import outcome as outcomes
from .client import Ticket
from .histogram import histogram, seconds_to_unit
from .outcome import Outcome
from .stages import StageSample

__all__ = ["SecondTally", "Tally"]

MOST_CODES = 200  # a server may say anything


class SecondTally:
    """One second of the series; see `report.Second`."""

    __slots__ = ("due", "failed", "latencies_ms", "ok", "refused", "sent")

    def __init__(self) -> None:
        self.due = self.sent = self.ok = self.refused = self.failed = 0
        self.latencies_ms = array.array("f")


class Tally:
    """All that is known of the requests that have ended.

    Attributes:
        begin: moment from which requests count.
        end: moment up to which answers count as throughput.
        latency: histogram of the times from being due to the end, by kind of outcome and size class.
        service: the same from being sent.
        codes: by kind and code; of `OK` there is one, the empty code.
        bad: kinds of the outcomes of requests with a damaged image, which are in the other counts as well.
        retry_after: how many refusals said when to come again.
        send_lag: histogram of how long after it was due each request was sent, whatever the reason.
        handling_lag: of how long after it was due the loop came to it: the generator's own part, without `held` ones.
        loop_lag: of how late a timer of every 20 ms rang.
        opening: of what connections took that were opened for a request.
        held: requests that waited because `max_outstanding` had no answer.
        ok_in_window: ok answers that came within the window, whether their request is counted or not.
    """

    def __init__(self, begin: float, end: float) -> None:
        self.begin = begin
        self.end = end
        self.latency: dict[tuple[str, str], Any] = {}
        self.service: dict[tuple[str, str], Any] = {}
        self.codes: Counter[tuple[str, str]] = Counter()
        self.bad: Counter[str] = Counter()
        self.retry_after = 0
        self.send_lag = histogram()
        self.handling_lag = histogram()
        self.loop_lag = histogram()
        self.opening = histogram()
        self.held = 0
        self.sent = 0
        self.sent_bytes = 0
        self.warmup = 0
        self.ok_in_window = 0
        self.last_end = begin
        self.stages = StageSample()
        self._seconds: dict[int, SecondTally] = {}

    def second(self, moment: float) -> SecondTally:
        """The row of the series that a moment falls into."""
        index = int(moment - self.begin)
        row = self._seconds.get(index)
        if row is None:
            row = self._seconds[index] = SecondTally()
        return row

    @property
    def seconds(self) -> dict[int, SecondTally]:
        """Rows by second since `begin`."""
        return self._seconds

    def add(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Counts the end of a request."""
        ok = outcome.kind == outcomes.OK
        if ok and self.begin <= now < self.end:
            self.ok_in_window += 1
        if now >= self.begin:
            row = self.second(now)
            if ok:
                row.ok += 1
            elif outcome.kind == outcomes.REFUSED:
                row.refused += 1
            else:
                row.failed += 1
        if not ticket.counted:
            self.warmup += 1
            return
        self.last_end = now
        key = outcome.kind, ticket.request.size_class
        code = outcome.kind, outcome.code
        self.codes[code if code in self.codes or len(self.codes) < MOST_CODES else (outcome.kind, "other")] += 1
        latency = now - ticket.due
        self._record(self.latency, key, latency)
        row = self.second(ticket.due)
        row.due += 1
        if ok:
            row.latencies_ms.append(latency * 1e3)
        if ticket.sent:
            self.sent += 1
            self.sent_bytes += len(ticket.request.payload)
            self.second(ticket.sent).sent += 1
            self._record(self.service, key, now - ticket.sent)
            self.send_lag.record_value(seconds_to_unit(ticket.sent - ticket.due))
            if ticket.opened:
                self.opening.record_value(seconds_to_unit(ticket.sent - ticket.handled))
        if ticket.held:
            self.held += 1
        else:
            self.handling_lag.record_value(seconds_to_unit(ticket.handled - ticket.due))
        if ticket.request.bad:
            self.bad[outcome.kind] += 1
        if outcome.retry_after_s is not None:
            self.retry_after += 1
        if outcome.timing and ok:
            self.stages.add(outcome.timing)

    def _record(self, histograms: dict[tuple[str, str], Any], key: tuple[str, str], seconds: float) -> None:
        recorded = histograms.get(key)
        if recorded is None:
            recorded = histograms[key] = histogram()
        recorded.record_value(seconds_to_unit(seconds))
