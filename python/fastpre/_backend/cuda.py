"""Batches that are made on a CUDA device, or on the emulator that stands for one in tests."""

from __future__ import annotations

import os
from typing import Any

from .. import _core
from ..errors import BackendUnavailable
from . import lazy_torch, nvjpeg, output, tensor_memory
from .call import Call
from .cpu import Cpu
from .forks import refuse_forked_worker
from .output import Draws, Layout, Output

OLDEST_CAPABILITY = (7, 5)
DECODERS = ("auto", "hardware", "hybrid", "coefficients", "pixels")


class Emulated(Cpu):
    """The CUDA backend with its kernels run on the host, thread by thread: slow, for tests without a GPU."""

    name = "emulated"

    def execute(
        self,
        compiled: _core.CompiledSpec,
        items: list[Any],
        memory: Output,
        size: tuple[int, int],
        call: Call,
        draws: Draws = None,
    ) -> list[_core.Record]:
        return _run(compiled, items, memory, size, call, draws, _core.EMULATED, 0)


class Cuda:
    """A CUDA device, on the caller's current stream.

    Args:
        index: None: torch's current device at each call, or that of `out`.
    """

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.name = "cuda" if index is None else f"cuda:{index}"

    def _current(self) -> int:
        if self.index is not None:
            return self.index
        index: int = lazy_torch.require().cuda.current_device()
        return index

    def allocate(self, layout: Layout, pin_memory: bool) -> Output:
        refuse_forked_worker()
        torch = lazy_torch.require()
        if pin_memory:
            raise ValueError("pin_memory is for results on the CPU; this one is on the device")
        tensor_memory.refuse_tracing()
        device = torch.device("cuda", self._current())
        tensor = torch.empty(
            layout.shape, dtype=layout.torch_dtype, memory_format=layout.torch_memory_format, device=device
        )
        return output.of_tensor(tensor)

    def adopt(self, out: Any, layout: Layout) -> Output:
        refuse_forked_worker()
        if not lazy_torch.is_tensor(out):
            raise TypeError(f"out must be a torch tensor on {self.name}, got {type(out).__name__}")
        return output.adopt(out, layout, device=self.name)

    def execute(
        self,
        compiled: _core.CompiledSpec,
        items: list[Any],
        memory: Output,
        size: tuple[int, int],
        call: Call,
        draws: Draws = None,
    ) -> list[_core.Record]:
        torch = lazy_torch.require()
        tensor = memory.value
        stream = torch.cuda.current_stream(tensor.device)
        with torch.cuda.device(tensor.device):
            if torch.cuda.is_current_stream_capturing():
                msg = (
                    "decoding waits for the host and cannot be part of a CUDA graph: capture the consumer alone, with "
                    "a static input, and write into that with out= before each replay"
                )
                raise RuntimeError(msg)
        # Its memory may come from another stream's pool, and must not go back there before ours is done with it.
        tensor.record_stream(stream)
        return _run(compiled, items, memory, size, call, draws, tensor.device.index, stream.cuda_stream)


def _run(
    compiled: _core.CompiledSpec,
    items: list[Any],
    memory: Output,
    size: tuple[int, int],
    call: Call,
    draws: Draws,
    index: int,
    stream: int,
) -> list[_core.Record]:
    """The core's call on device `index` and a stream by its address."""
    nvjpeg.announce()
    return _core.cuda_run(
        compiled,
        items,
        memory.data_ptr,
        size,
        memory.strides,
        call.threads,
        call.fill,
        index,
        stream,
        forced_decoder(),
        *call.ending(),
        draws,
    )


def forced_decoder() -> str:
    """FASTPRE_CUDA_DECODER: which decoder takes every image that it can; for comparisons.

    Raises:
        ValueError: no such decoder.
    """
    name = os.environ.get("FASTPRE_CUDA_DECODER") or "auto"
    if name not in DECODERS:
        raise ValueError(f"FASTPRE_CUDA_DECODER must be one of {', '.join(DECODERS)}, got {name!r}")
    return name


def usable(name: str, index: int | None) -> Cuda:
    """The device, once it is known that this machine and this process can use it.

    Raises:
        BackendUnavailable: they cannot; the message says what is missing.
    """
    if _core.build_info()["cuda"]:
        refuse_forked_worker()  # before CUDA is asked anything, which may fail in its own words there
    info = _core.cuda_info()
    if info["missing"]:
        raise BackendUnavailable(f"device={name!r}: {info['missing']}")
    if index is not None and index >= len(info["devices"]):
        raise BackendUnavailable(f"device={name!r}: this machine shows {len(info['devices'])} CUDA devices")
    capabilities = [device["compute_capability"] for device in info["devices"]]
    asked = capabilities if index is None else [capabilities[index]]
    if all(tuple(map(int, capability.split("."))) < OLDEST_CAPABILITY for capability in asked):
        has = ", ".join(asked)
        raise BackendUnavailable(f"device={name!r}: compute capability {has}; 7.5 is the oldest supported")
    torch = lazy_torch.require()
    if not torch.cuda.is_available():
        version = torch.__version__
        msg = f"device={name!r}: the installed torch ({version}) sees no CUDA device; install one built for CUDA"
        raise BackendUnavailable(msg)
    return Cuda(index)
