"""Checks of arguments; each error names the argument and says what it takes."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from .. import _core
from . import lazy_torch

MAX_THREADS = 4096


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """An argument that is one of some names."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def integer(name: str, value: object, least: int = 1, below: int | None = 1 << 31) -> int:
    """An argument that is a whole number of at least `least`; `below`: the first that is too large, if any is."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    if below is not None and number >= below:
        raise ValueError(f"{name} must be below 2**31, got {number}")
    return number


def check_on_error(value: object) -> None:
    """Refuses anything that is no `on_error` of the public calls."""
    if value not in ("raise", "fill", "skip"):
        raise ValueError(f"on_error must be 'raise', 'fill' or 'skip', got {value!r}")


def thread_count(num_threads: int | None) -> int:
    """`num_threads` of the public calls. None: 1 in a DataLoader worker, else the CPUs that this process may use."""
    if num_threads is None:
        return 1 if lazy_torch.inside_loader_worker() else _core.available_threads()
    try:
        number = operator.index(num_threads)
    except TypeError:
        raise TypeError(f"num_threads must be an integer or None, got {num_threads!r}") from None
    if number < 1:
        raise ValueError(f"num_threads must be at least 1, got {number}")
    if number > MAX_THREADS:
        raise ValueError(f"num_threads must be at most {MAX_THREADS}, got {number}")
    return number
