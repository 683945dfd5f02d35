"""Reading the time stamps of a trace of requests, such as BurstGPT's."""

from __future__ import annotations

import csv
import datetime
import re

__all__ = ["read_trace"]

# What columns of arrival times are called, without case, spaces and underscores: BurstGPT and Azure's LLM and function
# traces have "Timestamp", others what follows. Earlier names win.
NAMES = ("timestamp", "arrivaltime", "arrivaltimestamp", "arrival", "arrivedat", "starttimestamp", "starttime", "time")

# Python before 3.11 reads fractions of 3 or 6 digits only; Azure's have 7.
FRACTION = re.compile(r"\.(\d+)")


def read_trace(path: str) -> list[float]:
    """Arrival times in seconds, in the file's order, from a .csv file with a header.

    Stamps are numbers of seconds, or dates with time in ISO 8601's form.

    Raises:
        ValueError: no column has such a name, or a stamp cannot be read; the message names the line.
        OSError: the file cannot be read.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        column = _column(header)
        if column is None:
            raise ValueError(f"{path}: no column of its header is called Timestamp or the like: {', '.join(header)}")
        stamps = []
        for row in rows:
            if not row:
                continue
            try:
                stamps.append(_seconds(row[column]))
            except (IndexError, ValueError):
                raise ValueError(f"{path}, line {rows.line_num}: no time stamp in {','.join(row)[:80]!r}") from None
    if not stamps:
        raise ValueError(f"{path} has no rows")
    return stamps


def _column(header: list[str]) -> int | None:
    plain = [re.sub(r"[\s_]", "", name).lower() for name in header]
    return next((plain.index(name) for name in NAMES if name in plain), None)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        whole = FRACTION.sub(lambda digits: "." + digits[1][:6].ljust(6, "0"), text.strip().replace("Z", "+00:00"))
        stamp = datetime.datetime.fromisoformat(whole)
        if stamp.tzinfo is None:
            stamp = stamp.replace(tzinfo=datetime.timezone.utc)
        return stamp.timestamp()
    if not abs(seconds) < float("inf"):
        raise ValueError(text)
    return seconds
