"""Which epoch it is: counted here, or said by the user, and told to whatever asks to be told."""

from __future__ import annotations

from typing import Any

__all__ = ["Epochs"]


class Counted(int):
    """A number that was counted here and not set by the user, as a sampler's `epoch` shows."""


class Epochs:
    """Numbers a loader's epochs.

    Args:
        dataset, batch_sampler, sampler: told by their `set_epoch`, if they have one. A sampler may also be asked: one
            whose `epoch` the user has set (`loader.sampler.set_epoch(3)`, as training scripts and Lightning do) is
            believed.
    """

    def __init__(self, dataset: Any, batch_sampler: Any, sampler: Any) -> None:
        self._dataset = dataset
        # A batch sampler of the user's has its sampler within, and DataLoader's own beside it then stands for nothing.
        samplers = [batch_sampler, getattr(batch_sampler, "sampler", None), sampler]
        self._samplers = [s for i, s in enumerate(samplers) if _listens(s) and not any(s is t for t in samplers[:i])]
        self._number = 0
        self._begun = False

    @property
    def begun(self) -> bool:
        """True from an epoch's first batch until another number is set."""
        return self._begun

    def coming(self) -> int:
        """The number of the epoch that the next iteration will be."""
        for sampler in self._samplers:
            number = getattr(sampler, "epoch", None)
            if isinstance(number, int) and not isinstance(number, Counted):
                return number
        return self._number + self._begun

    def set(self, number: int) -> None:
        """The next iteration will be this epoch."""
        self._number, self._begun = number, False
        for listener in self._samplers:
            listener.set_epoch(Counted(number))
        if _listens(self._dataset):
            self._dataset.set_epoch(number)

    def begin(self) -> None:
        """The epoch that was set is under way."""
        self._begun = True


def _listens(thing: Any) -> bool:
    return callable(getattr(thing, "set_epoch", None))
