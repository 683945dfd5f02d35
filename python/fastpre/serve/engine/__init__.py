"""The engine: what takes images through preprocessing and a model, with threads and a clock."""

from __future__ import annotations

from .engine import Engine, Prediction
from .settings import Settings

__all__ = ["Engine", "Prediction", "Settings"]
