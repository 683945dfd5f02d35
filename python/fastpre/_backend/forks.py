"""Refuses CUDA in forked processes, where it does not work and its own errors are hard to read."""

from __future__ import annotations

import multiprocessing

from ..errors import BackendUnavailable
from . import lazy_torch


def _forked() -> bool:
    """True in a process that multiprocessing forked off."""
    kind = type(multiprocessing.current_process()).__name__
    return kind == "ForkProcess" or (kind == "Process" and multiprocessing.get_start_method() == "fork")


def refuse_forked_worker() -> None:
    """Refuses CUDA where a fork has made it unusable.

    Refused are DataLoader workers, whose parents have CUDA in use sooner or later, and any process that was forked off
    after torch had it in use. Others may be the first to use it.

    Raises:
        BackendUnavailable: in a forked DataLoader worker, or where CUDA was used before the fork.
    """
    if (lazy_torch.inside_loader_worker() and _forked()) or lazy_torch.require().cuda._is_in_bad_fork():
        msg = (
            'device="cuda" cannot be used in a forked worker process, such as a DataLoader\'s: let workers ship bytes '
            "and decode in the main process (fastpre.data.Loader does), or give the DataLoader "
            'multiprocessing_context="spawn"'
        )
        raise BackendUnavailable(msg)
