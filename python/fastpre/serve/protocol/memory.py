"""What the protocols ask of registered shared memory."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["SharedMemory"]


class SharedMemory(Protocol):
    """Regions of system shared memory that clients registered by name."""

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Maps `byte_size` bytes of the object `key` from `offset` on. Raises `ServeError`."""

    def unregister(self, name: str | None) -> None:
        """Forgets a region; None: all of them."""

    def status(self, name: str | None) -> list[dict[str, Any]]:
        """Name, key, offset and byte_size of a region, or of all. Raises `NotFound`."""

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Bytes of a region. Raises `ServeError` for an unknown one, or bytes outside it."""
