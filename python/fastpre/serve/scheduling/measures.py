"""What the policy knows of the load: the arrival rate, and what a batch of each size takes."""

from __future__ import annotations

import math

__all__ = ["ArrivalRate", "Average", "ServiceCurve"]

STEADY = 8  # batches after which the curve is known
OUTLIER_TIMES = 3


class Average:
    """An average that forgets: each new value counts `weight`, so half of it is from the last 0.7 / weight values."""

    def __init__(self, first: float = 0.0, weight: float = 0.05) -> None:
        self.value = first
        self._weight = weight
        self._seen = False

    def add(self, value: float) -> None:
        """One more value; the first one replaces the guess."""
        self.value = self.value + self._weight * (value - self.value) if self._seen else value
        self._seen = True


class ArrivalRate:
    """Arrivals per second, forgotten with a half-life.

    An exponentially weighted rate: after n arrivals spread over many half-lives it tends to the true rate, whatever
    their spacing; without any it falls to zero.
    """

    def __init__(self, half_life_s: float = 1.0) -> None:
        self._decay = math.log(2) / half_life_s
        self._weight = 0.0
        self._last = 0.0
        self._first: float | None = None

    def add(self, count: int, now: float) -> None:
        """`count` arrivals at `now`, in seconds."""
        if self._first is None:
            self._first = now
        self._weight = self._weight * math.exp(-self._decay * (now - self._last)) + count
        self._last = now

    def per_second(self, now: float) -> float:
        """The rate at `now`."""
        if self._first is None:
            return 0.0
        # Right after the start only a part of the weight's time has passed: it is the rate over that part.
        seen = 1.0 - math.exp(-self._decay * max(now - self._first, 0.05))
        return self._weight * math.exp(-self._decay * (now - self._last)) * self._decay / seen


class ServiceCurve:
    """Seconds that a batch takes, by its size: a line `fixed + each * n` through the measured ones, recent ones first.

    Weighted least squares with exponential forgetting. A model's time is close to a line for the sizes of a batch that
    serve a target; where it is not, the line fits the sizes that are in use, and these are what is asked for.
    """

    def __init__(self, forget: float = 0.02) -> None:
        self._keep = 1.0 - forget
        self._seen = 0
        self._w = self._n = self._nn = self._t = self._nt = 0.0

    def add(self, size: int, seconds: float) -> None:
        """A batch of `size` images took `seconds`.

        Of a batch that took very long (a pause of the machine, a page fault) only as much counts as moves the line a
        little; if they go on, the line follows.
        """
        if self._seen >= STEADY:
            seconds = min(seconds, OUTLIER_TIMES * self.seconds(size))
        self._seen += 1
        k = self._keep
        self._w = k * self._w + 1
        self._n = k * self._n + size
        self._nn = k * self._nn + size * size
        self._t = k * self._t + seconds
        self._nt = k * self._nt + size * seconds

    @property
    def known(self) -> bool:
        """True once a batch was measured."""
        return self._w > 0

    def seconds(self, size: int) -> float:
        """What a batch of `size` will take; 0 if nothing is known."""
        fixed, each = self.line()
        return fixed + each * size

    def line(self) -> tuple[float, float]:
        """(seconds for any batch, seconds for each image more)."""
        if not self._w:
            return 0.0, 0.0
        n, t = self._n / self._w, self._t / self._w
        spread = self._nn / self._w - n * n
        each = (self._nt / self._w - n * t) / spread if spread > 1e-9 else t / n
        each = min(max(each, 0.0), t / n)  # neither part is negative, whatever the noise
        return t - each * n, each
