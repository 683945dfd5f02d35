"""The Open Inference Protocol over gRPC: `start` serves a `Service` in the running event loop."""

from __future__ import annotations

from .server import GrpcServer, start

__all__ = ["GrpcServer", "start"]
