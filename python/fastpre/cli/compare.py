"""`fastpre run --compare`: the same files through torchvision, first checked, then timed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from fastpre import Spec

from .errors import Unusable
from .files import Found
from .reference import (
    PIL_PATH,
    Implementation,
    bit_equal,
    fastpre_implementation,
    one_thread,
    torchvision_implementations,
)
from .timing import Rate, interleaved

__all__ = ["MOST_FILES", "Comparison", "compare"]

MOST_FILES = 64
ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How fastpre did beside torchvision on a sample of the files, one thread each.

    Attributes:
        files: how many were compared.
        bit_equal: how many of them came out as torchvision's PIL path makes them, bit for bit.
        timed: how many of them all implementations can use, which are the ones that were timed.
        rates: by implementation, fastpre first.
        missing: implementations that did not take part, and why.
    """

    files: int
    bit_equal: int
    timed: int
    rates: dict[str, Rate]
    missing: dict[str, str]

    def lines(self) -> list[str]:
        """For people: equality, then speed."""
        own = self.rates["fastpre"].median
        others = [
            f"{name} {rate.median:,.1f} (fastpre is {own / rate.median:.2f}x)"
            for name, rate in self.rates.items()
            if name != "fastpre"
        ]
        lines = [
            f"bit-equal to torchvision's PIL path on {self.bit_equal} of {self.files} files",
            f"images/s on one thread, {self.timed} files: fastpre {own:,.1f}, {', '.join(others)}",
        ]
        return lines + [f"{name} left out: {why}" for name, why in self.missing.items()]


def compare(files: Sequence[Found], spec: Spec, device: str) -> Comparison:
    """Compares on at most `MOST_FILES` of the files, evenly spread; they are read beforehand.

    Args:
        files: that fastpre could turn into tensors; one that torchvision refuses counts as not
            bit-equal, and is left out of the timing.
        spec: what was done to them.
        device: where.

    Raises:
        Unusable: torch, torchvision or Pillow is missing, or there is nothing to compare.
    """
    others, missing = torchvision_implementations(spec)
    if PIL_PATH in missing:
        raise Unusable(f"--compare needs torch, torchvision and Pillow: {missing[PIL_PATH]}")
    own = fastpre_implementation(spec, device)
    sample = [files[i * len(files) // MOST_FILES] for i in range(MOST_FILES)] if len(files) > MOST_FILES else files
    with one_thread():
        usable: list[bytes] = []
        equal = 0
        for file in sample:
            with open(file.path, "rb") as f:
                data = f.read()
            results = [_attempt(other, data) for other in others]
            if all(result is not None for result in results):
                usable.append(data)
            equal += results[0] is not None and bit_equal(own.run([data])[0], results[0])
        if not usable:
            raise Unusable("--compare: torchvision can use none of the files")
        timings = interleaved({i.name: i.passes(usable) for i in (own, *others)}, ROUNDS)
    rates = {name: timing.rate for name, timing in timings.items()}
    return Comparison(len(sample), equal, len(usable), rates, missing)


def _attempt(implementation: Implementation, data: bytes) -> Any:
    """The result, or None for whatever it raises: a file that it cannot use."""
    try:
        return implementation.run([data])[0]
    except Exception:
        return None
