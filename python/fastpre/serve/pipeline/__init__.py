"""Several models for one request: a detector whose boxes a classifier looks at, and a cheap pass before a full one."""

from __future__ import annotations

from .pipeline import Pipeline
from .relay import Relay

__all__ = ["Pipeline", "Relay"]
