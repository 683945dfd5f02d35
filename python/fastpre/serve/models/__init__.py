"""Models by name or file, as what the engine runs."""

from __future__ import annotations

from .errors import ModelUnavailable
from .info import IMAGE, INPUT, PIXELS, model_info
from .loading import load

__all__ = ["IMAGE", "INPUT", "PIXELS", "ModelUnavailable", "load", "model_info"]
