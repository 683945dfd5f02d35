"""The one error of models that cannot be had."""

from __future__ import annotations

__all__ = ["ModelUnavailable"]


class ModelUnavailable(ValueError):
    """There is no model to be had as asked: a wrong name, a missing file, library or network, outputs without a shape.

    The message is one line that says what to do about it.
    """
