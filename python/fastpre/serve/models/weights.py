"""Weights: random ones that are the same everywhere, and trained ones that cannot be fetched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .errors import ModelUnavailable

__all__ = ["fetching", "seeded"]

INSTEAD = (
    "use --random-weights (random_weights=True), or a file: torchscript:FILE.pt, export:FILE.pt2 or onnx:FILE.onnx"
)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights that are made inside are the same for the same seed; the caller's generator does not move."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def fetching(what: str, instead: str = INSTEAD) -> Iterator[None]:
    """Turns what a library raises when something cannot be fetched into one line that says how to go on.

    Args:
        what: cannot be fetched.
        instead: what to do.
    """
    try:
        yield
    except ModelUnavailable:
        raise
    except Exception as e:
        if not _is_transport(e):
            raise
        reason = " ".join(str(e).split())
        raise ModelUnavailable(f"{what} cannot be fetched: {instead} ({_shortened(reason) or type(e).__name__})") from e


def _is_transport(error: Exception) -> bool:
    """True for OSErrors (urllib's and requests' among them), and what HTTP libraries that need not be there raise."""
    libraries = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    return isinstance(error, OSError) or bool(libraries & {"huggingface_hub", "httpx", "httpcore", "requests"})


def _shortened(text: str, most: int = 160) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
