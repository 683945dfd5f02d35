"""What the HTTP side asks of registered shared memory; `regions.Regions` is it."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["SharedMemory"]


class SharedMemory(Protocol):
    """Regions of system shared memory that clients registered by name. All methods raise `ServeError`."""

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Makes a part of the object `key` known as `name`."""

    def unregister(self, name: str | None) -> None:
        """Forgets a region; None: all of them."""

    def status(self, name: str | None) -> list[dict[str, Any]]:
        """Name, key, offset and byte_size of a region, or of all."""

    def check(self, name: str, offset: int, size: int) -> None:
        """Refuses what `view` and `write` would refuse."""

    def view(self, name: str, offset: int, size: int) -> memoryview:
        """Bytes of a region."""

    def write(self, name: str, offset: int, data: bytes | memoryview) -> None:
        """Writes into a region."""
