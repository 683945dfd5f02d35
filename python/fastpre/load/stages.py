"""Medians of what servers say of their stages in `Server-Timing`, from a sample of bounded size."""

from __future__ import annotations

import contextlib
import re
import statistics

__all__ = ["StageSample", "stage_times"]

MOST = 8192
# https://www.w3.org/TR/server-timing/: name;dur=milliseconds;desc="...", and so on.
METRIC = re.compile(rb"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)((?:\s*;[^;,="]+(?:="[^"]*"|=[^;,"]*)?)*)""")
PARAMETER = re.compile(rb';\s*([^;,="\s]+)\s*(?:=\s*(?:"([^"]*)"|([^;,"]*)))?')


class StageSample:
    """Headers of requests that were evenly spread: every one, then every second, every fourth, as there come more.

    They are parsed when all is over: while requests are sent each microsecond is theirs.
    """

    def __init__(self) -> None:
        self._headers: list[bytes] = []
        self._stride = 1
        self._seen = 0

    def add(self, header: bytes) -> None:
        """Takes the next header, or leaves it out."""
        if self._seen % self._stride == 0:
            if len(self._headers) == MOST:
                del self._headers[1::2]
                self._stride *= 2
            if self._seen % self._stride == 0:
                self._headers.append(header)
        self._seen += 1

    def __len__(self) -> int:
        return len(self._headers)

    def medians(self) -> dict[str, float]:
        """Milliseconds by stage, in the order in which the server named them first."""
        times: dict[str, list[float]] = {}
        for header in self._headers:
            for name, milliseconds in stage_times(header).items():
                times.setdefault(name, []).append(milliseconds)
        return {name: statistics.median(values) for name, values in times.items()}


def stage_times(header: bytes) -> dict[str, float]:
    """Milliseconds by name; metrics without a duration are left out, several of one name added."""
    found: dict[str, float] = {}
    for metric in METRIC.finditer(header):
        for parameter, quoted, plain in PARAMETER.findall(metric[2]):
            if parameter.lower() == b"dur":
                with contextlib.suppress(ValueError):
                    name = metric[1].decode("ascii")
                    found[name] = found.get(name, 0.0) + float(quoted or plain)
    return found
