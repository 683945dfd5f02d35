"""How many threads torch gives a forward pass, in a process that preprocesses on the same cores."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from .engine import Engine

__all__ = ["choose_model_threads"]

log = logging.getLogger(__name__)

# Below it a second thread gains less than what waking it costs while other cores preprocess:
# benchmarks/serving.py --only fastpre --serve-options="--model-threads 2" shows it beside the default.
SHORT_S = 0.005


def choose_model_threads(engines: Iterable[Engine]) -> None:
    """One thread of torch for a forward pass if all models here are short; otherwise torch's own choice.

    It is the process's setting, so it is for a server that has the process to itself. OMP_NUM_THREADS goes before it.
    Called when the engines are started: they have measured their models.
    """
    own = [engine for engine in engines if engine.cores and engine.local]
    if not own or "OMP_NUM_THREADS" in os.environ:
        return
    longest = max(engine.scheduler.curve.seconds(1) for engine in own)
    if longest < SHORT_S:
        import torch

        if torch.get_num_threads() > 1:
            torch.set_num_threads(1)
            log.info("a forward pass takes %.2f ms: one thread for each", longest * 1e3)
