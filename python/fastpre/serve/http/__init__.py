"""The server over HTTP: Open Inference Protocol v2, and images as plain bodies and forms."""

from __future__ import annotations

from .app import Admit, Application, Metrics
from .connection import Connection
from .limits import Limits

__all__ = ["Admit", "Application", "Connection", "Limits", "Metrics"]
