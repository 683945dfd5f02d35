"""Where a batch is made, by name: the CPU, a CUDA device, or the emulator of one."""

from __future__ import annotations

from typing import Any, Protocol

from .. import _core
from . import cuda
from .call import Call
from .cpu import Cpu
from .cuda import Cuda, Emulated
from .output import Draws, Layout, Output

__all__ = ["Cpu", "Cuda", "Device", "Emulated", "resolve"]


class Device(Protocol):
    """What `Preprocessor` asks of a device."""

    name: str

    def allocate(self, layout: Layout, pin_memory: bool) -> Output: ...

    def adopt(self, out: Any, layout: Layout) -> Output: ...

    def execute(
        self,
        compiled: _core.CompiledSpec,
        items: list[Any],
        memory: Output,
        size: tuple[int, int],
        call: Call,
        draws: Draws = None,
    ) -> list[_core.Record]: ...


def resolve(device: Any) -> Device:
    """The device of that name: "cpu", "cuda", "cuda:1", a torch.device, or "emulated".

    Raises:
        BackendUnavailable: a CUDA device that cannot be used here.
        ValueError: any other device.
    """
    name = str(device)
    kind, _, number = name.partition(":")
    if kind == "cuda" and (number.isdigit() or number == ""):
        return cuda.usable(name, int(number) if number else None)
    if name in ("cpu", "cpu:0"):
        return Cpu()
    if name == "emulated":
        return Emulated()
    raise ValueError(f"device must be 'cpu' or 'cuda', got {name!r}")
